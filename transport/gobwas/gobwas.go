package gobwas

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"

	"github.com/webwire-go/webwire/internal/wsnet"
	"github.com/webwire-go/webwire/transport"
)

// Upgrader accepts connections. It is a value without state: copies are as good
// as the original, and all may be used concurrently.
type Upgrader struct {
	// Origins lists the web pages that may connect besides those of the same
	// scheme, host and port, each as "scheme://host[:port]". "*" lets every
	// page connect, with the cookies of its user; it is for servers that take no
	// notice of cookies. Nil: the same scheme, host and port only.
	Origins []string

	// AcceptText makes Read return text messages as the bytes they consist of.
	// It can be changed for one connection, see [TextAccepter]. False: a text
	// message closes the connection with [transport.StatusUnsupported].
	AcceptText bool
}

// Upgrade implements [transport.Upgrader]. Requests that are not allowed to
// connect are answered with 403, those that do not ask for a WebSocket with
// 426 or another status of the 400s.
func (u Upgrader) Upgrade(w http.ResponseWriter, r *http.Request, supported ...string) (transport.Conn, error) {
	handshake, err := wsnet.Accept(w, r, u.Origins, supported)
	if err != nil {
		return nil, err
	}
	bare, err := accept(handshake, r)
	if err != nil {
		return nil, handshake.Fail(err)
	}
	return newConn(bare, wsnet.Server, handshake.Protocol(), u.AcceptText), nil
}

// Dialer connects to one endpoint. It is a value without state: copies are as
// good as the original, and all may be used concurrently.
type Dialer struct {
	// URL is the address of the endpoint. Its scheme is ws or http without TLS,
	// wss or https with it. A user and password in it are sent as basic
	// authentication.
	URL string

	// Header is sent with each request, authentication for instance. A Host
	// in it replaces that of the URL. Nil: nothing besides what is necessary.
	Header http.Header

	// TLS is used for wss and https. Nil: the defaults of crypto/tls.
	TLS *tls.Config

	// Proxy returns the proxy for a request, or nil for none; http, https and
	// socks5 are possible. An http or https proxy is asked for a tunnel with
	// CONNECT, whatever the scheme of URL. Nil: [http.ProxyFromEnvironment].
	Proxy func(*http.Request) (*url.URL, error)

	// NetDial opens the network connection, to the proxy if there is one.
	// Nil: a [net.Dialer].
	NetDial func(ctx context.Context, network, addr string) (net.Conn, error)

	// AcceptText is as in [Upgrader].
	AcceptText bool
}

// Dial implements [transport.Dialer]. Redirects are not followed; they are
// refusals as any answer but 101 is. A certificate that is not trusted is
// reported as a *[tls.CertificateVerificationError].
func (d Dialer) Dial(ctx context.Context, offer ...string) (transport.Conn, error) {
	handshake, err := d.endpoint().Open(ctx)
	if err != nil {
		return nil, err
	}
	protocol, err := dial(ctx, handshake, offer)
	if err != nil {
		return nil, handshake.Fail(err)
	}
	return newConn(handshake.Take(), wsnet.Client, protocol, d.AcceptText), nil
}

// Probe implements [transport.Prober] with the HTTP method WEBWIRE.
func (d Dialer) Probe(ctx context.Context) ([]byte, error) {
	return d.endpoint().Probe(ctx)
}

func (d Dialer) endpoint() wsnet.Endpoint {
	return wsnet.Endpoint{URL: d.URL, Header: d.Header, TLS: d.TLS, Proxy: d.Proxy, NetDial: d.NetDial}
}

// TextAccepter is implemented by every connection of this package. A server
// that learns from the first message what its peer speaks decides with it.
type TextAccepter interface {
	// AcceptText says whether text messages are accepted from now on. It may be
	// called at any time.
	AcceptText(accept bool)
}

// The promises to the packages that use this one.
var (
	_ transport.Upgrader = Upgrader{}
	_ transport.Dialer   = Dialer{}
	_ transport.Prober   = Dialer{}
	_ transport.Peeker   = (*conn)(nil)
	_ TextAccepter       = (*conn)(nil)
)

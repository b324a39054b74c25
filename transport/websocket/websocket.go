// Package websocket carries WebWire over WebSocket (RFC 6455), with the library
// nhooyr.io/websocket.
//
// A server upgrades requests, a client dials:
//
//	conn, err := websocket.Upgrader{}.Upgrade(w, r, transport.UpgradeOptions{})
//
//	conn, err := websocket.Dialer{URL: "wss://example.com/chat"}.Dial(ctx, transport.DialOptions{})
//
// As a rule neither is called by hand: the server and the client of WebWire take
// an [Upgrader] and a [Dialer] in their options, and use them.
//
// # Who may connect
//
// Browsers let any page on the web open a WebSocket to any server, with the
// cookies of its user. The zero [Upgrader] therefore accepts pages of the host and port
// that they connect to, and no other; programs that are not browsers send no Origin and
// may connect. The scheme does not matter, because a proxy in front may have ended TLS;
// the Host header has to arrive as the browser sent it. Pages served from elsewhere are
// listed in Origins, as the user sees them in the address bar:
//
//	websocket.Upgrader{Origins: []string{"https://example.com"}}
//
// # What a peer cannot do
//
// Every limit of [transport.Limits] holds whatever the peer does: stall inside a frame,
// stop reading, send empty frames or pings without end, announce a message longer
// than it sends, ignore a close. Memory grows with what has arrived, not with
// what was announced. Compression is not negotiated.
//
// The messages of one Write leave in one system call, which is what a busy
// connection spends its time on. An idle one costs a few hundred bytes, and no
// goroutine but that of its Read.
//
// # What the library does
//
// The handshakes of both ends are those of nhooyr.io/websocket. After that the
// connection is taken from it, and frames are read and written by this package: limits
// on time and memory, and batches, have to be kept where the bytes are.
//
// Text messages, if they are accepted at all, are returned as the bytes they consist of,
// whether or not these are UTF-8: the published versions of WebWire send what they
// please in them.
package websocket

//lint:file-ignore SA1019 the library has a successor at another path, and is the one that was chosen; this is the only import

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"

	"nhooyr.io/websocket"

	"github.com/webwire-go/webwire/internal/wsnet"
	"github.com/webwire-go/webwire/transport"
)

// Upgrader accepts connections. It is a value without state: copies are as good
// as the original, and all may be used concurrently.
type Upgrader struct {
	// Origins lists the web pages that may connect besides those of the same host
	// and port, each as "scheme://host[:port]". "*" lets every page connect, with
	// the cookies of its user; it is for servers that take no notice of cookies.
	// Check finds entries that match nothing. Nil: the same host and port only.
	Origins []string

	// AcceptText makes Read return text messages as the bytes they consist of.
	// It can be changed for one connection, see [transport.TextAccepter]. False: a text
	// message closes the connection with [transport.StatusUnsupportedData].
	AcceptText bool
}

// Upgrade implements [transport.Upgrader]. Requests that are not allowed to connect are
// answered with 403, and the error wraps [transport.ErrOrigin]; those that do not ask for
// a WebSocket with 426 or another status of the 400s. Where w cannot be hijacked the
// answer is 501.
func (u Upgrader) Upgrade(w http.ResponseWriter, r *http.Request, opts transport.UpgradeOptions) (transport.Conn, error) {
	handshake, err := wsnet.Accept(w, r, u.Origins, opts.Protocols)
	if err != nil {
		return nil, err
	}
	conn, err := websocket.Accept(handshake, handshake.Request(), &websocket.AcceptOptions{
		Subprotocols:       handshake.Protocols(),
		InsecureSkipVerify: true, // wsnet has checked the origin
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		return nil, handshake.Fail(err)
	}
	leave(conn)
	return newConn(handshake.Bare(), false, handshake.Protocol(), u.AcceptText, opts.Limits), nil
}

// Check returns an error if an entry of Origins can match no page.
func (u Upgrader) Check() error { return wsnet.CheckOrigins(u.Origins) }

// leave ends what the library keeps for a connection that it does not have.
func leave(conn *websocket.Conn) { _ = conn.CloseNow() }

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
func (d Dialer) Dial(ctx context.Context, opts transport.DialOptions) (transport.Conn, error) {
	handshake, err := d.endpoint(opts.Header).Open(ctx)
	if err != nil {
		return nil, err
	}
	conn, _, err := websocket.Dial(ctx, handshake.URL, &websocket.DialOptions{
		HTTPClient:      handshake.Client,
		HTTPHeader:      handshake.Header,
		Host:            handshake.Host,
		Subprotocols:    opts.Protocols,
		CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		return nil, handshake.Fail(err)
	}
	leave(conn)
	return newConn(handshake.Bare(), true, conn.Subprotocol(), d.AcceptText, opts.Limits), nil
}

// Probe implements [transport.Prober] with the HTTP method WEBWIRE.
func (d Dialer) Probe(ctx context.Context, opts transport.DialOptions) ([]byte, error) {
	return d.endpoint(opts.Header).Probe(ctx)
}

// endpoint returns the endpoint of an attempt with a header of its own.
func (d Dialer) endpoint(own http.Header) wsnet.Endpoint {
	return wsnet.Endpoint{URL: d.URL, Header: wsnet.Merge(d.Header, own), TLS: d.TLS, Proxy: d.Proxy, NetDial: d.NetDial}
}

// The promises to the packages that use this one.
var (
	_ transport.Upgrader       = Upgrader{}
	_ transport.Dialer         = Dialer{}
	_ transport.Prober         = Dialer{}
	_ transport.Peeker         = (*conn)(nil)
	_ transport.Monitor        = (*conn)(nil)
	_ transport.TextAccepter   = (*conn)(nil)
	_ transport.SilenceAllower = (*conn)(nil)
)

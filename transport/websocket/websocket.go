// Package websocket carries WebWire over WebSocket (RFC 6455), with the library
// nhooyr.io/websocket.
//
// A server upgrades requests, a client dials:
//
//	conn, err := websocket.Upgrader{}.Upgrade(w, r, transport.UpgradeOptions{})
//
//	conn, err := websocket.Dialer{URL: "wss://example.com/chat"}.Dial(ctx, transport.DialOptions{})
//
// Most programs call neither: they pass an [Upgrader] to server.New in its options, and a
// [Dialer] to client.New.
//
// # Who may connect
//
// Browsers let any web page open a WebSocket to any server, and send the cookies of the
// user. The zero [Upgrader] therefore accepts only pages that were served from the host and
// port they connect to. Programs that are not browsers send no Origin header and are
// accepted. Unless the server itself terminates TLS, the scheme is not compared, because a
// proxy may have done so. The Host header must arrive as the browser sent it. List other pages in Origins, as they appear in
// the browser's address bar:
//
//	websocket.Upgrader{Origins: []string{"https://example.com"}}
//
// # Limits
//
// All limits of [transport.Limits] hold even if the peer stalls inside a frame, stops
// reading, sends empty frames or pings without end, announces a longer message than it
// sends, or ignores a close. Memory use grows with the bytes that have arrived, not with
// the announced length. Compression is not negotiated.
//
// The messages of one Write are sent with one system call where possible. An idle
// connection needs a few hundred bytes, and no goroutine except the caller of Read.
//
// # Implementation
//
// The library nhooyr.io/websocket does the handshakes of both ends. This package then takes
// over the network connection and reads and writes the frames itself, because time and
// memory limits and batches have to be implemented at that level.
//
// Text messages, if accepted, are returned as bytes even if they are not valid UTF-8: the
// published versions of WebWire send arbitrary bytes in text messages.
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

// An Upgrader is a transport.Upgrader that accepts WebSocket connections. It has no state:
// copies are independent, and all may be used concurrently.
type Upgrader struct {
	// Origins lists the origins of web pages that may connect in addition to pages of
	// the same host and port, each as "scheme://host[:port]". The entry "*" lets every
	// page connect, with the cookies of its user; use it only for servers that ignore
	// cookies. Check finds entries that match nothing. Nil: only the same host and port.
	Origins []string

	// AcceptText makes Read return the bytes of text messages. It can be changed for a
	// single connection, see [transport.TextAccepter]. False: a text message closes the
	// connection with [transport.StatusUnsupportedData].
	AcceptText bool
}

// Upgrade implements [transport.Upgrader]. It answers requests of pages that may not
// connect with status 403, and the error wraps [transport.ErrOrigin]. It answers requests
// that do not ask for a WebSocket with 426 or another 4xx status, and all requests with 501 if
// w cannot be hijacked.
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

// Check returns an error that names the first entry of Origins that cannot match any page,
// or nil if there is none.
func (u Upgrader) Check() error { return wsnet.CheckOrigins(u.Origins) }

// leave releases what the library holds for a connection that was taken from it.
func leave(conn *websocket.Conn) { _ = conn.CloseNow() }

// A Dialer is a transport.Dialer that connects to one endpoint. It has no state: copies are
// independent, and all may be used concurrently.
type Dialer struct {
	// URL is the address of the endpoint. The scheme is ws or http without TLS, wss or
	// https with TLS. A user name and password in it are sent as basic authentication.
	URL string

	// Header is sent with each request, for instance for authentication. A Host field
	// in it replaces the host of the URL. Nil: only the fields the handshake needs.
	Header http.Header

	// TLS is the configuration for wss and https. Nil: the defaults of crypto/tls.
	TLS *tls.Config

	// Proxy returns the URL of the proxy for a request, or nil for none. Its scheme is
	// http, https or socks5. Through an http or https proxy the Dialer opens a tunnel
	// with CONNECT, whatever the scheme of URL. Nil: [http.ProxyFromEnvironment].
	Proxy func(*http.Request) (*url.URL, error)

	// NetDial opens the network connection to the endpoint, or to the proxy if there is
	// one. Nil: a [net.Dialer].
	NetDial func(ctx context.Context, network, addr string) (net.Conn, error)

	// AcceptText has the same meaning as in [Upgrader]. False: a text message closes the
	// connection.
	AcceptText bool
}

// Dial implements [transport.Dialer]. Any answer with a status other than 101 is reported as
// a *[transport.RefusedError], including redirects, which are not followed. A certificate
// that is not trusted is reported as a *[tls.CertificateVerificationError].
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

// endpoint returns the endpoint for one attempt, which sends own in addition.
func (d Dialer) endpoint(own http.Header) wsnet.Endpoint {
	return wsnet.Endpoint{URL: d.URL, Header: wsnet.Merge(d.Header, own), TLS: d.TLS, Proxy: d.Proxy, NetDial: d.NetDial}
}

// Interfaces that other packages rely on.
var (
	_ transport.Upgrader       = Upgrader{}
	_ transport.Dialer         = Dialer{}
	_ transport.Prober         = Dialer{}
	_ transport.Peeker         = (*conn)(nil)
	_ transport.Monitor        = (*conn)(nil)
	_ transport.TextAccepter   = (*conn)(nil)
	_ transport.SilenceAllower = (*conn)(nil)
)

package wsnet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/webwire-go/webwire/transport"
)

// An Endpoint is the address a client connects to, and how it connects.
type Endpoint struct {
	URL     string      // ws, wss, http or https
	Header  http.Header // sent with the request; Host replaces the host of the URL
	TLS     *tls.Config // nil: the defaults of crypto/tls
	Proxy   func(*http.Request) (*url.URL, error)
	NetDial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// refusalTime bounds how long the text of a refusal is waited for.
const refusalTime = 2 * time.Second

// A Handshake is the client's side of one attempt to connect. It has an http.Transport of
// its own, so attempts share no state.
type Handshake struct {
	Client *http.Client // does not follow redirects; the body of a 101 response is an idle connection
	URL    string       // http or https
	Header http.Header  // header of the request, not nil
	Host   string       // host of the request; empty: the host of URL

	name      string // the endpoint's URL as it was written, for error messages
	ctx       context.Context
	endpoint  Endpoint
	transport *http.Transport

	mu     sync.Mutex
	over   bool     // no connection may be dialled any more
	tunnel *url.URL // the proxy that dial makes a tunnel through, nil for none
	wire   net.Conn // the connection that was dialled
	bare   Bare     // after an answer 101
}

// Open prepares an attempt to connect, which is bound to ctx. The caller must end it with Bare
// or Fail.
func (e Endpoint) Open(ctx context.Context) (*Handshake, error) {
	u, err := parseURL(e.URL)
	if err != nil {
		return nil, err
	}
	if err := checkHeader(e.Header); err != nil {
		return nil, err
	}
	name := nameOf(u)
	u.Scheme = httpSchemes[u.Scheme]
	h := &Handshake{
		URL:      u.String(),
		Header:   e.Header.Clone(),
		Host:     e.Header.Get("Host"),
		name:     name,
		ctx:      ctx,
		endpoint: e,
	}
	if h.Header == nil {
		h.Header = make(http.Header)
	}
	h.Header.Del("Host")
	config := e.TLS.Clone()
	if config == nil {
		config = new(tls.Config)
	}
	config.NextProtos = []string{"http/1.1"} // HTTP/2 can not be upgraded this way
	h.transport = &http.Transport{
		Proxy:                  h.proxy,
		DialContext:            h.dial,
		TLSClientConfig:        config,
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
	}
	h.Client = &http.Client{
		Transport:     roundTripper(h.switchProtocols),
		CheckRedirect: noRedirect,
	}
	return h, nil
}

// httpSchemes has the scheme of the request for each scheme that the URL of an endpoint may have.
var httpSchemes = map[string]string{"ws": "http", "wss": "https", "http": "http", "https": "https"}

// parseURL returns the URL of an endpoint as it was written, if it can be one.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		var reason *url.Error // quotes the URL, which may have a password in it
		if errors.As(err, &reason) {
			err = reason.Err
		}
		return nil, fmt.Errorf("%w: endpoint URL: %w", transport.ErrConfig, err)
	}
	if httpSchemes[u.Scheme] == "" {
		return nil, fmt.Errorf("%w: endpoint URL %q: the scheme has to be ws, wss, http or https", transport.ErrConfig, nameOf(u))
	}
	if u.Hostname() == "" {
		return nil, fmt.Errorf("%w: endpoint URL %q: the host is missing", transport.ErrConfig, nameOf(u))
	}
	u.Fragment = ""
	return u, nil
}

// nameOf returns a URL as it may be logged: without what may be secret in it.
func nameOf(u *url.URL) string {
	bare := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	return bare.String()
}

// checkHeader finds out about a header that cannot be sent, which is refused anew by each
// attempt.
func checkHeader(h http.Header) error {
	for name, values := range h {
		if name == "" || strings.ContainsAny(name, " \t\r\n:\x00") {
			return fmt.Errorf("%w: Header has the name %q", transport.ErrConfig, name)
		}
		for _, value := range values {
			if strings.ContainsAny(value, "\r\n\x00") {
				return fmt.Errorf("%w: Header %q has a value with a line break or a zero byte", transport.ErrConfig, name)
			}
		}
	}
	return nil
}

// Merge returns the header of an attempt: the endpoint's header, in which the fields of own
// replace those of the same name.
func Merge(endpoint, own http.Header) http.Header {
	if len(own) == 0 {
		return endpoint
	}
	all := make(http.Header, len(endpoint)+len(own))
	for _, h := range []http.Header{endpoint, own} {
		for name, values := range h {
			all[http.CanonicalHeaderKey(name)] = values
		}
	}
	return all
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// noRedirect: whoever answers may send the client, and its headers, anywhere.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// dial is called by the transport, on a goroutine that may outlive the request.
func (h *Handshake) dial(_ context.Context, network, addr string) (net.Conn, error) {
	h.mu.Lock()
	proxy := h.tunnel
	h.mu.Unlock()
	if proxy == nil {
		return h.dialWire(network, addr)
	}
	wire, err := h.dialWire(network, proxyAddr(proxy))
	if err != nil {
		return nil, fmt.Errorf("proxy %s: %w", nameOf(proxy), err)
	}
	conn, err := openTunnel(h.ctx, wire, proxy, h.transport.TLSClientConfig, addr)
	if err != nil {
		wire.Close()
		return nil, fmt.Errorf("proxy %s: %w", nameOf(proxy), err)
	}
	return conn, nil
}

// dialWire opens the network connection. From then on drop closes it.
func (h *Handshake) dialWire(network, addr string) (net.Conn, error) {
	dial := h.endpoint.NetDial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	// The transport's context does not end with the caller's: it would like
	// to keep the connection for later.
	wire, err := dial(h.ctx, network, addr)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over || h.wire != nil {
		wire.Close()
		return nil, net.ErrClosed
	}
	h.wire = wire
	return wire, nil
}

// switchProtocols sends the request of the library and takes the connection if the
// server agrees.
func (h *Handshake) switchProtocols(r *http.Request) (*http.Response, error) {
	resp, err := h.transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return nil, h.refused(resp)
	}
	stream, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		resp.Body.Close()
		return nil, errors.New("the connection of the answer is not available")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	// stream is above TLS, and the bytes that came with the answer are ahead of it.
	h.bare = Bare{
		Stream: stream,
		Wire:   h.wire,
		TLS:    resp.TLS != nil || h.tunnel != nil && h.tunnel.Scheme == "https",
	}
	resp.Body = idle{h.wire}
	return resp, nil
}

func (h *Handshake) refused(resp *http.Response) *transport.RefusedError {
	defer resp.Body.Close()
	timer := time.AfterFunc(refusalTime, h.drop)
	defer timer.Stop()
	return refused(resp)
}

// drop closes the connection, and every one that is still being dialled.
func (h *Handshake) drop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over = true
	if h.wire != nil {
		h.wire.Close()
	}
}

// Bare returns the network connection after a successful handshake.
func (h *Handshake) Bare() Bare {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.bare
}

// Fail releases the resources of a failed attempt and returns the error to report for err.
func (h *Handshake) Fail(err error) error {
	h.drop()
	return h.describe("dial", err)
}

func (h *Handshake) describe(doing string, err error) error {
	var request *url.Error // names the method and the URL once more
	if errors.As(err, &request) {
		err = request.Err
	}
	var record tls.RecordHeaderError
	if errors.Is(err, http.ErrSchemeMismatch) || errors.As(err, &record) {
		err = fmt.Errorf("%w (no TLS is spoken at this port: is the scheme ws, not wss?)", err)
	}
	return fmt.Errorf("websocket: %s %s: %w", doing, h.name, err)
}

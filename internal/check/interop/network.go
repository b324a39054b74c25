package interop

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
	"github.com/webwire-go/webwire/transport/stream"
	"github.com/webwire-go/webwire/transport/websocket"
)

// Network is how servers and clients find each other.
type Network interface {
	// Listen serves srv at an address of the network. An address of port 0 is
	// any free one.
	Listen(addr string, srv *server.Server) (Port, error)

	// Dialer returns the dialer to an address that a Port has.
	Dialer(addr string) transport.Dialer
}

// Port is where a server listens.
type Port interface {
	Addr() string

	// Close ends the listening, not the connections, and returns once nothing
	// of it is left.
	Close() error
}

// WebSocket is the network that the published implementations use. Its servers
// answer at every path, to pages of any origin.
type WebSocket struct {
	// Silent makes clients offer no protocol tokens, as the published ones do:
	// the endpoint's own version is spoken then.
	Silent bool

	// These are for clients. Servers have none of them.
	TLS    *tls.Config // nil: no TLS
	Header http.Header // nil: none
	Path   string      // zero: "/"
}

// Upgrader returns the upgrader for servers on the network.
func (WebSocket) Upgrader() transport.Upgrader {
	return websocket.Upgrader{Origins: []string{"*"}}
}

// Listen implements Network.
func (WebSocket) Listen(addr string, srv *server.Server) (Port, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	p := &httpPort{
		ln: ln,
		// No mux: it would redirect some paths.
		web: &http.Server{Handler: srv, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10},
	}
	p.serving.Go(func() {
		_ = p.web.Serve(ln) // ends with Close
	})
	return p, nil
}

// Dialer implements Network.
func (n WebSocket) Dialer(addr string) transport.Dialer {
	d := websocket.Dialer{URL: n.url("ws", addr, "/"), Header: n.Header, TLS: n.TLS}
	if n.Silent {
		return silentDialer{d}
	}
	return d
}

// url returns the URL at an address with a scheme of ws or http, with its s if there is
// TLS. The path "/" stands for that of the network.
func (n WebSocket) url(scheme, addr, path string) string {
	if n.TLS != nil {
		scheme += "s"
	}
	if path == "/" && n.Path != "" {
		path = n.Path
	}
	return scheme + "://" + addr + path
}

type silentDialer struct{ websocket.Dialer }

func (d silentDialer) Dial(ctx context.Context, opts transport.DialOptions) (transport.Conn, error) {
	opts.Protocols = nil
	return d.Dialer.Dial(ctx, opts)
}

type httpPort struct {
	ln      net.Listener
	web     *http.Server
	serving sync.WaitGroup
}

func (p *httpPort) Addr() string { return p.ln.Addr().String() }

func (p *httpPort) Close() error {
	err := p.web.Close()
	p.serving.Wait()
	return err
}

// Stream is the network of TCP connections without HTTP.
type Stream struct {
	TLS *tls.Config // of clients. Nil: no TLS
}

// Listen implements Network.
func (Stream) Listen(addr string, srv *server.Server) (Port, error) {
	ln, err := stream.Listen("tcp", addr, nil)
	if err != nil {
		return nil, err
	}
	return newServing(ln, ln.Addr().String(), srv), nil
}

// Dialer implements Network.
func (s Stream) Dialer(addr string) transport.Dialer {
	return stream.Dialer{Address: addr, TLS: s.TLS}
}

// serving is the Port of a transport.Listener.
type serving struct {
	ln      transport.Listener
	addr    string
	serving sync.WaitGroup
}

func newServing(ln transport.Listener, addr string, srv *server.Server) *serving {
	p := &serving{ln: ln, addr: addr}
	p.serving.Go(func() {
		_ = srv.Serve(ln) // ends with Close, or with that of srv
	})
	return p
}

func (p *serving) Addr() string { return p.addr }

func (p *serving) Close() error {
	err := p.ln.Close()
	p.serving.Wait()
	return err
}

// Memory is a network inside the process. The zero value is one without servers.
type Memory struct {
	mu        sync.Mutex
	listeners []*memory.Listener
}

// Listen implements Network. The address is always a new one.
func (n *Memory) Listen(_ string, srv *server.Server) (Port, error) {
	ln := memory.Listen()
	n.mu.Lock()
	n.listeners = append(n.listeners, ln)
	addr := "memory:" + strconv.Itoa(len(n.listeners))
	n.mu.Unlock()
	return newServing(ln, addr, srv), nil
}

// Dialer implements Network.
func (n *Memory) Dialer(addr string) transport.Dialer {
	n.mu.Lock()
	defer n.mu.Unlock()
	var i int
	if _, err := fmt.Sscanf(addr, "memory:%d", &i); err != nil || i < 1 || i > len(n.listeners) {
		return nobody{}
	}
	return n.listeners[i-1]
}

type nobody struct{}

func (nobody) Dial(context.Context, transport.DialOptions) (transport.Conn, error) {
	return nil, fmt.Errorf("memory: dial: %w", syscall.ECONNREFUSED)
}

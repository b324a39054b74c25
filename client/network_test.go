package client_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
	"github.com/webwire-go/webwire/transport/transporttest"
)

// network is a server, and the way to it, which fails on demand. It is the Dialer
// of its clients.
type network struct {
	t       *testing.T
	faults  *transporttest.Faults
	serving sync.WaitGroup

	mu       sync.Mutex
	listener *memory.Listener // nil: connections are refused
	dials    []time.Time
	last     *transporttest.FaultConn
}

// newNetwork returns a network without a server. It is called in a bubble.
func newNetwork(t *testing.T) *network {
	n := &network{t: t, faults: transporttest.NewFaults(1)}
	t.Cleanup(n.serving.Wait)
	t.Cleanup(n.faults.Close)
	return n
}

// serve starts a server. Its connections end with their sockets unless opts say otherwise.
func (n *network) serve(opts server.Options) *server.Server {
	if opts.Logger == nil {
		opts.Logger = discard
	}
	if opts.Hooks.OnRequest == nil {
		opts.Hooks.OnRequest = echo
	}
	if opts.ResumeWindow == 0 {
		opts.ResumeWindow = -1
	}
	srv := server.New(opts)
	n.reachable(srv)
	n.t.Cleanup(func() { _ = srv.Close() })
	return srv
}

// reachable makes the network accept connections for a server.
func (n *network) reachable(srv *server.Server) {
	ln := memory.Listen()
	n.mu.Lock()
	n.listener = ln
	n.mu.Unlock()
	n.serving.Go(func() { _ = srv.Serve(n.faults.Listener(ln)) }) // until the end of the test
}

// away makes the network refuse connections.
func (n *network) away() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listener = nil
}

// client returns a client that is closed when the test ends.
func (n *network) client(opts client.Options) *client.Client {
	if opts.Logger == nil {
		opts.Logger = discard
	}
	return closeAtEnd(n.t, client.New(n, opts))
}

func closeAtEnd(t *testing.T, c *client.Client) *client.Client {
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return c
}

func (n *network) Dial(ctx context.Context, opts transport.DialOptions) (transport.Conn, error) {
	n.mu.Lock()
	n.dials = append(n.dials, time.Now())
	ln := n.listener
	n.mu.Unlock()
	if ln == nil {
		return nil, transporttest.Refused(ctx)
	}
	conn, err := n.faults.Dialer(ln).Dial(ctx, opts)
	if err == nil {
		n.mu.Lock()
		n.last = conn.(*transporttest.FaultConn)
		n.mu.Unlock()
	}
	return conn, err
}

// far returns a dialer whose connections delay what is on the way to the client.
func (n *network) far(delay time.Duration) transport.Dialer {
	return dialerFunc(func(ctx context.Context, opts transport.DialOptions) (transport.Conn, error) {
		conn, err := n.Dial(ctx, opts)
		if err == nil {
			conn.(*transporttest.FaultConn).Delay(delay)
		}
		return conn, err
	})
}

// dialled returns when connections were dialled.
func (n *network) dialled() []time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials
}

// near returns one end of the connection that was made last.
func (n *network) near() *transporttest.FaultConn {
	synctest.Wait()
	conns := n.faults.Conns()
	return conns[len(conns)-1]
}

// dialling returns the client's end of the connection that was made last.
func (n *network) dialling() *transporttest.FaultConn {
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.last
}

// took fails the test unless what began at start took as long as it should.
func took(t *testing.T, what string, start time.Time, least, most time.Duration) {
	t.Helper()
	if d := time.Since(start); d < least || d > most {
		t.Errorf("%s took %v, want %v to %v", what, d, least, most)
	}
}

func connect(t *testing.T, c *client.Client) {
	t.Helper()
	if err := c.Connect(t.Context()); err != nil {
		t.Fatalf("Connect: %v", err)
	}
}

func text(s string) protocol.Payload { return protocol.Text(s) }

// request sends a request to an echoing server.
func request(t *testing.T, c *client.Client) {
	t.Helper()
	reply, err := c.Request(t.Context(), "echo", text("hello"))
	if err != nil || reply.Text() != "hello" {
		t.Errorf("Request: %q, %v", reply.Text(), err)
	}
}

// dialerFunc is a transport.Dialer.
type dialerFunc func(ctx context.Context, opts transport.DialOptions) (transport.Conn, error)

func (f dialerFunc) Dial(ctx context.Context, opts transport.DialOptions) (transport.Conn, error) {
	return f(ctx, opts)
}

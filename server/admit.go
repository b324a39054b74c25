package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// reserve takes one of Options.MaxConns places and reports whether there was one. The place
// of a connection that is away counts as free, because it may be its client that comes
// back: whoever makes a new connection calls isFull. The caller calls release, unless add
// made the place that of a connection.
func (s *Server) reserve() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opts.MaxConns > 0 && len(s.conns)-s.away+s.reserved >= s.opts.MaxConns {
		return false
	}
	s.reserved++
	return true
}

// isFull reports whether there is no place for a new connection that has reserved one.
func (s *Server) isFull() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opts.MaxConns > 0 && len(s.conns)+s.reserved > s.opts.MaxConns
}

func (s *Server) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reserved--
}

// helloOf returns what Info tells of an HTTP request: a copy that holds neither the
// body nor the context of the request.
func helloOf(r *http.Request) *http.Request {
	r = r.Clone(context.Background())
	r.Body, r.GetBody, r.MultipartForm = http.NoBody, nil, nil
	return r
}

// meet keeps what hello tells for OnClientConnected.
func (c *Conn) meet(hello protocol.HelloBody) {
	if proof, ok := hello.Head.Credentials(); ok && c.server.opts.Hooks.OnClientConnected != nil {
		c.proof.Store(&proof)
	}
}

// userAgent returns what Info tells of the client's program: the header, or what hello
// says.
func userAgent(header string, hello protocol.HelloBody) string {
	if name, version := hello.Head.Client(); header == "" && name != "" {
		return cutUserAgent(name + "/" + version)
	}
	return header
}

// forget drops what only OnClientConnected gets.
func (c *Conn) forget() {
	c.hello.Store(nil)
	c.proof.Store(nil)
}

// connected is the task that calls OnClientConnected. It runs before every other task
// of the connection.
type connected Conn

func (t *connected) Run() {
	c := (*Conn)(t)
	err := c.server.opts.Hooks.OnClientConnected(c.link.Context(), c)
	c.forget()
	if err != nil {
		c.turnAway(err)
		return
	}
	c.admit()
}

func (t *connected) Panicked(value any, stack []byte) {
	c := (*Conn)(t)
	c.forget()
	c.panicked("OnClientConnected", value, stack)
	c.turnAway(errConnectedPanicked)
}

var errConnectedPanicked = fmt.Errorf("server: OnClientConnected panicked: %w", protocol.ErrInternal)

// turnAway closes a connection that OnClientConnected refused.
func (c *Conn) turnAway(err error) {
	c.refused = true
	if made := c.server.sessions.made(c, ""); made != nil {
		c.server.sessions.undo(c.link.Context(), made.key)
	}
	status, reason := c.refusal(err, "OnClientConnected")
	// Not in good order: draining would answer requests with the shutdown error, after
	// which a client leaves before it has read the status, and comes back.
	if !c.closing.Swap(true) {
		c.link.DisconnectLater(status, reason, fmt.Errorf("server: connection refused: %w", err))
	}
}

// refusal returns what a client reads that a hook refused with err. If err does not say
// that it is logged.
func (c *Conn) refusal(err error, hook string) (status transport.Status, reason string) {
	var refusal *transport.CloseError
	if errors.As(err, &refusal) && !refusal.Local && refusal.Status.Sendable() {
		return refusal.Status, refusal.Reason
	}
	if c.link.Context().Err() == nil && !deliberate(err) {
		c.log(connectFailed, "webwire: "+hook+" failed", "error", c.logText(err))
	}
	return transport.StatusInternalError, ""
}

// disconnected is the task that calls OnClientDisconnected.
type disconnected struct {
	conn   *Conn
	reason error
}

func (t *disconnected) Run() { t.conn.server.opts.Hooks.OnClientDisconnected(t.conn, t.reason) }

func (t *disconnected) Panicked(value any, stack []byte) {
	t.conn.panicked("OnClientDisconnected", value, stack)
}

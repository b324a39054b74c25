package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// serving is a Client in its part as the role of one connection's link.
type serving struct {
	client *Client
	link   *link.Link
	since  time.Time // when the connection could be used, zero if it never could
}

// prepare restores the session, while Run reads, and opens the connection for use.
func (s *serving) prepare() {
	c := s.client
	if err := c.restoreKept(s.link); err != nil {
		s.link.Disconnect(transport.StatusNormal, "", fmt.Errorf("client: restoring the session: %w", err))
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status == Closed {
		return // Close drops the connection
	}
	if c.session.renounced { // the server believes that this connection has the session
		s.link.DisconnectLater(transport.StatusNormal, "", errSessionForgotten)
		return
	}
	s.since = time.Now()
	c.failure = nil
	c.connects++
	c.link.Store(s.link)
	c.setStatus(Connected)
	if hook := c.opts.Hooks.OnConnected; hook != nil {
		c.later("OnConnected", hook)
	}
}

// Receive does what the server's messages ask for.
func (s *serving) Receive(m protocol.Message) {
	c := s.client
	switch m.Kind {
	case protocol.Signal:
		if c.opts.Hooks.OnServerSignal == nil {
			s.link.Drop()
			return
		}
		s.queue(newSignal(c, m), link.Cost(m))
	case protocol.SessionCreated:
		if err := c.sessionCreated(m.Payload.Data); err != nil {
			s.violated(err)
		}
	case protocol.SessionClosed:
		c.sessionClosed()
	default: // replies that nobody waits for, what only clients send
		s.link.Drop()
	}
}

// queue puts a signal into the queue of the hooks. If there is no room for the time
// that a write may take the connection is given up: a hook may be waiting for a
// reply, which nobody would read.
func (s *serving) queue(t link.Task, size int) {
	c := s.client
	if c.hooks.TryPut(size, t) {
		return
	}
	ctx, cancel := context.WithTimeout(s.link.Context(), c.opts.WriteTimeout)
	defer cancel()
	if !c.hooks.Put(ctx.Done(), size, t) {
		s.link.Drop()
		s.link.Disconnect(transport.StatusPolicy, "signals are not taken", errSlowHook)
	}
}

// Malformed drops a message that breaks the protocol: whatever it was, it says
// nothing about the others.
func (s *serving) Malformed(m protocol.Message, err error) {
	if m.Kind == protocol.SessionCreated {
		s.violated(err) // the server believes in a session that the client does not know
		return
	}
	s.link.Drop()
}

func (s *serving) violated(err error) {
	s.link.Disconnect(transport.StatusProtocol, "protocol error", errors.Join(errViolated, err))
}

var (
	errViolated           = errors.New("client: server violated the protocol")
	_           link.Role = (*serving)(nil)
)

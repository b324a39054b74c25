package client

import (
	"context"
	"fmt"
	"time"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/internal/tasks"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// serving is a Client in its part as the role of one connection's link.
type serving struct {
	client *Client
	link   *link.Link
	since  time.Time // when the connection could be used, or went on, last; zero if it never could be used
	began  time.Time // when it could be used first
	lostBy error     // why it has had no socket since before that; nil: it has one, or was used
	ticket ticket
	final  error // after which the client gives up, while the connection is away; nil: none

	// window is for how long the connection goes on without a socket. It is set before welcome
	// is closed.
	window time.Duration

	// welcome is closed when the server has answered the hello of a connection of 3.0: from
	// then on the connection outlives its socket. Nil before 3.0.
	welcome chan struct{}

	// Hooks that come before those for messages of this connection: what became of
	// the session that was kept, and OnConnected.
	restored, connected *event
}

// newServing returns the role of a new link, whose messages are not read yet.
func newServing(c *Client, conf link.Config) *serving {
	s := &serving{client: c, restored: newEvent(c, 0), connected: newEvent(c, 0)}
	conf.Role = s
	if conf.Version >= protocol.V3_0 {
		s.welcome = make(chan struct{})
	}
	s.link = link.New(context.Background(), conf)
	c.hooks.Put(s.restored)
	c.hooks.Put(s.connected)
	return s
}

// Receive does what the server's messages ask for.
func (s *serving) Receive(m protocol.Message) {
	c := s.client
	switch m.Kind {
	case protocol.Signal:
		if c.onSignal == nil {
			s.link.Drop()
			return
		}
		cost := c.inbox.cost(m)
		s.queue(newSignalCall(c, m, cost), cost)
	case protocol.Gap:
		g, err := m.Gap()
		switch {
		case err != nil:
			s.violated(err)
		case m.Ref != 0:
			s.subscribed(m)
		default:
			c.tellGap(Gap{Missed: g.Lost})
		}
	case protocol.Publication, protocol.Presence:
		s.subscribed(m)
	case protocol.Drain:
		d, err := m.Drain()
		if err != nil {
			s.violated(err)
			return
		}
		c.move(s.link, d)
	case protocol.SessionCreated:
		e := newEvent(c, c.inbox.cost(m))
		if !s.queue(e, e.cost) {
			return
		}
		if err := c.sessionCreated(m.Payload.Data, e); err != nil {
			s.violated(err)
		}
	case protocol.SessionClosed:
		e := newEvent(c, c.inbox.cost(m))
		if s.queue(e, e.cost) {
			c.sessionClosed(e)
		}
	case protocol.Request:
		if s.link.Version() >= protocol.V3_0 {
			s.serve(m)
			return
		}
		s.link.Drop()
	case protocol.Welcome:
		w, err := m.Welcome()
		switch {
		case err != nil:
			s.violated(err)
		case w.Outcome != protocol.OutcomeFresh || s.isWelcome():
			s.violated(errWelcome)
		default:
			s.welcomed(&w)
		}
	default: // replies that nobody waits for, what only clients send
		if v := s.link.Version(); v >= protocol.V3_0 && !v.FromServer(m.Kind) {
			s.violated(protocol.ErrMalformed)
			return
		}
		s.link.Drop()
	}
}

// queue puts a task into the queue of the hooks, and reports whether it did.
func (s *serving) queue(t tasks.Task, cost int) bool {
	if !s.client.inbox.charge(s.link, cost) {
		s.link.Drop()
		s.link.Disconnect(transport.StatusPolicyViolation, "signals are not taken", ErrSlowHooks)
		return false
	}
	s.client.hooks.Put(t)
	return true
}

// Malformed drops a message of a version before 3.0 that breaks the protocol: whatever
// it was, it says nothing about the others.
func (s *serving) Malformed(m protocol.Message, err error) {
	if m.Kind == protocol.SessionCreated || s.link.Version() >= protocol.V3_0 {
		s.violated(err) // the server may believe in a session that the client does not know
		return
	}
	s.link.Drop()
}

// Overflow ends a connection whose server does not read the answers to its requests, and
// sends more than the client takes at once.
func (s *serving) Overflow() {
	s.link.DisconnectLater(transport.StatusPolicyViolation, "answers are not read", errOverflow)
}

var (
	errWelcome  = fmt.Errorf("%w: it welcomes a connection that the client did not ask for", ErrProtocolViolation)
	errOverflow = fmt.Errorf("%w: it does not read the answers to its requests", ErrProtocolViolation)
)

func (s *serving) violated(err error) {
	s.link.Disconnect(transport.StatusProtocolError, "protocol error", err)
}

var _ link.Role = (*serving)(nil)

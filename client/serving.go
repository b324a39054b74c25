package client

import (
	"context"
	"errors"
	"log/slog"
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
	since  time.Time // when the connection could be used, zero if it never could

	// Hooks that come before those for messages of this connection: what became of
	// the session that was kept, and OnConnected.
	restored, connected *event
}

// newServing returns the role of l, whose messages are not read yet.
func newServing(c *Client, l *link.Link) *serving {
	s := &serving{client: c, link: l, restored: newEvent(c), connected: newEvent(c)}
	c.hooks.Put(nil, 0, s.restored)
	c.hooks.Put(nil, 0, s.connected)
	return s
}

// use restores the session, while Run reads, opens the connection for use, and goes on
// restoring as long as that may still succeed.
func (s *serving) use() {
	defer s.client.releaseHeld()
	defer s.connected.skip()
	defer s.restored.skip()
	again, err := s.restoreFirst()
	if err != nil {
		s.link.Disconnect(transport.StatusNormalClosure, "", err)
		return
	}
	if s.open() && again {
		s.restoreAgain()
	}
}

// open opens the connection for use, and reports whether it did.
func (s *serving) open() bool {
	opened, recovered := s.tryOpen()
	if recovered {
		s.client.log(slog.LevelInfo, "webwire: connected after attempts that failed")
	}
	return opened
}

func (s *serving) tryOpen() (opened, recovered bool) {
	c := s.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status == Closed {
		return false, false // Close drops the connection
	}
	if c.session.renounced { // the server believes that this connection has the session
		s.link.DisconnectLater(transport.StatusNormalClosure, "", errSessionForgotten)
		return false, false
	}
	s.since = time.Now()
	recovered = c.trying.failing
	c.trying.failing = false
	c.trying.last = 0
	c.failure = nil
	c.connects++
	c.reckon(true)
	c.link.Store(s.link)
	c.setStatus(Connected)
	s.restored.skip() // unless there is something to tell
	hook := c.opts.Hooks.OnConnected
	if hook == nil {
		s.connected.skip()
		s.release()
		return true, recovered
	}
	// A hook before OnConnected that does not return must not hold up everybody.
	impatient := time.AfterFunc(c.opts.WriteTimeout, s.releaseLater)
	s.connected.tell("OnConnected", func() {
		impatient.Stop()
		defer s.releaseLater()
		hook()
	})
	return true, recovered
}

// release lets the calls use the connection that waited for it. The caller holds mu.
func (s *serving) release() {
	c := s.client
	if c.link.Load() == s.link {
		c.told = s.link
		c.notify()
	}
}

func (s *serving) releaseLater() {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	s.release()
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
		e := newEvent(c)
		if !s.queue(e, link.Cost(m)) {
			return
		}
		if err := c.sessionCreated(m.Payload.Data, e); err != nil {
			s.violated(err)
		}
	case protocol.SessionClosed:
		e := newEvent(c)
		if s.queue(e, link.Cost(m)) {
			c.sessionClosed(e)
		}
	default: // replies that nobody waits for, what only clients send
		s.link.Drop()
	}
}

// queue puts a task into the queue of the hooks, and reports whether it did. If there is
// no room for the time that a write may take the connection is given up: a hook may be
// waiting for a reply, which nobody would read.
func (s *serving) queue(t tasks.Task, size int) bool {
	c := s.client
	if c.hooks.TryPut(size, t) {
		return true
	}
	ctx, cancel := context.WithTimeout(s.link.Context(), c.opts.WriteTimeout)
	defer cancel()
	if c.hooks.Put(ctx.Done(), size, t) {
		return true
	}
	s.link.Drop()
	s.link.Disconnect(transport.StatusPolicyViolation, "signals are not taken", errSlowHook)
	return false
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

// Overflow ends a connection whose server does not read answers.
func (s *serving) Overflow() {
	s.link.DisconnectLater(transport.StatusPolicyViolation, "answers are not read", errOverflow)
}

func (s *serving) violated(err error) {
	s.link.Disconnect(transport.StatusProtocolError, "protocol error", errors.Join(errViolated, err))
}

var (
	errOverflow           = errors.New("client: the server does not read the answers to its requests")
	errViolated           = errors.New("client: server violated the protocol")
	_           link.Role = (*serving)(nil)
)

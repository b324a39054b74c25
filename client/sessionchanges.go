package client

import (
	"github.com/webwire-go/webwire/internal/tasks"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/session"
)

// sessionCreated takes a session that the server created or changed. e is for the hook.
func (c *Client) sessionCreated(data []byte, e *event) error {
	s, err := protocol.ParseSession(data)
	if err != nil {
		e.skip()
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session.restoring { // if that succeeds it wins
		c.session.dropHeld()
		c.session.held = &held{session: s, replaces: c.link.Load() != nil, event: e}
		return nil
	}
	c.session.dropHeld()
	c.tellCreated(s, e)
	return nil
}

// tellCreated makes s the session of the connection and calls OnSessionCreated as e, or
// OnSessionUpdated if the connection has that session.
// The caller holds mu.
func (c *Client) tellCreated(s session.Session, e *event) {
	updated := c.opts.Hooks.OnSessionUpdated
	if c.session.active && c.session.key == s.Key {
		c.session.current = s
		if updated == nil {
			e.skip()
			return
		}
		e.tell("OnSessionUpdated", func() { updated(c.ctx, s) })
		return
	}
	closed := c.session.closed // if a CloseSession fails yet, telling that would come too late
	c.session.closed = false
	saved := c.keep(s)
	created, ended := c.opts.Hooks.OnSessionCreated, c.opts.Hooks.OnSessionClosed
	e.tell("OnSessionCreated", func() {
		if closed && ended != nil {
			tasks.Run(&within{hook{c, "OnSessionClosed", func() { ended(c.ctx) }}})
		}
		if created != nil {
			<-saved
			created(c.ctx, s)
		}
	})
}

// adopt makes the session the client's that was held back, if there is one. The caller
// holds mu.
func (c *Client) adopt() {
	h := c.session.held
	if h == nil {
		return
	}
	c.session.held = nil
	if h.event == nil {
		h.event = newEvent(c, 0)
		c.hooks.Put(h.event)
	}
	c.tellCreated(h.session, h.event)
}

// releaseHeld lets go of what waits for the outcome of restoring.
func (c *Client) releaseHeld() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session.dropHeld()
}

// sessionClosed forgets the session of the connection, which the server closed. e is
// for the hook.
func (c *Client) sessionClosed(e *event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer e.skip()
	s := &c.session
	switch {
	case !s.active:
		s.dropHeld()
	case !c.forget():
	case s.closing > 0:
		s.closed = true // a CloseSession did it, most likely
	default:
		c.tellClosedAs(e)
	}
}

// tellClosed calls OnSessionClosed. The caller holds mu.
func (c *Client) tellClosed() {
	if hook := c.opts.Hooks.OnSessionClosed; hook != nil {
		c.later("OnSessionClosed", func() { hook(c.ctx) })
	}
}

// tellClosedAs calls OnSessionClosed as e.
func (c *Client) tellClosedAs(e *event) {
	if hook := c.opts.Hooks.OnSessionClosed; hook != nil {
		e.tell("OnSessionClosed", func() { hook(c.ctx) })
	}
}

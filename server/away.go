package server

import (
	"context"
	"time"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/internal/tasks"
)

// A connection of 3.0 that has lost its socket is away: it waits for its client until the
// window is over.

// carry reads a socket until it ends, and returns why. The caller holds resumption.socket,
// which carry gives back.
func (c *Conn) carry() error {
	reason := c.link.Run()
	r := c.resumption
	if r == nil {
		return c.finish()
	}
	defer c.give(&r.socket)
	if r.unwatch != nil {
		r.unwatch()
		r.unwatch = nil
	}
	if !c.link.IsAway() {
		return c.finish()
	}
	c.logLoss(reason)
	r.ends = link.Now() + c.server.opts.ResumeWindow
	c.startWindow()
	c.server.setAway(c, true)
	defer c.watch() // also if the hook ends this goroutine
	if hook := c.server.opts.Hooks.OnClientAway; hook != nil && c.awaitAdmitted() {
		tasks.Run(&away{c, reason})
	}
	return reason
}

// awaitAdmitted waits until OnClientConnected has returned, and reports whether it returned
// nil. It reports false if the connection ends before.
func (c *Conn) awaitAdmitted() bool {
	s := c.server
	for {
		s.mu.Lock()
		admitted := c.admitted.Load()
		changed := await(&c.resumption.changed)
		s.mu.Unlock()
		if admitted {
			return true
		}
		select {
		case <-changed:
		case <-c.Context().Done():
			return false
		}
	}
}

// admit records that OnClientConnected has returned nil.
func (c *Conn) admit() {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	c.admitted.Store(true)
	if r := c.resumption; r != nil {
		wake(&r.changed)
	}
}

// startWindow ends the connection when the window is over, unless the client comes back
// before. The caller holds resumption.socket.
func (c *Conn) startWindow() {
	r := c.resumption
	left := r.ends - link.Now()
	if r.window == nil {
		r.window = time.AfterFunc(left, func() { c.link.AbortAway(ErrClientGone) })
	} else {
		r.window.Reset(left)
	}
}

// watch does what is to be done at the end of a connection that is away. The caller holds
// resumption.socket.
func (c *Conn) watch() {
	r := c.resumption
	r.unwatch = context.AfterFunc(c.Context(), func() {
		r.window.Stop()
		c.link.AbortAway(context.Cause(c.Context())) // if it was the context given to ServeConn that ended
		_ = c.finish()                               // OnClientDisconnected gets the reason
	})
}

// setAway counts a connection that has no socket, or does so no more.
func (s *Server) setAway(c *Conn, away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.countAway(c, away)
}

// countAway is setAway for callers that hold mu.
func (s *Server) countAway(c *Conn, away bool) {
	switch r := c.resumption; {
	case r == nil || r.away == away:
	case away:
		r.away = true
		s.away++
	default:
		r.away = false
		s.away--
	}
}

// away is the task that calls OnClientAway.
type away struct {
	conn   *Conn
	reason error
}

func (t *away) Run() { t.conn.server.opts.Hooks.OnClientAway(t.conn, t.reason) }

func (t *away) Panicked(value any, stack []byte) { t.conn.panicked("OnClientAway", value, stack) }

// giveUpPlace ends a connection that is away and has the session, so that another gets its
// place, and reports whether there was one. Of several it is the one that has had the
// session longest. Without coming it is none that moves here. The caller holds the mutex of
// sessions.
func (t *sessions) giveUpPlace(l *live, coming bool) bool {
	for {
		var oldest *Conn
		for c := range l.conns {
			if c.link.IsAway() && (coming || !c.isComing()) && (oldest == nil || c.session.number < oldest.session.number) {
				oldest = c
			}
		}
		if oldest == nil {
			return false
		}
		if oldest.link.AbortAway(ErrSessionReplaced) { // it may have come back meanwhile
			t.detach(oldest)
			oldest.session = sessionSlot{state: left, session: oldest.session.session}
			return true
		}
	}
}

// take waits until *held, which is turn or socket of the connection's resumption, is false
// and makes it true.
func (c *Conn) take(held *bool) { c.takeWithin(context.Background(), held) }

// takeWithin is take that gives up when ctx ends, and then reports false.
func (c *Conn) takeWithin(ctx context.Context, held *bool) bool {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	for *held {
		changed := await(&c.resumption.changed)
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		s.mu.Lock()
		if *held && ctx.Err() != nil {
			return false
		}
	}
	*held = true
	return true
}

// give undoes take.
func (c *Conn) give(held *bool) {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	*held = false
	wake(&c.resumption.changed)
}

// await returns the channel *ch, which it makes if there is none.
func await(ch *chan struct{}) <-chan struct{} {
	if *ch == nil {
		*ch = make(chan struct{})
	}
	return *ch
}

// wake closes *ch, if there is one.
func wake(ch *chan struct{}) {
	if *ch != nil {
		close(*ch)
		*ch = nil
	}
}

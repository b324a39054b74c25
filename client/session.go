package client

import (
	"context"
	"errors"
	"time"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/internal/manners"
	"github.com/webwire-go/webwire/internal/tasks"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport"
)

// sessionState is what the client knows of its session, guarded by the client's
// mutex. The key is kept while there is no connection, and while the server cannot
// restore the session.
type sessionState struct {
	loaded  bool // Options.Keys was asked, or need not be any more
	key     string
	number  uint64 // changes with the key: the identity of the session
	current session.Session
	active  bool // the connection has the session

	failure   error // why the kept session could not be restored on this connection, nil if it was not refused
	telling   bool  // a call of OnSessionError waits for its turn
	restoring bool  // the client asks for the kept session
	asked     int   // calls of RestoreSession that wait for the server
	held      *held // a session that waits for the outcome of restoring, nil if there is none

	waived    int  // calls of CloseSession that found none: no RestoreSession before them counts
	renounced bool // it was closed while the connection that has it could not be used yet
	closing   int  // calls of CloseSession that wait for the server
	closed    bool // meanwhile the server said that it is closed
}

// lost takes note that the connection has ended.
func (s *sessionState) lost() {
	s.active = false
	s.failure = nil
	s.restoring = false
	s.dropHeld()
}

// dropHeld drops the session that waits for the outcome of restoring.
func (s *sessionState) dropHeld() {
	if s.held != nil {
		s.held.event.skip()
		s.held = nil
	}
}

// has reports whether the client has a session as its user sees it: its connection
// has it, or the next one is going to restore it.
func (s *sessionState) has(connected bool) bool {
	return s.active || !connected && s.key != "" && s.current.Key == s.key
}

// reckon publishes the identity of the session after a change. connected says whether
// there is a connection. The caller holds mu.
func (c *Client) reckon(connected bool) {
	identity := uint64(0)
	if c.session.has(connected) {
		identity = c.session.number
	}
	c.identity.Store(identity)
	c.notify()
}

// Session returns the client's session, and whether it has one: one that the
// server created or restored, and did not close. While there is no connection it
// is the session that is going to be restored; while the server cannot restore it
// on the connection that there is (see Hooks.OnSessionError) there is none.
func (c *Client) Session() (session.Session, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.session.has(c.link.Load() != nil) {
		return session.Session{}, false
	}
	return c.session.current, true
}

// RestoreSession makes the session of key that of the client, which then keeps it
// as one that the server created. The empty key is the one that the client keeps: it
// asks for that session now, without waiting for its own next attempt. RestoreSession
// waits for a connection as Request does, and asks nothing if the connection has that
// session already.
//
// The error is protocol.ErrSessionNotFound, also if no key is kept,
// protocol.ErrSessionFull, protocol.ErrSessionsDisabled, a *protocol.Error with
// protocol.CodeSessionActive if the client has another session, protocol.ErrInternal if the
// server could not tell, or one of those of Request. If ctx ends before the reply came
// the session may be restored nevertheless; Session tells.
func (c *Client) RestoreSession(ctx context.Context, key string) error {
	if key == "" {
		c.loadKey(ctx)
		if err := ctx.Err(); err != nil {
			return &link.UnsentError{Err: err}
		}
	}
	c.mu.Lock()
	waived := c.session.waived
	if key == "" {
		key = c.session.key
	}
	closed := c.status == Closed
	c.mu.Unlock()
	switch {
	case closed:
		return ErrClosed
	case key == "":
		return protocol.ErrSessionNotFound
	}
	m := protocol.Message{Kind: protocol.RestoreSession, Payload: protocol.Text(key)}
	w := waiter{purpose: toRestore, key: key}
	for {
		l, timeout, err := c.await(ctx, &w)
		if err != nil {
			return err
		}
		if !c.askFor(key) {
			return nil
		}
		err = c.settle(ctx, l, timeout, m, func(p protocol.Payload) error {
			err := c.sessionRestored(p.Data, waived)
			if err != nil { // the server believes that this connection has the session
				l.DisconnectLater(transport.StatusNormalClosure, "", err)
			}
			return err
		}, func(err error) { c.askedFor(key, waived, err) })
		if !link.IsLate(err) {
			return public(err)
		}
		w.gone = l
	}
}

// askFor takes note that a RestoreSession asks for a key, and reports whether it has to.
func (c *Client) askFor(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session.active && c.session.key == key && c.session.closing == 0 {
		return false
	}
	c.session.asked++
	return true
}

// askedFor takes note of the outcome of that.
func (c *Client) askedFor(key string, waived int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.notify()
	s := &c.session
	s.asked--
	if errors.Is(err, protocol.ErrSessionNotFound) && s.waived == waived && s.key == key && !s.active {
		c.gone(s.number)
		c.adopt()
	}
}

// CloseSession closes the client's session, for all clients that have it. Without a
// connection, or while the session cannot be restored, it only makes the client
// forget the session, which then stays on the server until it expires there.
func (c *Client) CloseSession(ctx context.Context) error {
	c.mu.Lock()
	s := &c.session
	l := c.link.Load()
	if c.status == Closed {
		c.mu.Unlock()
		return ErrClosed
	}
	if l == nil || !s.active {
		s.renounced = s.renounced || s.active
		s.waived++
		if !s.loaded { // there may be a key that nobody asked for yet
			s.loaded = true
			c.saveKey("", "")
		}
		c.forget()
		if !s.restoring {
			c.adopt()
		}
		c.mu.Unlock()
		return nil
	}
	s.closing++
	key := s.key
	c.mu.Unlock()
	return public(c.settle(ctx, l, c.within(ctx), protocol.Message{Kind: protocol.CloseSession}, func(protocol.Payload) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		s.closed = false // by this call
		switch {
		case s.key == key:
			c.forget()
		case s.active && !manners.Of(l.Version()).ConfirmClose:
			// Another connection closed the session first. Whether the server created the
			// next one before or after it handled this call is not known: restoring it tells.
			l.DisconnectLater(transport.StatusNormalClosure, "", errSessionDoubtful)
		}
		return nil
	}, c.closeSettled))
}

// closeSettled takes note that a CloseSession is over. If it failed, and yet the
// session was closed, OnSessionClosed is how the user learns of that.
func (c *Client) closeSettled(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.session
	s.closing--
	if s.closed && err != nil {
		c.tellClosed()
	}
	s.closed = false
}

// settle sends a request that changes the session and waits for its outcome within
// ctx, and timeout if that is not zero. The request itself goes on then, because both
// ends have to agree on the session: if there is no outcome within Options.Timeout, or
// until the deadline of ctx if that is later, the connection is given up. then is that
// of [link.Link.Request], over gets the outcome.
func (c *Client) settle(ctx context.Context, l *link.Link, timeout time.Duration, m protocol.Message, then func(protocol.Payload) error, over func(error)) error {
	limit := c.opts.Timeout
	var late <-chan time.Time
	if timeout > 0 {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		late = timer.C
	} else if deadline, ok := ctx.Deadline(); ok {
		limit = max(limit, time.Until(deadline)+1) // ctx is to end first
	}
	done := make(chan error, 1)
	c.mu.Lock()
	var err error
	switch {
	case c.status == Closed:
		err = ErrClosed
	case ctx.Err() != nil:
		err = &link.UnsentError{Err: ctx.Err()}
	}
	if err == nil {
		c.owned.Go(func() {
			_, err := l.Request(context.Background(), m, limit, then)
			var late *link.TimeoutError
			if errors.As(err, &late) {
				l.Disconnect(transport.StatusNormalClosure, "", err)
			}
			if errors.Is(err, protocol.ErrShutdown) {
				c.leave(l)
			}
			over(err)
			done <- err
		})
	}
	c.mu.Unlock()
	if err != nil {
		over(err)
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-late:
		return &TimeoutError{Sent: true, After: c.opts.Timeout}
	}
}

// sessionCreated takes a session that the server created. e is for the hook.
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

// tellCreated makes s the session of the connection and calls OnSessionCreated as e.
// The caller holds mu.
func (c *Client) tellCreated(s session.Session, e *event) {
	closed := c.session.closed // if a CloseSession fails yet, telling that would come too late
	c.session.closed = false
	saved := c.keep(s)
	created, ended := c.opts.Hooks.OnSessionCreated, c.opts.Hooks.OnSessionClosed
	e.tell("OnSessionCreated", func() {
		if closed && ended != nil {
			tasks.Run(&within{hook{c, "OnSessionClosed", ended}})
		}
		if created != nil {
			<-saved
			created(s)
		}
	})
}

// sessionRestored takes the session that a RestoreSession got, unless one was closed
// since: waived is what it was before.
func (c *Client) sessionRestored(data []byte, waived int) error {
	s, err := protocol.ParseSession(data)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session.waived != waived {
		return errSessionForgotten
	}
	c.keep(s)
	return nil
}

// keep makes s the session of the connection and keeps its key. The channel that it
// returns is closed once the key is saved. The caller holds mu.
func (c *Client) keep(s session.Session) (saved <-chan struct{}) {
	saved = c.setKey(s.Key)
	c.restored(s)
	return saved
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
		e.tell("OnSessionClosed", c.opts.Hooks.OnSessionClosed)
	}
}

// forget forgets the session, and reports whether there was one. The caller holds mu.
func (c *Client) forget() bool {
	s := &c.session
	if s.key == "" {
		return false
	}
	s.current, s.active, s.failure = session.Session{}, false, nil
	c.setKey("")
	c.reckon(c.link.Load() != nil)
	return true
}

// tellClosed calls OnSessionClosed. The caller holds mu.
func (c *Client) tellClosed() {
	if hook := c.opts.Hooks.OnSessionClosed; hook != nil {
		c.later("OnSessionClosed", hook)
	}
}

// setKey changes the key and has it saved. The caller holds mu.
func (c *Client) setKey(key string) (saved <-chan struct{}) {
	c.session.loaded = true
	if c.session.key == key {
		return nothingToSave
	}
	c.session.number++
	c.session.failure = nil // which was about another
	old := c.session.key
	c.session.key = key
	return c.saveKey(key, old)
}

package client

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport"
)

// sessionState is what the client knows of its session, guarded by the client's
// mutex. The key is kept while there is no connection, and while the server could
// not restore the session for the moment.
type sessionState struct {
	loaded  bool // Options.Keys was asked, or need not be any more
	key     string
	current session.Session
	active  bool // the connection has the session
	changes int  // of the key, to tell whether it is still the one it was

	waived    int  // calls of CloseSession that found none: no RestoreSession before them counts
	renounced bool // it was closed while the connection that has it could not be used yet
	closing   int  // calls of CloseSession that wait for the server
	closed    bool // meanwhile the server said that it is closed
}

// Session returns the client's session, and whether it has one: one that the
// server created or restored, and did not close. While there is no connection it
// is the session that is going to be restored.
func (c *Client) Session() (session.Session, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.session
	has := s.active || s.key != "" && s.current.Key == s.key && c.link.Load() == nil
	if !has {
		return session.Session{}, false
	}
	return s.current, true
}

// RestoreSession makes the session of key that of the client, which then keeps it
// as one that the server created. It waits for a connection as Request does. The
// error is protocol.ErrSessionNotFound, protocol.ErrSessionFull,
// protocol.ErrSessionsDisabled, a *protocol.Error with the code SESSION_ACTIVE if the
// client has another session, protocol.ErrInternal if the server could not tell, or
// one of those of Request. If ctx ends before the reply came the session may be
// restored nevertheless; Session tells.
func (c *Client) RestoreSession(ctx context.Context, key string) error {
	c.mu.Lock()
	waived := c.session.waived
	c.mu.Unlock()
	m := protocol.Message{Kind: protocol.RestoreSession, Payload: protocol.Text(key)}
	var gone *link.Link
	for {
		l, timeout, err := c.await(ctx, false, gone)
		if err != nil {
			return err
		}
		err = c.settle(ctx, l, timeout, m, func(p protocol.Payload) error {
			err := c.sessionRestored(p.Data, waived)
			if err != nil { // the server believes that this connection has the session
				l.DisconnectLater(transport.StatusNormal, "", err)
			}
			return err
		}, func(error) {})
		if !link.IsLate(err) {
			return public(err)
		}
		gone = l
	}
}

// CloseSession closes the client's session, for all clients that have it. Without a
// connection it only makes the client forget the session, which then stays on
// the server until it expires there.
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
		c.mu.Unlock()
		return nil
	}
	s.closing++
	key := s.key
	c.mu.Unlock()
	return public(c.settle(ctx, l, c.within(ctx), protocol.Message{Kind: protocol.CloseSession}, func(protocol.Payload) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if s.key == key { // else it was forgotten already, and what there is now is another one
			c.forget()
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
	err := ctx.Err()
	if c.status == Closed {
		err = ErrClosed
	}
	if err == nil {
		c.owned.Go(func() {
			_, err := l.Request(context.Background(), m, limit, then)
			var late *link.TimeoutError
			if errors.As(err, &late) {
				l.Disconnect(transport.StatusNormal, "", err)
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
		return &TimeoutError{After: c.opts.Timeout}
	}
}

// restoreKept restores the session on a new connection, if there is one to
// restore. An error means that the connection is of no use; that the session could
// not be restored is none.
func (c *Client) restoreKept(l *link.Link) error {
	c.loadKey()
	c.mu.Lock()
	key, changes := c.session.key, c.session.changes
	c.session.renounced = false
	c.mu.Unlock()
	if key == "" {
		return nil
	}
	m := protocol.Message{Kind: protocol.RestoreSession, Payload: protocol.Text(key)}
	_, err := l.Request(context.Background(), m, c.opts.DialTimeout, func(p protocol.Payload) error {
		s, err := parseSession(p.Data)
		if err != nil {
			return err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.session.changes != changes {
			return errSessionForgotten // only a new connection makes the server forget it too
		}
		c.session.current, c.session.active = s, true
		return nil
	})
	var app *protocol.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, protocol.ErrSessionNotFound):
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.session.changes == changes && c.forget() {
			c.tellClosed()
		}
		return nil
	case errors.Is(err, protocol.ErrSessionFull), errors.Is(err, protocol.ErrInternal),
		errors.Is(err, protocol.ErrSessionsDisabled), errors.Is(err, protocol.ErrTooBig), errors.As(err, &app):
		c.log(slog.LevelWarn, "webwire: session cannot be restored now, the next connection will try again",
			"error", link.Conceal(err, key))
		return nil
	}
	return err
}

func parseSession(data []byte) (session.Session, error) {
	s, err := protocol.ParseSession(data)
	return session.Session(s), err
}

// sessionCreated takes a session that the server created.
func (c *Client) sessionCreated(data []byte) error {
	s, err := parseSession(data)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session.closed { // if a CloseSession fails yet, this would come too late
		c.session.closed = false
		c.tellClosed()
	}
	saved := c.keep(s)
	if hook := c.opts.Hooks.OnSessionCreated; hook != nil {
		c.later("OnSessionCreated", func() {
			<-saved
			hook(s)
		})
	}
	return nil
}

// sessionRestored takes the session that a RestoreSession got, unless one was closed
// since: waived is what it was before.
func (c *Client) sessionRestored(data []byte, waived int) error {
	s, err := parseSession(data)
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
	c.session.current, c.session.active = s, true
	return c.setKey(s.Key)
}

// sessionClosed forgets the session of the connection, which the server closed.
func (c *Client) sessionClosed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.session.active:
	case !c.forget():
	case c.session.closing > 0:
		c.session.closed = true // a CloseSession did it, most likely
	default:
		c.tellClosed()
	}
}

// forget forgets the session, and reports whether there was one. The caller holds mu.
func (c *Client) forget() bool {
	if c.session.key == "" {
		return false
	}
	c.session.current, c.session.active = session.Session{}, false
	c.setKey("")
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
	c.session.changes++
	if c.session.key == key {
		return nothingToSave
	}
	old := c.session.key
	c.session.key = key
	return c.saveKey(key, old)
}

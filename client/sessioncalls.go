package client

import (
	"context"
	"errors"
	"time"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/internal/manners"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// RestoreSession makes the session with the given key the client's session, which is then
// kept like one that the server created. The empty key means the key that the client
// keeps: it asks for that session now, without waiting for its own next attempt.
// RestoreSession waits for a connection as Request does. If the connection already has
// the session it returns nil at once.
//
// The error is protocol.ErrSessionNotFound, also if no key is kept,
// protocol.ErrSessionFull, protocol.ErrSessionsDisabled, a *protocol.Error with
// protocol.CodeSessionActive if the client has another session, protocol.ErrInternal if the
// server's look-up failed, the error of Options.Keys if it cannot load the key, or one of
// those of Request. If ctx ends before the reply has
// arrived the session may be restored nevertheless: see Session.
func (c *Client) RestoreSession(ctx context.Context, key string) error {
	if err := c.enter(); err != nil {
		return err
	}
	defer c.exit()
	if key == "" {
		if err := c.loadWithin(ctx); err != nil {
			return err
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
		if !c.again(&w, l, err) {
			return public(err)
		}
	}
}

// loadWithin loads the key for a caller with the given context.
func (c *Client) loadWithin(ctx context.Context) error {
	limited := ctx
	if limit := c.within(ctx); limit > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	err := c.loadKey(limited)
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case err == nil, err == ErrClosed:
		return err
	}
	return &link.UnsentError{Err: err}
}

// askFor records that a RestoreSession asks for a key, and reports whether it has to.
func (c *Client) askFor(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session.active && c.session.key == key && c.session.closing == 0 {
		return false
	}
	c.session.asked++
	return true
}

// askedFor records the outcome of that.
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

// CloseSession closes the client's session, for all clients that have it. Without a
// connection, or while the session cannot be restored, the client only forgets the
// session, which stays on the server until it expires.
func (c *Client) CloseSession(ctx context.Context) error {
	if err := c.enter(); err != nil {
		return err
	}
	defer c.exit()
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
			s.loaded, s.failure = true, nil
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
			l.DisconnectLater(transport.StatusNormalClosure, "", errSessionMistaken)
		}
		return nil
	}, c.closeSettled))
}

// closeSettled records that a CloseSession is over. If it failed, and yet the
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
// until the deadline of ctx if that is later, the connection is given up, unless the request
// was not sent. then is that of [link.Link.Request], over gets the outcome.
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
			var unsent *link.UnsentError
			if errors.As(err, &late) && !errors.As(err, &unsent) {
				l.Disconnect(transport.StatusNormalClosure, "", public(err))
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

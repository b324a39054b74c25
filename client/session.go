package client

import (
	"context"
	"errors"
	"log/slog"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport"
)

// sessionState is what the client knows of its session, guarded by the client's
// mutex. The key is kept while there is no connection, and while the server could
// not restore the session for the moment.
type sessionState struct {
	loaded  bool // Options.Keys was asked
	key     string
	current session.Session
	active  bool // the connection has the session
	changes int  // of the key, to tell whether it is still the one it was
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
	l, _, err := c.await(ctx, false)
	if err != nil {
		return err
	}
	return c.settle(ctx, l, protocol.Message{
		Kind:    protocol.RestoreSession,
		Payload: protocol.Text(key),
	}, func(p protocol.Payload) error {
		s, err := parseSession(p.Data)
		if err == nil {
			c.keep(s)
		}
		return err
	})
}

// CloseSession closes the client's session, for all clients that have it. Without a
// connection it only makes the client forget the session, which then stays on
// the server until it expires there.
func (c *Client) CloseSession(ctx context.Context) error {
	c.mu.Lock()
	l := c.link.Load()
	if c.status == Closed {
		c.mu.Unlock()
		return ErrClosed
	}
	if l == nil || !c.session.active {
		c.forget()
		c.mu.Unlock()
		return nil
	}
	c.mu.Unlock()
	return c.settle(ctx, l, protocol.Message{Kind: protocol.CloseSession}, func(protocol.Payload) error {
		c.sessionClosed()
		return nil
	})
}

// settle sends a request that changes the session and waits for its outcome within
// ctx. The request itself goes on if ctx ends, because both ends have to agree on
// the session: if there is no outcome within Options.Timeout the connection is
// given up.
func (c *Client) settle(ctx context.Context, l *link.Link, m protocol.Message, then func(protocol.Payload) error) error {
	done := make(chan error, 1)
	go func() {
		_, err := l.Request(context.Background(), m, c.opts.Timeout, then)
		var late *link.TimeoutError
		if errors.As(err, &late) {
			l.Disconnect(transport.StatusNormal, "", err)
		}
		done <- public(err)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// restoreKept restores the session on a new connection, if there is one to
// restore. An error means that the connection is of no use; that the session could
// not be restored is none.
func (c *Client) restoreKept(l *link.Link) error {
	c.loadKey()
	c.mu.Lock()
	key, changes := c.session.key, c.session.changes
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
		if c.session.changes == changes {
			c.forget()
		}
		return nil
	case errors.Is(err, protocol.ErrSessionFull), errors.Is(err, protocol.ErrInternal),
		errors.Is(err, protocol.ErrSessionsDisabled), errors.As(err, &app):
		c.log(slog.LevelWarn, "webwire: session cannot be restored now, the next connection will try again", "error", err)
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
	c.keep(s)
	if hook := c.opts.Hooks.OnSessionCreated; hook != nil {
		c.later("OnSessionCreated", func() { hook(s) })
	}
	return nil
}

// keep makes s the session of the connection and keeps its key.
func (c *Client) keep(s session.Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session.current, c.session.active = s, true
	c.setKey(s.Key)
}

// sessionClosed forgets the session of the connection.
func (c *Client) sessionClosed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session.active {
		c.forget()
	}
}

// forget forgets the session, if there is one. The caller holds mu.
func (c *Client) forget() {
	if c.session.key == "" {
		return
	}
	c.session.current, c.session.active = session.Session{}, false
	c.setKey("")
	if hook := c.opts.Hooks.OnSessionClosed; hook != nil {
		c.later("OnSessionClosed", hook)
	}
}

// setKey changes the key and has it saved. The caller holds mu.
func (c *Client) setKey(key string) {
	c.session.loaded = true
	c.session.changes++
	if c.session.key == key {
		return
	}
	c.session.key = key
	if c.opts.Keys != nil {
		c.later("Keys", func() {
			if err := c.opts.Keys.SaveKey(key); err != nil {
				c.log(slog.LevelError, "webwire: session key cannot be saved", "error", err)
			}
		})
	}
}

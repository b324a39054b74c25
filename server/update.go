package server

import (
	"context"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport"
)

// UpdateSession replaces the Info of the connection's session by info, encoded as JSON.
// The change is saved, and then every connection that has the session gets it, on all
// nodes, as a SessionCreated message with the same key, before the reply to the request that
// is being handled. A node that cannot be reached keeps the old Info until the next update
// or restore, or until the connection moves to another node. Section 8 of PROTOCOL.md says
// what clients of each version do with it. Concurrent updates of a session take effect one
// after the other, in the same order everywhere.
//
// After an error the session is unchanged, except that a store may have saved a change
// whose confirmation was lost. The error is ErrNoSession if the connection has no session,
// session.ErrNotFound if the session no longer exists in the store, ErrSessionInfo or
// protocol.ErrTooBig if a client that has the session cannot read info or not that much,
// see CreateSession, protocol.ErrSessionsDisabled, or the error of the store. Without a
// store OnSessionUpdated saves the change; if that hook is nil the error wraps
// errors.ErrUnsupported.
//
// OnSessionLookup is not called: if that hook changes what clients get, apply the same
// change to info.
func (c *Conn) UpdateSession(ctx context.Context, info any) (session.Session, error) {
	t := &c.server.sessions
	if t.store == nil {
		return session.Session{}, protocol.ErrSessionsDisabled
	}
	data, err := encodeInfo(info)
	if err != nil {
		return session.Session{}, err
	}
	s, err := t.update(ctx, c, data)
	if err == nil {
		t.tellNodes(ctx, opUpdated, s.Key)
	}
	return s, err
}

// update replaces the info of the session that the connection has, in the store and at all
// connections that have it. It returns the session of the connection.
func (t *sessions) update(ctx context.Context, c *Conn, info []byte) (session.Session, error) {
	l, err := t.occupy(ctx, c)
	if err != nil {
		return session.Session{}, err
	}
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		close(l.busy)
		l.busy = nil
		t.tidy(l)
	}()
	s, err := t.readable(c, l, info)
	if err != nil {
		return session.Session{}, err
	}
	if err := t.store.update(ctx, c, s); err != nil {
		return session.Session{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	l.updates++
	for other := range l.conns {
		other.session.hasInfo(info)
		other.tellSession()
	}
	return s, nil
}

// occupy makes the session of the connection busy, after another attempt to close or
// update it is over.
func (t *sessions) occupy(ctx context.Context, c *Conn) (*live, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		switch c.session.state {
		case taken:
		case left:
			return nil, ErrConnClosed
		default:
			return nil, ErrNoSession
		}
		l := c.session.live
		if l.busy == nil {
			l.busy = make(chan struct{})
			return l, nil
		}
		busy := l.busy
		t.mu.Unlock()
		err := error(nil)
		select {
		case <-busy:
		case <-ctx.Done():
			err = ctx.Err()
		}
		t.mu.Lock()
		if err != nil {
			return nil, err
		}
	}
}

// readable returns the session of the connection with info, or an error if the client of a
// connection that has the session cannot read it.
func (t *sessions) readable(c *Conn, l *live, info []byte) (session.Session, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for other := range l.conns {
		if err := other.readsSession(info); err != nil {
			return session.Session{}, err
		}
	}
	s := c.session.session
	s.Info = info
	return s, nil
}

// readsSession returns an error if the client cannot read its session with that info.
func (c *Conn) readsSession(info []byte) error {
	s := c.session.session
	s.Info = info
	err := c.checkInfo(info)
	if err == nil {
		_, err = c.sessionMessage(protocol.SessionCreated, protocol.ID{}, s)
	}
	return err
}

// tellSession sends the client the current state of its session. The caller holds mu of
// the registry. A client that cannot read it, because it joined after readable, is
// disconnected; its next restore says why.
func (c *Conn) tellSession() {
	s := c.session.session
	err := c.checkInfo(s.Info)
	if err == nil {
		var msg []byte
		if msg, err = c.sessionMessage(protocol.SessionCreated, protocol.ID{}, s); err == nil {
			c.tell(msg)
		}
	}
	if err != nil {
		c.link.DisconnectLater(transport.StatusInternalError, "the session cannot be read by this client", err)
	}
}

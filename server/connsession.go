package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport"
)

// maxRestores is how many restores may fail in a row before the connection is
// closed: keys cannot be guessed, and shall not be tried.
const maxRestores = 5

// Session returns the session of the connection, and whether it has one. Once the
// connection has ended it is the one that the connection had last, so that
// OnClientDisconnected knows whose connection it was.
func (c *Conn) Session() (session.Session, bool) {
	t := &c.server.sessions
	t.mu.Lock()
	defer t.mu.Unlock()
	return c.session.session, c.session.session.Key != ""
}

// sessionKey returns what must not be logged.
func (c *Conn) sessionKey() string {
	s, _ := c.Session()
	return s.Key
}

// CreateSession creates a session for the connection, with info in its JSON form: an
// object, or nil. Published clients of 1.2, and clients that negotiate the version, read
// any JSON value; for others it is an error that wraps ErrSessionInfo. The session is
// saved, then the client is told, before the reply to the request that is being
// handled. The error is ErrSessionActive if the connection has a session,
// protocol.ErrSessionsDisabled, or that of the store or of OnSessionCreated; there is
// no session then.
//
// If the session is created before the client has sent a request or signal, in
// OnClientConnected for instance, the client may not know of it yet and restore another
// session that it kept. If that one exists it takes the place of the new one, which is
// closed.
func (c *Conn) CreateSession(ctx context.Context, info any) (session.Session, error) {
	t := &c.server.sessions
	if t.store == nil {
		return session.Session{}, protocol.ErrSessionsDisabled
	}
	data, err := json.Marshal(info)
	if err != nil {
		return session.Session{}, fmt.Errorf("server: session info: %w", err)
	}
	if string(data) == "null" {
		data = nil
	}
	if !c.readsInfo(data) {
		return session.Session{}, fmt.Errorf("%w: clients of version %v read nothing else, got %.20q", ErrSessionInfo, c.info.Version, data)
	}
	if err := t.claim(c); err != nil {
		return session.Session{}, err
	}
	joined := false
	defer func() {
		if !joined {
			t.unclaim(c)
		}
	}()

	now := time.Now()
	s := session.Session{Created: now, LastSeen: now, Info: data}
	if s.Key, err = t.store.newKey(); err != nil {
		return session.Session{}, err
	}
	l, err := t.hold(ctx, s.Key, true)
	if err != nil {
		return session.Session{}, err
	}
	defer func() {
		if !joined {
			t.release(l)
		}
	}()
	if err := t.store.create(ctx, c, s); err != nil {
		return session.Session{}, err
	}
	object, err := c.sessionObject(s)
	if err == nil {
		err = t.join(c, l, s, protocol.Message{Kind: protocol.SessionCreated, Payload: object}, nil)
	}
	if err != nil {
		if errors.Is(err, protocol.ErrSessionNotFound) { // closed already
			t.store.discard(ctx, s.Key)
		} else {
			t.undo(ctx, s.Key)
		}
		return session.Session{}, err
	}
	joined = true
	return s, nil
}

// CloseSession closes the session of the connection, if it has one, as
// Server.CloseSession does: every connection of the session loses it, and every
// client is told, before the reply to the request that is being handled.
func (c *Conn) CloseSession(ctx context.Context) error { return c.closeSession(ctx, nil) }

func (c *Conn) closeSession(ctx context.Context, r *sessionRequest) error {
	t := &c.server.sessions
	if t.store == nil {
		return protocol.ErrSessionsDisabled
	}
	return t.close(ctx, "", c, r)
}

// readsInfo reports whether the client can read a session with that info (sections 3.4
// and 4.3 of PROTOCOL.md).
func (c *Conn) readsInfo(info []byte) bool {
	info = bytes.TrimSpace(info)
	return len(info) == 0 || info[0] == '{' || c.negotiated || c.info.Version == protocol.V1_2
}

// restore gives the connection the session of key and answers the request id with it.
// If early, the client has sent nothing else yet, and a session that was created for the
// connection makes room for that of key.
func (c *Conn) restore(ctx context.Context, id protocol.ID, key string, early bool) error {
	t := &c.server.sessions
	if t.store == nil {
		return protocol.ErrSessionsDisabled
	}
	if session.CheckKey(key) != nil {
		return protocol.ErrSessionNotFound
	}
	joined := false
	var made *live
	if early {
		made = t.made(c, key)
	}
	if made == nil {
		if err := t.claim(c); err != nil {
			if errors.Is(err, ErrSessionActive) {
				err = t.again(c, id, key)
			}
			return err
		}
		defer func() {
			if !joined {
				t.unclaim(c)
			}
		}()
	}
	l, err := t.hold(ctx, key, false)
	if err != nil {
		return err
	}
	defer func() {
		if !joined {
			t.release(l)
		}
	}()
	s, err := t.store.load(ctx, c, key)
	if err != nil {
		return err
	}
	if !c.readsInfo(s.Info) {
		return fmt.Errorf("%w: clients of version %v read nothing else", ErrSessionInfo, c.info.Version)
	}
	object, err := c.sessionObject(s)
	if err != nil {
		return err
	}
	err = t.join(c, l, s, protocol.Message{Kind: protocol.Reply, ID: id, Payload: object}, made)
	joined = err == nil
	if joined && made != nil {
		t.undo(ctx, made.key)
	}
	return err
}

// sessionObject returns the session in the form of the connection's version.
func (c *Conn) sessionObject(s session.Session) (protocol.Payload, error) {
	data, err := c.info.Version.AppendSession(nil, s)
	return protocol.Payload{Encoding: protocol.UTF8, Data: data}, err
}

// sessionRequest is a request to restore or close the session, in flight.
type sessionRequest struct {
	conn      *Conn
	msg       protocol.Message
	early     bool // the client has sent nothing but requests to restore before
	confirmed bool // guarded by server.sessions
}

func newSessionRequest(c *Conn, m protocol.Message) *sessionRequest {
	return &sessionRequest{conn: c, msg: m.Clone(nil), early: !c.spoke}
}

func (r *sessionRequest) Run() {
	c, id, ctx := r.conn, r.msg.ID, r.conn.link.Context()
	if c.refused {
		c.refuse(id)
		return
	}
	if r.msg.Kind == protocol.RestoreSession {
		if c.fails >= maxRestores { // it was received before the last of those was answered
			c.refuse(id)
			return
		}
		r.count(c.restore(ctx, id, r.msg.Payload.Text(), r.early))
		return
	}
	if err := c.closeSession(ctx, r); err != nil {
		c.fail(id, r.msg.Kind.String(), err)
	}
}

// confirm tells the client, if it asked for that, that its connection has no
// session: in the place among what it is told about sessions at which that is true.
func (r *sessionRequest) confirm() {
	if r == nil {
		return
	}
	r.confirmed = true
	// A reply without a payload can always be composed.
	msg, _ := r.conn.info.Version.Append(nil, protocol.Message{Kind: protocol.Reply, ID: r.msg.ID})
	r.conn.tell(msg)
}

// count answers a restore that failed, unless it succeeded, and ends a connection
// on which too many keys were tried. A key that exists, or that nobody looked up, is
// no try.
func (r *sessionRequest) count(err error) {
	c := r.conn
	if err == nil {
		c.fails = 0
		return
	}
	err = answer(err)
	c.fail(r.msg.ID, r.msg.Kind.String(), err)
	if errors.Is(err, protocol.ErrSessionNotFound) && !fromPeer(err) {
		c.fails++
	}
	if c.fails >= maxRestores {
		c.close(transport.StatusPolicyViolation, "too many failed attempts to restore a session", ErrTooManyRestores)
	}
}

func (r *sessionRequest) Panicked(value any, stack []byte) {
	r.conn.panicked("session store or hook", value, stack)
	if !r.confirmed {
		r.conn.reply(r.conn.info.Version.Failure(r.msg.ID, protocol.ErrInternal))
	}
}

// lastUse is the task of noting when a connection left its session.
type lastUse struct {
	conn *Conn
	key  string
}

func (u *lastUse) Run() {
	ctx, cancel := detached(u.conn.link.Context())
	defer cancel()
	// That the session is closed meanwhile does not matter.
	_ = u.conn.server.sessions.store.touch(ctx, u.key, time.Now())
}

func (u *lastUse) Panicked(value any, stack []byte) { u.conn.panicked("session store", value, stack) }

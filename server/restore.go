package server

import (
	"context"
	"errors"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport"
)

// maxRestores is the number of failed restores in a row after which the connection is
// closed, to stop clients that try keys.
const maxRestores = 5

// restore gives the connection the session of key and answers the request id with it. If
// early, the client has sent nothing else yet, and the session of key replaces one that
// was created for the connection.
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
	l, err := t.holdPlace(ctx, key)
	if err != nil {
		return err
	}
	defer func() {
		if !joined {
			t.release(l)
		}
	}()
	for {
		updates := t.updates(l)
		s, stored, err := t.store.load(ctx, c, key)
		if err != nil {
			return err
		}
		if err := c.checkInfo(s.Info); err != nil {
			return err
		}
		msg, err := c.sessionMessage(protocol.Reply, id, s)
		if err != nil {
			return err
		}
		pending := t.replaceElsewhere(ctx, l, 1)
		err = t.join(c, l, joining{session: s, stored: stored, msg: msg, instead: made, updates: updates})
		if err == errUpdated {
			continue
		}
		joined = err == nil
		if joined && pending {
			t.replaceAgain(l)
		}
		if joined && made != nil {
			t.undo(ctx, made.key)
		}
		return err
	}
}

// sessionRequest is a request in flight to restore or close the session.
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
		c.link.Drop()
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

// confirm answers the request, if there is one, that closed the session. It is called
// while the registry is locked, so that the reply is in order with the other messages
// about sessions.
func (r *sessionRequest) confirm() {
	if r == nil {
		return
	}
	r.confirmed = true
	// A reply without a payload can always be encoded.
	msg, _ := r.conn.info.Version.Append(nil, protocol.Message{Kind: protocol.Reply, ID: r.msg.ID})
	r.conn.tell(msg)
}

// count answers a failed restore, and ends a connection on which too many keys were
// tried. Only restores of keys that do not exist count.
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

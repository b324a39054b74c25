package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/webwire-go/webwire/internal/outbox"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/session"
)

// Session returns the session of the connection and reports whether it has one. After the
// connection has ended it is the session that it had last, so that OnClientDisconnected
// knows whose connection it was. The Info must not be modified.
func (c *Conn) Session() (session.Session, bool) {
	t := &c.server.sessions
	t.mu.Lock()
	defer t.mu.Unlock()
	return c.session.session, c.session.session.Key != ""
}

// sessionKey returns the key of the session, which must not be logged.
func (c *Conn) sessionKey() string {
	s, _ := c.Session()
	return s.Key
}

// CreateSession creates a session for the connection and encodes info as JSON into it.
// The session is saved, and then the client gets it, before the reply to the request that
// is being handled. After an error there is no session. The error is ErrSessionActive if
// the connection has a session, protocol.ErrSessionsDisabled, the error of the store or of
// OnSessionCreated, or wraps ErrConnClosed: a connection whose outbox is full ends.
//
// info must encode to a JSON object of at most 64 KiB, nested at most 32 levels deep, or be
// nil; otherwise the error wraps ErrSessionInfo. Clients of version 1.2 and clients that
// negotiate the version read any JSON value, not only objects.
//
// If the session is created before the client has sent a request or signal, for instance
// in OnClientConnected, the client may not have received it yet and may restore another
// session that it kept. If that one exists, the client gets it and the new session is
// closed.
func (c *Conn) CreateSession(ctx context.Context, info any) (session.Session, error) {
	t := &c.server.sessions
	if t.store == nil {
		return session.Session{}, protocol.ErrSessionsDisabled
	}
	data, err := encodeInfo(info)
	if err == nil {
		err = c.checkInfo(data)
	}
	if err != nil {
		return session.Session{}, err
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
	msg, err := c.sessionMessage(protocol.SessionCreated, protocol.ID{}, s)
	if err == nil {
		err = t.join(c, l, joining{session: s, msg: msg, made: true})
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

// encodeInfo returns info as JSON, nil for null.
func encodeInfo(info any) ([]byte, error) {
	data, err := json.Marshal(info)
	if err != nil {
		return nil, fmt.Errorf("server: session info: %w", err)
	}
	switch depth := depthOf(data); {
	case string(data) == "null":
		data = nil
	case len(data) > maxInfoSize:
		return nil, fmt.Errorf("%w: it has %d bytes, at most %d are allowed", ErrSessionInfo, len(data), maxInfoSize)
	case depth > maxInfoDepth:
		return nil, fmt.Errorf("%w: it is nested %d levels deep, at most %d are allowed", ErrSessionInfo, depth, maxInfoDepth)
	}
	return data, nil
}

// Every client with the session gets its info, each time that it connects.
const (
	maxInfoSize  = 64 << 10
	maxInfoDepth = 32
)

// depthOf returns how deep the objects and arrays of valid JSON are nested.
func depthOf(data []byte) (most int) {
	depth, text := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case text:
		case c == '{' || c == '[':
			depth++
			most = max(most, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return most
}

// CloseSession closes the session of the connection, if it has one, as
// Server.CloseSession does: every connection that has the session loses it, and every
// client is told before the reply to the request that is being handled.
func (c *Conn) CloseSession(ctx context.Context) error { return c.closeSession(ctx, nil) }

func (c *Conn) closeSession(ctx context.Context, r *sessionRequest) error {
	t := &c.server.sessions
	if t.store == nil {
		return protocol.ErrSessionsDisabled
	}
	return t.closeEverywhere(ctx, "", c, r)
}

// checkInfo returns an error if the client cannot read a session with that info (sections
// 3.4 and 4.3 of PROTOCOL.md).
func (c *Conn) checkInfo(info []byte) error {
	trimmed := bytes.TrimSpace(info)
	if len(trimmed) == 0 || trimmed[0] == '{' || c.negotiated || c.info.Version == protocol.V1_2 {
		return nil
	}
	return fmt.Errorf("%w: clients of version %v read nothing else", ErrSessionInfo, c.info.Version)
}

// CloseSession deletes a session and takes it from every connection that has it, on all
// nodes, whose clients are told. If the session does not exist it does nothing. After an
// error of the store the session is unchanged.
//
// CloseSession waits until the other nodes have confirmed, at most ten seconds. A node that
// does not, because it is cut off or has just started, takes the session away when it next
// notes its use, after at most five minutes; no node restores it meanwhile. That is logged
// and counted in Stats.EngineErrors, and is no error of CloseSession.
func (s *Server) CloseSession(ctx context.Context, key string) error {
	if s.sessions.store == nil {
		return protocol.ErrSessionsDisabled
	}
	if session.CheckKey(key) != nil {
		return nil
	}
	return s.sessions.closeEverywhere(ctx, key, nil, nil)
}

// SessionConns returns the connections of this node that have the session when the
// iteration begins. SignalSession reaches those of all nodes.
func (s *Server) SessionConns(key string) iter.Seq[*Conn] {
	return func(yield func(*Conn) bool) {
		t := &s.sessions
		t.mu.Lock()
		var conns []*Conn
		if l := t.live[key]; l != nil {
			for c := range l.conns {
				conns = append(conns, c)
			}
		}
		t.mu.Unlock()
		for _, c := range conns {
			if !yield(c) {
				return
			}
		}
	}
}

// sessionMessage returns the encoded message that gives the session to the client: a
// SessionCreated, or a Reply to the request id.
func (c *Conn) sessionMessage(kind protocol.Kind, id protocol.ID, s session.Session) ([]byte, error) {
	object, err := c.info.Version.AppendSession(nil, s)
	if err != nil {
		return nil, err
	}
	p := protocol.Payload{Encoding: protocol.UTF8, Data: object}
	msg, err := c.info.Version.Append(nil, protocol.Message{Kind: kind, ID: id, Payload: p})
	if err != nil {
		return nil, err
	}
	if c.limit > 0 && len(msg) > c.limit {
		return nil, fmt.Errorf("server: session of %d bytes, this client takes messages of at most %d: %w", len(msg), c.limit, protocol.ErrTooBig)
	}
	return msg, nil
}

// tellClosed tells the client that its session is closed.
func (c *Conn) tellClosed() {
	// A SessionClosed can always be encoded.
	msg, _ := c.info.Version.Append(nil, protocol.Message{Kind: protocol.SessionClosed})
	c.tell(msg)
}

// tell sends an encoded message without waiting for room.
func (c *Conn) tell(msg []byte) {
	if err := c.link.TrySendEncoded(msg); errors.Is(err, outbox.ErrFull) {
		c.tooSlow()
	}
}

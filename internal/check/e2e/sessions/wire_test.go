package sessions_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/internal/manners"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport"
)

// wire is a connection without a client: what it reads is what the server sent.
type wire struct {
	t    *testing.T
	conn transport.Conn
	v    protocol.Version
	next uint64
}

func (s *site) wire() *wire {
	s.t.Helper()
	conn, err := s.ln.Dial(s.t.Context(), transport.DialOptions{Protocols: []string{s.version.Token()}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Abort() })
	w := &wire{t: s.t, conn: conn, v: s.version}
	if manners.Of(s.version).Hello {
		hello, err := w.v.Append(nil, protocol.HelloBody{Requests: 16}.Message())
		if err == nil {
			err = conn.Write(hello)
		}
		if err != nil {
			s.t.Fatal(err)
		}
		w.want(protocol.ID{}, protocol.AcceptConf, protocol.Welcome)
	}
	if manners.Of(s.version).Conf {
		if m := w.read(); m.Kind != protocol.AcceptConf {
			s.t.Fatalf("the connection begins with a %v", m.Kind)
		}
	}
	return w
}

// send sends a message that wants a reply.
func (w *wire) send(kind protocol.Kind, name, payload string) protocol.ID {
	w.t.Helper()
	w.next++
	m := protocol.Message{Kind: kind, ID: protocol.NewID(w.next), Name: name}
	if payload != "" {
		m.Payload = protocol.Text(payload)
	}
	b, err := w.v.Append(nil, m)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.conn.Write(b); err != nil {
		w.t.Fatal(err)
	}
	return m.ID
}

func (w *wire) read() protocol.Message {
	w.t.Helper()
	b, err := w.conn.Read(nil)
	if err != nil {
		w.t.Fatalf("read: %v", err)
	}
	m, err := w.v.Parse(b)
	if err != nil {
		w.t.Fatalf("parse: %v", err)
	}
	return m.Clone(nil)
}

// want reads the messages that answer what was sent: of these kinds, in this order.
func (w *wire) want(id protocol.ID, kinds ...protocol.Kind) (last protocol.Message) {
	w.t.Helper()
	for _, kind := range kinds {
		last = w.read()
		kind = w.kind(kind)
		if last.Kind != kind || kind.IsReply() && last.ID != id {
			w.t.Fatalf("got a %v (%v), want %v", last.Kind, last.ID, kind)
		}
	}
	return last
}

// kind returns how the version sends a reply of a kind that is one of before 3.0.
func (w *wire) kind(k protocol.Kind) protocol.Kind {
	if w.v >= protocol.V3_0 && k >= protocol.ReplyShutdown && k <= protocol.ReplyProtocolError {
		return protocol.ReplyFailure
	}
	return k
}

// login creates a session and returns its key.
func (w *wire) login() string {
	w.t.Helper()
	id := w.send(protocol.Request, "login", `{"name":"ann"}`)
	created := w.want(id, protocol.SessionCreated)
	s, err := protocol.ParseSession(created.Payload.Data)
	if err != nil {
		w.t.Fatal(err)
	}
	w.want(id, protocol.Reply)
	return s.Key
}

func TestWireOrder(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		s := open(t, v, server.Options{})
		a, b := s.wire(), s.wire()
		key := a.login()
		m := b.want(b.send(protocol.RestoreSession, "", key), protocol.Reply)
		if restored, err := protocol.ParseSession(m.Payload.Data); err != nil || restored.Key != key || string(restored.Info) != `{"name":"ann"}` {
			t.Errorf("restored %v with %s (%v)", restored, restored.Info, err)
		}

		// Its own end of the session is confirmed as the version wants it.
		id := a.send(protocol.CloseSession, "", "")
		if v >= protocol.V2_0 {
			a.want(id, protocol.Reply)
		} else {
			a.want(id, protocol.SessionClosed, protocol.Reply)
		}
		b.want(protocol.ID{}, protocol.SessionClosed)
		a.want(a.send(protocol.CloseSession, "", ""), protocol.Reply) // nothing to close

		// A handler that closes the session is no closing of the client.
		a.login()
		a.want(a.send(protocol.Request, "logout", "!"), protocol.SessionClosed, protocol.Reply)
		s.wantSessions(0)
	})
}

func TestWireRefusals(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		s := open(t, v, server.Options{MaxSessionConns: 1, SessionPolicy: server.RefuseNewest})
		a, b := s.wire(), s.wire()
		key := a.login()
		b.want(b.send(protocol.RestoreSession, "", "unknown"), protocol.ReplySessionNotFound)
		b.want(b.send(protocol.RestoreSession, "", "no \x01 key"), protocol.ReplySessionNotFound)
		b.want(b.send(protocol.RestoreSession, "", key), protocol.ReplySessionFull)
		b.login()
		m := b.want(b.send(protocol.RestoreSession, "", key), protocol.ReplyError)
		wantErr(t, m.Err(), server.ErrSessionActive)
		s.wantSessions(2)

		// Restoring what one has is answered once more, and counts but once.
		a.want(a.send(protocol.RestoreSession, "", key), protocol.Reply)
		s.wantConns(key, 1)
		a.conn.Abort()
		s.wantConns(key, 0)

		off := open(t, v, server.Options{DisableSessions: true}).wire()
		off.want(off.send(protocol.RestoreSession, "", key), protocol.ReplySessionsDisabled)
		off.want(off.send(protocol.CloseSession, "", ""), protocol.ReplySessionsDisabled)
		off.want(off.send(protocol.Request, "login", "{}"), protocol.ReplySessionsDisabled)
	})
}

// The key that somebody tries out might be the right one the next time.
func TestTooManyRestores(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		reasons := make(chan error, 9)
		s := open(t, v, server.Options{Hooks: server.Hooks{
			OnClientDisconnected: func(_ *server.Conn, reason error) { reasons <- reason },
		}})
		key := s.wire().login()

		w := s.wire()
		for range 4 {
			w.want(w.send(protocol.RestoreSession, "", "guess"), protocol.ReplySessionNotFound)
		}
		w.want(w.send(protocol.RestoreSession, "", key), protocol.Reply) // begins a new row
		w.want(w.send(protocol.CloseSession, "", ""), map[bool][]protocol.Kind{
			true:  {protocol.SessionClosed, protocol.Reply},
			false: {protocol.Reply},
		}[manners.Of(v).ConfirmClose]...)
		for range 5 {
			w.want(w.send(protocol.RestoreSession, "", key), protocol.ReplySessionNotFound)
		}
		_, err := w.conn.Read(nil)
		var closed *transport.CloseError
		if !errors.As(err, &closed) || closed.Status != transport.StatusPolicyViolation || strings.Contains(err.Error(), key) {
			t.Errorf("the connection ended with %v", err)
		}
		wantErr(t, <-reasons, server.ErrTooManyRestores)
	})
}

// A store that is out of order is not the client's fault.
func TestFailingStoreIsNoGuess(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		s := open(t, v, server.Options{Hooks: server.Hooks{
			OnSessionCreated: nothing,
			OnSessionLookup:  lookupFails,
		}})
		w := s.wire()
		for range 9 {
			w.want(w.send(protocol.RestoreSession, "", "key"), protocol.ReplyInternalError)
		}
		w.login()
		synctest.Wait()
	})
}

// A place of the session is free when its connection has ended, not when the last
// of its handlers notices.
func TestPlaceOfDeadConnection(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		release := make(chan struct{})
		last := make(chan bool, 1)
		s := open(t, v, server.Options{MaxSessionConns: 1, SessionPolicy: server.RefuseNewest, Hooks: server.Hooks{
			OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
				if r.Name == "stay" {
					<-release
					return protocol.Payload{}, nil
				}
				return handle(ctx, r)
			},
			OnClientDisconnected: func(c *server.Conn, _ error) {
				_, had := c.Session()
				last <- had
			},
		}})
		a := s.wire()
		key := a.login()
		a.send(protocol.Request, "stay", "!")
		synctest.Wait()
		a.conn.Abort()
		s.wantConns(key, 0)
		b := s.wire()
		b.want(b.send(protocol.RestoreSession, "", key), protocol.Reply)
		close(release)
		if !<-last {
			t.Error("OnClientDisconnected is not told whose connection it was")
		}
		s.wantConns(key, 1)
	})
}

// Whoever does not read what it is told about its session holds up nobody, and
// learns of it when it comes back.
func TestDeafConnection(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		reasons := make(chan error, 1)
		s := open(t, v, server.Options{OutboxSize: 1 << 10, WriteTimeout: time.Hour, Hooks: server.Hooks{
			OnClientDisconnected: func(_ *server.Conn, reason error) { reasons <- reason },
		}})
		a, deaf := s.wire(), s.wire()
		key := deaf.login()
		for conn := range s.SessionConns(key) {
			ctx, cancel := context.WithCancel(t.Context()) // so that Signal does not wait until it is written
			defer cancel()
			if err := conn.Signal(ctx, "news", protocol.Text(strings.Repeat("x", 1<<20))); err != nil {
				t.Fatal(err)
			}
		}
		a.want(a.send(protocol.RestoreSession, "", key), protocol.Reply)
		id := a.send(protocol.CloseSession, "", "")
		if manners.Of(v).ConfirmClose {
			a.want(id, protocol.SessionClosed)
		}
		a.want(id, protocol.Reply)
		wantErr(t, <-reasons, server.ErrSlowConsumer)
		s.wantSessions(0)
	})
}

func nothing(context.Context, *server.Conn, session.Session) error { return nil }

func lookupFails(context.Context, *server.Conn, session.Session) (session.Session, error) {
	return session.Session{}, errors.New("the database is away")
}

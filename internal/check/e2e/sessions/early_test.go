package sessions_test

import (
	"context"
	"testing"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
)

func noteSignal(all *events) server.SignalHandler {
	return func(_ context.Context, s *server.Signal) { all.add(s.Name) }
}

// guests returns hooks that give every connection a session at once.
func guests(t *testing.T, all *events) server.Hooks {
	return server.Hooks{
		OnClientConnected: func(ctx context.Context, c *server.Conn) error {
			_, err := c.CreateSession(ctx, user{Name: "guest"})
			return err
		},
		OnSessionClosed: func(context.Context, string) error { all.add("closed"); return nil },
	}
}

// greeted returns a connection whose client has been told of its session, and the key.
func (s *site) greeted() (*wire, string) {
	s.t.Helper()
	w := s.wire()
	m := w.want(protocol.ID{}, protocol.SessionCreated)
	made, err := protocol.ParseSession(m.Payload.Data)
	if err != nil {
		s.t.Fatal(err)
	}
	return w, made.Key
}

// A client that comes back with a key gets its session, although the server has made one
// for the connection. Nothing is left of that.
func TestRestoreWinsOverGreeting(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		var all events
		store := &session.MemoryStore{}
		s := open(t, v, server.Options{Sessions: store, Hooks: guests(t, &all)})
		first, key := s.greeted()
		first.conn.Abort()
		s.wantConns(key, 0)

		w, made := s.greeted()
		w.want(w.send(protocol.RestoreSession, "", "unknown"), protocol.ReplySessionNotFound)
		s.wantConns(made, 1) // it keeps what it has
		all.want(t)
		m := w.want(w.send(protocol.RestoreSession, "", key), protocol.Reply)
		if got, err := protocol.ParseSession(m.Payload.Data); err != nil || got.Key != key {
			t.Errorf("restored %v, %v", got, err)
		}
		s.wantConns(key, 1)
		s.wantConns(made, 0)
		s.wantSessions(1)
		all.want(t, "closed")
		_, err := store.Load(t.Context(), made)
		wantErr(t, err, session.ErrNotFound)

		// What was restored is not replaced.
		_, another := s.greeted()
		wantErr(t, w.want(w.send(protocol.RestoreSession, "", another), protocol.ReplyError).Err(), server.ErrSessionActive)
		s.wantConns(another, 1)
	})
}

// Once the client has sent a request or signal the session is in use.
func TestGreetingInUse(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		var all events
		s := open(t, v, server.Options{Hooks: guests(t, &all)})
		_, key := s.greeted()
		w, made := s.greeted()
		w.want(w.send(protocol.Request, "whoami", "?"), protocol.Reply)
		wantErr(t, w.want(w.send(protocol.RestoreSession, "", key), protocol.ReplyError).Err(), server.ErrSessionActive)
		w.want(w.send(protocol.RestoreSession, "", made), protocol.Reply)
		s.wantConns(made, 1)
		all.want(t)
	})
}

// A session that the server closes while the client restores another is no obstacle.
func TestGreetingClosedMeanwhile(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		var all events
		hooks := guests(t, &all)
		looking, goOn := make(chan struct{}), make(chan struct{})
		hooks.OnSessionLookup = func(_ context.Context, _ *server.Conn, s session.Session) (session.Session, error) {
			close(looking)
			<-goOn
			return s, nil
		}
		s := open(t, v, server.Options{Sessions: &session.MemoryStore{}, Hooks: hooks})
		first, key := s.greeted()
		first.conn.Abort()
		w, made := s.greeted()
		id := w.send(protocol.RestoreSession, "", key)
		<-looking
		if err := s.CloseSession(t.Context(), made); err != nil {
			t.Fatal(err)
		}
		close(goOn)
		w.want(id, protocol.SessionClosed, protocol.Reply)
		s.wantConns(key, 1)
		s.wantSessions(1)
	})
}

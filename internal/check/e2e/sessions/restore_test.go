package sessions_test

import (
	"strings"
	"testing"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
)

func TestRestoreUnknown(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		s := open(t, v, server.Options{})
		c := s.client(client.Options{})
		key := session.NewKey()
		err := c.RestoreSession(t.Context(), key)
		wantErr(t, err, protocol.ErrSessionNotFound)
		if strings.Contains(err.Error(), key) {
			t.Error("the error tells the key")
		}
		wantNobody(t, c) // the connection goes on
		s.wantSessions(0)
		login(t, c, ann)
		wantUser(t, c, ann)
	})
}

func TestRestoreAfterDisconnect(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		store := &session.MemoryStore{}
		s := open(t, v, server.Options{Sessions: store})
		var told events
		c := s.client(client.Options{Hooks: told.watch("c")})
		made := login(t, c, ann)
		for range 3 {
			s.dropAll()
			s.wantSessions(0)
			if again, ok := c.Session(); !ok || again.Key != made.Key {
				t.Error("the session is forgotten while there is no connection")
			}
			if err := c.Connect(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantUser(t, c, ann)
			s.wantConns(made.Key, 1)
		}
		told.want(t, "c created") // once
		stored, err := store.Load(t.Context(), made.Key)
		if err != nil || !stored.LastSeen.After(made.LastSeen) {
			t.Errorf("the use is not noted: %v (%v)", stored, err)
		}
	})
}

func TestRestoreByKey(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		s := open(t, v, server.Options{})
		a := s.client(client.Options{})
		made := login(t, a, ann)
		var told events
		b := s.client(client.Options{Hooks: told.watch("b")})
		if err := b.RestoreSession(t.Context(), made.Key); err != nil {
			t.Fatal(err)
		}
		wantUser(t, b, ann)
		s.wantConns(made.Key, 2)
		s.wantSessions(1)
		told.want(t) // it was not created
		s.dropAll()  // and from now on it is kept
		if err := b.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantUser(t, b, ann)
	})
}

func TestMaxConns(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		s := open(t, v, server.Options{MaxSessionConns: 2})
		a, b, c := s.client(client.Options{}), s.client(client.Options{}), s.client(client.Options{})
		made := login(t, a, ann)
		if err := b.RestoreSession(t.Context(), made.Key); err != nil {
			t.Fatal(err)
		}
		wantErr(t, c.RestoreSession(t.Context(), made.Key), protocol.ErrSessionFull)
		wantNobody(t, c)
		s.wantConns(made.Key, 2)
		b.Close()
		s.wantConns(made.Key, 1)
		if err := c.RestoreSession(t.Context(), made.Key); err != nil {
			t.Errorf("there is room again: %v", err)
		}
		wantUser(t, c, ann)
	})
}

// A client whose place was taken keeps the key, and tries again with the next connection.
func TestMaxConnsKeepsKey(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		s := open(t, v, server.Options{MaxSessionConns: 1, SessionPolicy: server.RefuseNewest})
		var told events
		a := s.client(client.Options{Hooks: told.watch("a")})
		made := login(t, a, ann)
		s.dropAll()
		w := s.wire()
		w.want(w.send(protocol.RestoreSession, "", made.Key), protocol.Reply)
		if err := a.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantNobody(t, a)
		s.dropAll()
		if err := a.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantUser(t, a, ann)
		told.want(t, "a created")
	})
}

func TestInfoAndCounters(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		s := open(t, v, server.Options{})
		a, b, c := s.client(client.Options{}), s.client(client.Options{}), s.client(client.Options{})
		first := login(t, a, ann)
		second := login(t, b, user{Name: "bob"})
		if err := c.RestoreSession(t.Context(), first.Key); err != nil {
			t.Fatal(err)
		}
		s.wantConns(first.Key, 2)
		s.wantConns(second.Key, 1)
		s.wantConns("unknown", 0)
		s.wantSessions(2)
		for conn := range s.SessionConns(first.Key) {
			info := conn.Info()
			if info.Version != v || info.RemoteAddr == nil || info.Connected.IsZero() {
				t.Errorf("info of the connection is %+v", info)
			}
			if got, ok := conn.Session(); !ok || got.Key != first.Key {
				t.Errorf("it has %v", got)
			}
			if sent, err := server.Broadcast(s.SessionConns(first.Key), "hello", protocol.Text("!")); sent != 2 || err != nil {
				t.Errorf("Broadcast reached %d of 2 (%v)", sent, err)
			}
		}
		a.Close()
		s.wantConns(first.Key, 1)
		s.wantSessions(2)
		c.Close()
		s.wantSessions(1)
		s.dropAll()
		s.wantSessions(0)
	})
}

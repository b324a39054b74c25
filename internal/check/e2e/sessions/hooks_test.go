package sessions_test

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/session/sessiontest"
)

// noting returns a store that notes its calls.
func noting(e *events) *sessiontest.Faulty {
	store := &sessiontest.Faulty{Store: &session.MemoryStore{}}
	for _, op := range []sessiontest.Op{sessiontest.Save, sessiontest.Load, sessiontest.Touch, sessiontest.Delete} {
		store.Break(op, func(ctx context.Context, _ *sessiontest.Call, next func(context.Context) error) error {
			e.add(op.String())
			return next(ctx)
		})
	}
	return store
}

// Store first, hook second, client last.
func TestHookOrder(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		var all events
		s := open(t, v, server.Options{Sessions: noting(&all), Hooks: server.Hooks{
			OnSessionKeyGeneration: func() string { all.add("key"); return session.NewKey() },
			OnSessionCreated: func(_ context.Context, c *server.Conn, s session.Session) error {
				if _, ok := c.Session(); ok || s.Key == "" || string(s.Info) != `{"name":"ann","age":42}` {
					t.Errorf("OnSessionCreated got %v with %s", s, s.Info)
				}
				all.add("OnSessionCreated")
				return nil
			},
			OnSessionLookup: func(_ context.Context, _ *server.Conn, s session.Session) (session.Session, error) {
				if string(s.Info) != `{"name":"ann","age":42}` || s.Created.IsZero() {
					t.Errorf("OnSessionLookup got %v with %s", s, s.Info)
				}
				all.add("OnSessionLookup")
				s.Info = []byte(`{"name":"anna"}`)
				return s, nil
			},
			OnSessionClosed: func(context.Context, string) error { all.add("OnSessionClosed"); return nil },
		}})
		c := s.client(client.Options{Hooks: all.watch("client")})
		login(t, c, ann)
		all.want(t, "key", "Save", "OnSessionCreated", "client created")
		s.dropAll()
		if err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		all.want(t, "Touch", "Load", "Touch", "OnSessionLookup")
		wantUser(t, c, user{Name: "anna"}) // what the hook made of it
		if _, err := c.Request(t.Context(), "logout", protocol.Text("!")); err != nil {
			t.Fatal(err)
		}
		all.want(t, "Delete", "OnSessionClosed", "client closed")
	})
}

var errHook = errors.New("the hook refuses")

// failures are the ways in which user code does not do what it shall.
var failures = []struct {
	name string
	fail func() error
}{
	{"Error", func() error { return errHook }},
	{"AppError", func() error { return &protocol.Error{Code: "BANNED"} }},
	{"Panic", func() error { panic("the hook has a bug") }},
	{"Goexit", func() error { runtime.Goexit(); return nil }},
}

func eachFailure(t *testing.T, test func(t *testing.T, v protocol.Version, fail func() error)) {
	for _, f := range failures {
		t.Run(f.name, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, v protocol.Version) { test(t, v, f.fail) })
		})
	}
}

// What a hook undoes was never there.
func TestOnSessionCreatedFails(t *testing.T) {
	eachFailure(t, func(t *testing.T, v protocol.Version, fail func() error) {
		var all events
		failing := true
		s := open(t, v, server.Options{Sessions: noting(&all), Hooks: server.Hooks{
			OnSessionCreated: func(context.Context, *server.Conn, session.Session) error {
				if failing {
					return fail()
				}
				return nil
			},
			OnSessionClosed: func(context.Context, string) error { all.add("OnSessionClosed"); return nil },
		}})
		c := s.client(client.Options{Hooks: all.watch("client")})
		if _, err := client.Call[struct{}](t.Context(), c, "login", ann); err == nil {
			t.Error("the login succeeded")
		}
		all.want(t, "Save", "Delete")
		wantNobody(t, c)
		s.wantSessions(0)
		failing = false
		login(t, c, ann)
		wantUser(t, c, ann)
	})
}

func TestOnSessionKeyGenerationFails(t *testing.T) {
	eachFailure(t, func(t *testing.T, v protocol.Version, fail func() error) {
		failing := true
		s := open(t, v, server.Options{Hooks: server.Hooks{
			OnSessionKeyGeneration: func() string {
				if failing && fail() != nil {
					return ""
				}
				return session.NewKey()
			},
		}})
		c := s.client(client.Options{})
		if _, err := client.Call[struct{}](t.Context(), c, "login", ann); !errors.Is(err, protocol.ErrInternal) {
			t.Errorf("login: %v", err)
		}
		wantNobody(t, c)
		failing = false
		login(t, c, ann)
	})
}

// A lookup that fails is not the end of the session.
func TestOnSessionLookupFails(t *testing.T) {
	eachFailure(t, func(t *testing.T, v protocol.Version, fail func() error) {
		failing := false
		var told events
		s := open(t, v, server.Options{Hooks: server.Hooks{
			OnSessionLookup: func(_ context.Context, _ *server.Conn, s session.Session) (session.Session, error) {
				if failing {
					return session.Session{}, fail()
				}
				return s, nil
			},
		}})
		c := s.client(client.Options{Hooks: told.watch("c")})
		made := login(t, c, ann)
		failing = true
		s.dropAll()
		if err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantNobody(t, c)
		if err := c.RestoreSession(t.Context(), made.Key); !errors.Is(err, protocol.ErrInternal) && !errors.Is(err, code("BANNED")) {
			t.Errorf("RestoreSession: %v", err)
		}
		failing = false
		s.dropAll()
		if err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantUser(t, c, ann)
		told.want(t, "c created")
	})
}

// The store has deleted the session: it is closed, whatever the hook does.
func TestOnSessionClosedFails(t *testing.T) {
	eachFailure(t, func(t *testing.T, v protocol.Version, fail func() error) {
		store := &session.MemoryStore{}
		s := open(t, v, server.Options{Sessions: store, Hooks: server.Hooks{
			OnSessionClosed: func(context.Context, string) error { return fail() },
		}})
		var told events
		a, b := s.client(client.Options{}), s.client(client.Options{Hooks: told.watch("b")})
		made := login(t, a, ann)
		if err := b.RestoreSession(t.Context(), made.Key); err != nil {
			t.Fatal(err)
		}
		if err := a.CloseSession(t.Context()); err != nil {
			t.Errorf("CloseSession: %v", err)
		}
		told.want(t, "b closed")
		wantNobody(t, a)
		wantNobody(t, b)
		s.wantSessions(0)
		if !s.logged.has("OnSessionClosed") {
			t.Errorf("nothing is logged of it:\n%v", s.logged)
		}
	})
}

// The original's way: what the hooks keep is the store.
func TestHooksAlone(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		kept := session.MemoryStore{}
		var closing error
		s := open(t, v, server.Options{Hooks: server.Hooks{
			OnSessionCreated: func(ctx context.Context, _ *server.Conn, s session.Session) error {
				return kept.Save(ctx, s)
			},
			OnSessionLookup: func(ctx context.Context, _ *server.Conn, s session.Session) (session.Session, error) {
				if !s.Created.IsZero() || len(s.Info) > 0 {
					t.Errorf("there is no store, and yet the hook got %v", s)
				}
				return kept.Load(ctx, s.Key)
			},
			OnSessionClosed: func(ctx context.Context, key string) error {
				if closing != nil {
					return closing
				}
				return kept.Delete(ctx, key)
			},
		}})
		var told events
		c := s.client(client.Options{Hooks: told.watch("c")})
		made := login(t, c, ann)
		s.dropAll()
		if err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantUser(t, c, ann)
		wantErr(t, s.client(client.Options{}).RestoreSession(t.Context(), "unknown"), protocol.ErrSessionNotFound)

		closing = errHook // it is not deleted, hence not closed
		wantErr(t, c.CloseSession(t.Context()), protocol.ErrInternal)
		wantErr(t, s.CloseSession(t.Context(), made.Key), errHook)
		wantUser(t, c, ann)
		closing = nil
		if err := c.CloseSession(t.Context()); err != nil {
			t.Error(err)
		}
		wantNobody(t, c)
		told.want(t, "c created")
		wantErr(t, c.RestoreSession(t.Context(), made.Key), protocol.ErrSessionNotFound)
	})
}

// However many close it at once, a session is closed once.
func TestClosedOnce(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		var all events
		gate := make(chan struct{})
		s := open(t, v, server.Options{Hooks: server.Hooks{
			OnSessionClosed: func(context.Context, string) error {
				all.add("OnSessionClosed")
				<-gate
				return nil
			},
		}})
		a, b := s.client(client.Options{}), s.client(client.Options{})
		made := login(t, a, ann)
		if err := b.RestoreSession(t.Context(), made.Key); err != nil {
			t.Fatal(err)
		}
		results := make(chan error, 4)
		go func() { results <- a.CloseSession(t.Context()) }()
		go func() { results <- b.CloseSession(t.Context()) }()
		go func() { results <- s.CloseSession(t.Context(), made.Key) }()
		go func() { results <- s.CloseSession(t.Context(), made.Key) }()
		all.want(t, "OnSessionClosed")
		close(gate)
		for range cap(results) {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		all.want(t)
		wantNobody(t, a)
		wantNobody(t, b)
	})
}

package sessions_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport"
)

func TestCreate(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		store := &session.MemoryStore{}
		s := open(t, v, server.Options{Sessions: store})
		var told events
		c := s.client(client.Options{Hooks: told.watch("c")})
		wantNobody(t, c)
		made := login(t, c, ann)
		wantUser(t, c, ann)
		told.want(t, "c created")
		s.wantConns(made.Key, 1)
		s.wantSessions(1)
		stored, err := store.Load(t.Context(), made.Key)
		if err != nil || !stored.Created.Equal(made.Created) {
			t.Errorf("the store has %v (%v), the client %v", stored, err, made)
		}
		for conn := range s.Conns() {
			if on, ok := conn.Session(); !ok || on.Key != made.Key || !on.Created.Equal(made.Created) {
				t.Errorf("the connection has %v, the client %v", on, made)
			}
		}
	})
}

// What info may be: every JSON value with 1.2, an object for all.
func TestCreateInfo(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		results := make(chan error, 1)
		var info any
		s := open(t, v, server.Options{Hooks: server.Hooks{
			OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
				_, err := r.Conn.CreateSession(ctx, info)
				results <- err
				return protocol.Payload{}, nil
			},
		}})
		for _, info = range []any{nil, map[string]any{}, ann, &ann, []int{1}, "text", 7, json.RawMessage(`null`)} {
			c := s.client(client.Options{})
			if _, err := c.Request(t.Context(), "", protocol.Text("!")); err != nil {
				t.Fatal(err)
			}
			if err := <-results; err != nil {
				t.Errorf("CreateSession(%#v): %v", info, err)
			}
			if _, ok := c.Session(); !ok {
				t.Errorf("no session with info %#v", info)
			}
		}
		c := s.client(client.Options{})
		info = func() {}
		c.Request(t.Context(), "", protocol.Text("!"))
		if err := <-results; err == nil {
			t.Error("a function has become JSON")
		}
		wantNone(t, c)
	})
}

func wantNone(t *testing.T, c *client.Client) {
	t.Helper()
	if _, ok := c.Session(); ok {
		t.Error("the client has a session")
	}
}

func TestCreateOverActive(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		s := open(t, v, server.Options{})
		c := s.client(client.Options{})
		made := login(t, c, ann)
		_, err := client.Call[struct{}](t.Context(), c, "login", user{Name: "eve"})
		wantErr(t, err, code("SESSION_ACTIVE"))
		wantUser(t, c, ann)

		other := s.client(client.Options{})
		bob := login(t, other, user{Name: "bob"})
		wantErr(t, c.RestoreSession(t.Context(), bob.Key), code("SESSION_ACTIVE"))
		wantUser(t, c, ann)
		s.wantConns(made.Key, 1)
		s.wantConns(bob.Key, 1)
	})
}

func TestDisabled(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		s := open(t, v, server.Options{DisableSessions: true})
		c := s.client(client.Options{})
		_, err := client.Call[struct{}](t.Context(), c, "login", ann)
		wantErr(t, err, protocol.ErrSessionsDisabled)
		wantErr(t, c.RestoreSession(t.Context(), session.NewKey()), protocol.ErrSessionsDisabled)
		wantErr(t, s.CloseSession(t.Context(), session.NewKey()), protocol.ErrSessionsDisabled)
		if err := c.CloseSession(t.Context()); err != nil { // there is none to close
			t.Errorf("CloseSession: %v", err)
		}
		wantNobody(t, c)
	})
}

func TestKeyGeneration(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		key, results := "", make(chan error, 1)
		store := &session.MemoryStore{}
		s := open(t, v, server.Options{Sessions: store, Hooks: server.Hooks{
			OnSessionKeyGeneration: func() string { return key },
			OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
				_, err := r.Conn.CreateSession(ctx, nil)
				results <- err
				return protocol.Payload{}, err
			},
		}})
		try := func() (*client.Client, error) {
			c := s.client(client.Options{})
			c.Request(t.Context(), "", protocol.Text("!"))
			return c, <-results
		}
		for _, key = range []string{"", "\x00secret\x00", "schlüssel-secret", "secret\n", strings.Repeat("secret", 50)} {
			c, err := try()
			if err == nil {
				t.Errorf("key %q was taken", key)
			} else if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells the key: %v", err)
			}
			wantNone(t, c)
		}
		key = "the custom key of a test"
		c, err := try()
		if got, _ := c.Session(); err != nil || got.Key != key {
			t.Errorf("custom key: got %v (%v)", got, err)
		}
		// Another client must not be given the session of the first.
		c, err = try()
		if err == nil || strings.Contains(err.Error(), key) {
			t.Errorf("a key that is in use: %v", err)
		}
		wantNone(t, c)
		s.wantConns(key, 1)
	})
}

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

func TestCloseOffline(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		s := open(t, v, server.Options{})
		var told events
		c := s.client(client.Options{DisableAutoconnect: true, Hooks: told.watch("c")})
		if err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		made := login(t, c, ann)
		s.dropAll()
		if err := c.CloseSession(t.Context()); err != nil {
			t.Errorf("CloseSession: %v", err)
		}
		wantNobody(t, c)
		if err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantNobody(t, c)
		told.want(t, "c created")
		other := s.client(client.Options{}) // the server knows nothing of that
		if err := other.RestoreSession(t.Context(), made.Key); err != nil {
			t.Errorf("the session is gone: %v", err)
		}
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
		s := open(t, v, server.Options{MaxSessionConns: 1})
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

// Whoever closes a session, all of its clients are told.
func TestClose(t *testing.T) {
	closers := []struct {
		name  string
		close func(t *testing.T, s *site, c *client.Client, key string) error
		own   bool // c's own CloseSession, of which it is not told
	}{
		{"Client", func(t *testing.T, _ *site, c *client.Client, _ string) error { return c.CloseSession(t.Context()) }, true},
		{"Handler", func(t *testing.T, _ *site, c *client.Client, _ string) error {
			_, err := c.Request(t.Context(), "logout", protocol.Text("!"))
			return err
		}, false},
		{"Server", func(t *testing.T, s *site, _ *client.Client, key string) error {
			return s.CloseSession(t.Context(), key)
		}, false},
		{"Conn", func(t *testing.T, s *site, _ *client.Client, key string) error {
			return slices.Collect(s.SessionConns(key))[0].CloseSession(t.Context())
		}, false},
	}
	for _, test := range closers {
		t.Run(test.name, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, v protocol.Version) {
				store := &session.MemoryStore{}
				s := open(t, v, server.Options{Sessions: store})
				var told events
				a, b, away := s.client(client.Options{Hooks: told.watch("a")}), s.client(client.Options{Hooks: told.watch("b")}), s.client(client.Options{})
				made := login(t, a, ann)
				told.want(t, "a created")
				for _, c := range []*client.Client{b, away} {
					if err := c.RestoreSession(t.Context(), made.Key); err != nil {
						t.Fatal(err)
					}
				}
				away.Close()
				if err := test.close(t, s, a, made.Key); err != nil {
					t.Fatal(err)
				}
				got := told.take()
				slices.Sort(got)
				want := []string{"a closed", "b closed"}
				if test.own {
					want = want[1:]
				}
				if !slices.Equal(got, want) {
					t.Errorf("told %q, want %q", got, want)
				}
				wantNobody(t, a)
				wantNobody(t, b)
				s.wantSessions(0)
				s.wantConns(made.Key, 0)
				if _, err := store.Load(t.Context(), made.Key); !errors.Is(err, session.ErrNotFound) {
					t.Errorf("the store still has it: %v", err)
				}
				wantErr(t, a.RestoreSession(t.Context(), made.Key), protocol.ErrSessionNotFound)
				login(t, a, ann) // a new one can be made
				wantUser(t, a, ann)
			})
		})
	}
}

// A client that was away learns that its session was closed when it comes back.
func TestCloseWhileAway(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		s := open(t, v, server.Options{})
		var told events
		c := s.client(client.Options{Hooks: told.watch("c")})
		made := login(t, c, ann)
		s.dropAll()
		if err := s.CloseSession(t.Context(), made.Key); err != nil {
			t.Fatal(err)
		}
		if err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantNobody(t, c)
		told.want(t, "c created", "c closed")
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

func asClose(err error, target **transport.CloseError) bool { return errors.As(err, target) }

func nothing(context.Context, *server.Conn, session.Session) error { return nil }

func lookupFails(context.Context, *server.Conn, session.Session) (session.Session, error) {
	return session.Session{}, errors.New("the database is away")
}

package sessions_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
)

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

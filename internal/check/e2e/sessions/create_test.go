package sessions_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
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

// What info may be: every JSON value for clients of 1.2 and those that negotiate the
// version, an object or nothing for others.
func TestCreateInfo(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		for _, negotiated := range []bool{false, true} {
			testCreateInfo(t, v, negotiated)
		}
	})
}

func testCreateInfo(t *testing.T, v protocol.Version, negotiated bool) {
	results := make(chan error, 1)
	var info any
	s := open(t, v, server.Options{Hooks: server.Hooks{
		OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
			_, err := r.Conn.CreateSession(ctx, info)
			results <- err
			return protocol.Payload{}, nil
		},
	}})
	connect := func() *client.Client { return s.client(client.Options{}) }
	if !negotiated {
		connect = func() *client.Client { return s.clientOver(&piped{s: s}, client.Options{}) }
	}
	for _, info = range []any{nil, map[string]any{}, ann, &ann, []int{1}, "text", 7, json.RawMessage(`null`)} {
		c := connect()
		if _, err := c.Request(t.Context(), "", protocol.Text("!")); err != nil {
			t.Fatal(err)
		}
		err := <-results
		switch info.(type) {
		case []int, string, int:
			if v != protocol.V1_2 && !negotiated {
				wantErr(t, err, server.ErrSessionInfo)
				wantNone(t, c)
				continue
			}
		}
		if err != nil {
			t.Errorf("CreateSession(%#v): %v", info, err)
		}
		if _, ok := c.Session(); !ok {
			t.Errorf("no session with info %#v", info)
		}
	}
	c := connect()
	info = func() {}
	c.Request(t.Context(), "", protocol.Text("!"))
	if err := <-results; err == nil {
		t.Error("a function has become JSON")
	}
	wantNone(t, c)
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

package sessions_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/session/sessiontest"
	"github.com/webwire-go/webwire/transport/websocket"
)

// secrets are the keys of a test, and all that anybody may read.
type secrets struct {
	mu    sync.Mutex
	keys  []string
	texts []string
}

func (s *secrets) newKey() string {
	key := session.NewKey()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = append(s.keys, key)
	return key
}

// seen notes what somebody may read: an error, values in a log or a metric.
func (s *secrets) seen(what ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range what {
		s.texts = append(s.texts, fmt.Sprint(v), fmt.Sprintf("%+v", v), fmt.Sprintf("%q", v))
	}
}

// verify looks for keys, and for half a key too.
func (s *secrets) verify(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.keys) == 0 {
		t.Error("there was no key to find")
	}
	for _, text := range s.texts {
		for _, key := range s.keys {
			if i := strings.Index(text, key[:20]); i >= 0 {
				begin := max(0, strings.LastIndexByte(text[:i], '\n'))
				t.Errorf("a session key can be read in\n%.2000s", text[begin:])
				return
			}
		}
	}
}

// careless are errors and panics of user code that name the key.
var careless = []struct {
	name string
	fail func(key string) error
}{
	{"Error", func(key string) error { return fmt.Errorf("SELECT * FROM sessions WHERE key = %q: %w", key, errDisk) }},
	{"NotFound", func(key string) error { return fmt.Errorf("no session %s: %w", key, session.ErrNotFound) }},
	{"Panic", func(key string) error { panic("no such session: " + key) }},
	{"PanicError", func(key string) error { panic(fmt.Errorf("no such session: %s", key)) }},
	{"PanicSession", func(key string) error { panic(session.Session{Key: key}) }},
}

// Everything that can be done with a session, with a store, hooks and a KeyStore
// that fail in every way and are careless about it.
func TestNoKeyIsShown(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		sec := &secrets{}
		store := &sessiontest.Faulty{Store: &session.MemoryStore{}}
		var failing string          // which hook
		var fail func(string) error // and how
		maybe := func(hook, key string) error {
			if hook == failing {
				return fail(key)
			}
			return nil
		}
		s := open(t, v, server.Options{Sessions: store, MaxSessionConns: 3, Hooks: server.Hooks{
			OnSessionKeyGeneration: sec.newKey,
			OnSessionCreated: func(_ context.Context, _ *server.Conn, s session.Session) error {
				return maybe("created", s.Key)
			},
			OnSessionLookup: func(_ context.Context, _ *server.Conn, s session.Session) (session.Session, error) {
				return s, maybe("lookup", s.Key)
			},
			OnSessionClosed: func(_ context.Context, key string) error { return maybe("closed", key) },
			OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
				if s, ok := r.Conn.Session(); ok && r.Name == "careless" {
					return protocol.Payload{}, fail(s.Key)
				}
				p, err := handle(ctx, r)
				sec.seen(err)
				return p, err
			},
			OnClientDisconnected: func(c *server.Conn, reason error) {
				s, _ := c.Session()
				sec.seen(reason, s, c.Info())
			},
		}})
		keys := &keyStore{}
		hooks := client.Hooks{
			OnSessionCreated: func(_ context.Context, s session.Session) { maybe("client", s.Key) },
			OnDisconnected:   func(_ context.Context, reason error) { sec.seen(reason) },
		}
		scene := func() {
			ctx := t.Context()
			a, b := s.client(client.Options{Keys: keys, Hooks: hooks}), s.client(client.Options{Hooks: hooks})
			_, err := client.Call[struct{}](ctx, a, "login", ann)
			had, _ := a.Session()
			sec.seen(err, had)
			_, err = a.Request(ctx, "careless", protocol.Text("!"))
			sec.seen(err, a.RestoreSession(ctx, sec.newKey()))
			if had.Key != "" {
				sec.seen(b.RestoreSession(ctx, had.Key))
			}
			sec.seen(b.RestoreSession(ctx, sec.newKey()))
			s.dropAll()
			sec.seen(a.Connect(ctx), a.Stats(), s.Stats())
			_, err = a.Request(ctx, "logout", protocol.Text("!"))
			sec.seen(err, b.CloseSession(ctx), a.CloseSession(ctx), s.CloseSession(ctx, sec.newKey()))
			if had.Key != "" {
				sec.seen(s.CloseSession(ctx, had.Key), b.RestoreSession(ctx, had.Key))
			}
			a.Close()
			b.Close()
		}
		for _, how := range careless {
			fail = how.fail
			for _, failing = range []string{"created", "lookup", "closed", "client"} {
				scene()
			}
			failing = ""
			var last string
			keys.save = func(key string) error {
				if key != "" {
					last = key
				}
				return fail(last)
			}
			scene()
			keys.save = nil
			for _, op := range []sessiontest.Op{sessiontest.Save, sessiontest.Load, sessiontest.Touch, sessiontest.Delete} {
				store.Break(op, func(_ context.Context, call *sessiontest.Call, _ func(context.Context) error) error {
					return fail(call.Key)
				})
				scene()
				store.Break(op, sessiontest.Spoil())
				scene()
				store.Mend(op)
			}
		}
		scene()
		sec.seen(s.logged)
		if !s.logged.has("panicked") || !s.logged.has("session cannot be restored now") || !s.logged.has("key cannot be saved") {
			t.Error("what was to be looked at was not logged")
		}
		sec.verify(t)
	})
}

// Keys are in messages only: no URL and no header has one, where proxies log them.
func TestNoKeyInHTTP(t *testing.T) {
	sec := &secrets{}
	logged := &log{}
	srv := server.New(server.Options{
		Upgrader: &websocket.Upgrader{},
		Hooks:    server.Hooks{OnSessionKeyGeneration: sec.newKey, OnRequest: handle},
		Logger:   debugLogger(logged),
	})
	var http1 sync.WaitGroup
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http1.Add(1)
		defer http1.Done()
		dump, err := httputil.DumpRequest(r, false)
		if err != nil {
			t.Error(err)
		}
		sec.seen(string(dump))
		srv.ServeHTTP(w, r)
	}))
	defer web.Close()
	keys := &keyStore{}
	for _, versions := range [][]protocol.Version{{protocol.V1_2}, {protocol.V2_0}, {protocol.V3_0}} {
		reconnected := make(chan struct{}, 9)
		c := client.New(&websocket.Dialer{URL: "ws" + strings.TrimPrefix(web.URL, "http")}, client.Options{
			Versions: versions, Keys: keys, Logger: debugLogger(logged),
			Hooks: client.Hooks{OnConnected: func(context.Context) { reconnected <- struct{}{} }},
		})
		made := login(t, c, ann)
		<-reconnected
		for conn := range srv.Conns() {
			conn.Abort()
		}
		<-reconnected
		wantUser(t, c, ann)
		if err := c.CloseSession(t.Context()); err != nil {
			t.Error(err)
		}
		wantErr(t, c.RestoreSession(t.Context(), made.Key), protocol.ErrSessionNotFound)
		c.Close()
	}
	srv.Close()
	if err := srv.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	http1.Wait()
	sec.seen(logged)
	if !slices.ContainsFunc(sec.texts, func(s string) bool { return strings.HasPrefix(s, "GET ") }) {
		t.Error("no request was seen")
	}
	sec.verify(t)
}

package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

// An error of OnClientConnected refuses the connection, and decides what the client reads.
func TestConnectionRefused(t *testing.T) {
	plain := errors.New("the database is away")
	for name, test := range map[string]struct {
		refuse func() error
		status transport.Status
		reason string
		logged string // empty: nothing
	}{
		"status": {func() error { return &transport.CloseError{Status: 4501, Reason: "banned"} }, 4501, "banned", ""},
		"wrapped": {func() error {
			return fmt.Errorf("no: %w", &transport.CloseError{Status: transport.StatusTryAgainLater, Reason: "later"})
		}, transport.StatusTryAgainLater, "later", ""},
		"unsendable": {func() error { return &transport.CloseError{Status: 1006, Reason: "secret"} }, transport.StatusInternalError, "", "secret"},
		"other":      {func() error { return plain }, transport.StatusInternalError, "", "the database is away"},
		"internal":   {func() error { return protocol.ErrInternal }, transport.StatusInternalError, "", ""},
		"panic":      {func() error { panic("oops") }, transport.StatusInternalError, "", "OnClientConnected panicked"},
		"Goexit":     {func() error { runtime.Goexit(); return nil }, transport.StatusInternalError, "", "OnClientConnected panicked"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var log record
				var called []string
				decide := make(chan struct{})
				srv := server.New(server.Options{Logger: log.logger(), Hooks: server.Hooks{
					OnClientConnected: func(context.Context, *server.Conn) error {
						<-decide
						return test.refuse()
					},
					OnClientDisconnected: func(*server.Conn, error) { called = append(called, "disconnected") },
					OnSignal:             func(context.Context, *server.Signal) { called = append(called, "signal") },
					OnRequest: func(context.Context, *server.Request) (protocol.Payload, error) {
						called = append(called, "request")
						return protocol.Payload{}, nil
					},
				}})
				p := connect(t, srv, protocol.V1_2)
				p.signal("s", "x")
				p.request(1, "r", "x")
				p.send(protocol.Message{Kind: protocol.RestoreSession, ID: protocol.NewID(2), Payload: protocol.Text("key")})
				synctest.Wait()
				if conns := slices.Collect(srv.Conns()); len(conns) > 0 {
					t.Error("the connection is in Conns before it is accepted")
				}
				close(decide)
				for m := range p.got { // an answer could make the client leave before it reads the status
					t.Errorf("got %v", m)
				}
				ours, theirs := p.over()
				var closed *transport.CloseError
				if !errors.As(ours, &closed) || closed.Status != test.status || closed.Reason != test.reason || closed.Local {
					t.Errorf("the client read %v", ours)
				}
				if theirs == nil || errors.Is(theirs, plain) != (name == "other") || !strings.HasPrefix(theirs.Error(), "server: connection refused: ") {
					t.Errorf("ServeConn returned %v", theirs)
				}
				if len(called) > 0 || srv.Stats().Open != 0 || len(slices.Collect(srv.Conns())) > 0 {
					t.Errorf("called %v, %+v", called, srv.Stats())
				}
				text := log.take()
				if records := strings.Count(text, "level="); test.logged == "" && records > 0 || test.logged != "" && (records != 1 || !strings.Contains(text, test.logged)) {
					t.Errorf("log: %q", text)
				}
			})
		})
	}
}

// A refused connection leaves no session behind that OnClientConnected made for it.
func TestRefusalClosesSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := &session.MemoryStore{}
		var key string
		srv := server.New(server.Options{Sessions: store, Hooks: server.Hooks{
			OnClientConnected: func(ctx context.Context, c *server.Conn) error {
				s, err := c.CreateSession(ctx, nil)
				key = s.Key
				return errors.Join(err, &transport.CloseError{Status: 4000, Reason: "full"})
			},
		}})
		p := connect(t, srv, protocol.V1_2)
		p.over()
		if _, err := store.Load(t.Context(), key); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("the session is still there: %v", err)
		}
	})
}

// OnClientDisconnected follows each OnClientConnected that returned nil, once, also if the
// connection ended while that was running.
func TestConnectedAndDisconnected(t *testing.T) {
	bubble(t, func(t *testing.T) {
		decide := make(chan struct{})
		var ended, disconnected int
		srv := server.New(server.Options{Hooks: server.Hooks{
			OnClientConnected: func(ctx context.Context, c *server.Conn) error {
				<-decide
				if ctx.Err() != nil {
					ended++
				}
				return nil
			},
			OnClientDisconnected: func(*server.Conn, error) { disconnected++ },
		}})
		p := connect(t, srv, protocol.V1_2)
		synctest.Wait()
		p.conn.Abort()
		synctest.Wait()
		if disconnected != 0 {
			t.Error("OnClientDisconnected before OnClientConnected has returned")
		}
		close(decide)
		p.over()
		if ended != 1 || disconnected != 1 {
			t.Errorf("contexts ended: %d, OnClientDisconnected: %d times", ended, disconnected)
		}
	})
}

func TestConnValue(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := server.New(server.Options{})
		connect(t, srv, protocol.V1_2)
		c := grab(t, srv)
		if v := c.Value(); v != nil {
			t.Errorf("a new connection has the value %v", v)
		}
		var wg sync.WaitGroup
		for _, v := range []any{1, "one", nil, []int{1}} { // of any types
			wg.Go(func() {
				c.SetValue(v)
				c.Value()
			})
		}
		wg.Wait()
		c.SetValue("last")
		if v := c.Value(); v != "last" {
			t.Errorf("got %v", v)
		}
		c.SetValue(nil)
		if v := c.Value(); v != nil {
			t.Errorf("got %v", v)
		}
		srv.Close()
	})
}

// memoryUpgrader makes a connection of any HTTP request, and keeps the client's end.
type memoryUpgrader struct {
	ln   *memory.Listener
	ours chan transport.Conn
}

func newMemoryUpgrader() *memoryUpgrader {
	return &memoryUpgrader{memory.Listen(), make(chan transport.Conn, 1<<15)}
}

func (u *memoryUpgrader) Upgrade(_ http.ResponseWriter, r *http.Request, opts transport.UpgradeOptions) (transport.Conn, error) {
	var theirs transport.Conn
	var accepting sync.WaitGroup
	accepting.Go(func() { theirs, _ = u.ln.Accept(transport.AcceptOptions(opts)) })
	ours, err := u.ln.Dial(context.Background(), transport.DialOptions{})
	accepting.Wait()
	u.ours <- ours
	return theirs, err
}

// Info has the HTTP request until OnClientConnected has returned.
func TestInfoOfRequest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var during server.Info
		conns := make(chan *server.Conn, 1)
		up := newMemoryUpgrader()
		srv := server.New(server.Options{Upgrader: up, SubProtocol: "chat", Hooks: server.Hooks{
			OnClientConnected: func(_ context.Context, c *server.Conn) error {
				during = c.Info()
				conns <- c
				return nil
			},
		}})
		mux := http.NewServeMux()
		mux.Handle("/rooms/{room}", srv)
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), userKey{}, "gopher"))
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "https://example.com/rooms/tea?x=1", strings.NewReader("body"))
		r.Header.Set("Authorization", "Bearer token")
		mux.ServeHTTP(httptest.NewRecorder(), r)
		r.Header.Set("Authorization", "reused")
		cancel()
		c := <-conns
		synctest.Wait()
		got := during.Request
		if got == nil || got.Host != "example.com" || got.URL.RequestURI() != "/rooms/tea?x=1" || got.PathValue("room") != "tea" || got.Header.Get("Authorization") != "Bearer token" {
			t.Fatalf("request: %+v", got)
		}
		if during.TLS == nil || during.TLS != got.TLS {
			t.Errorf("TLS: %v", during.TLS)
		}
		if body, _ := io.ReadAll(got.Body); len(body) > 0 || got.Context().Value(userKey{}) != nil || got.Context().Err() != nil {
			t.Error("the request has its body or context")
		}
		if during.SubProtocol != "chat" || during.RemoteAddr == nil || during.LocalAddr == nil {
			t.Errorf("%+v", during)
		}
		after := c.Info()
		if after.Request != nil || after.TLS != nil {
			t.Errorf("after OnClientConnected: %+v", after)
		}
		during.Request, during.TLS = nil, nil
		if after != during {
			t.Errorf("%+v became %+v", during, after)
		}
		srv.Close()
	})
}

// An endpoint has the options of its server where it has none of its own.
func TestEndpointOptions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := server.New(server.Options{MaxMessageSize: 2000, SubProtocol: "chat", Version: protocol.V1_4})
		for _, test := range []struct {
			opts, want server.EndpointOptions
		}{
			{server.EndpointOptions{}, server.EndpointOptions{Version: protocol.V1_4, MaxMessageSize: 2000, SubProtocol: "chat"}},
			{
				server.EndpointOptions{Version: protocol.V2_0, MaxMessageSize: 3000, SubProtocol: "admin"},
				server.EndpointOptions{Version: protocol.V2_0, MaxMessageSize: 3000, SubProtocol: "admin"},
			},
			{ // 3.0 lets nobody announce less than 1 KiB
				server.EndpointOptions{Version: protocol.V3_0, MaxMessageSize: 1000},
				server.EndpointOptions{Version: protocol.V3_0, MaxMessageSize: 1024, SubProtocol: "chat"},
			},
		} {
			e := srv.Endpoint(test.opts)
			p := dialEndpoint(t, e, test.want.Version)
			if test.want.Version == protocol.V2_0 {
				conf, err := p.receive().Conf()
				if err != nil || conf.MessageSize != 3000 || conf.SubProtocol != "admin" {
					t.Errorf("conf %+v, %v", conf, err)
				}
			}
			info := grab(t, srv).Info()
			got := server.EndpointOptions{Version: info.Version, MaxMessageSize: e.AcceptOptions().Limits.MaxMessageSize, SubProtocol: info.SubProtocol}
			if got != test.want {
				t.Errorf("%+v: got %+v, want %+v", test.opts, got, test.want)
			}
			p.conn.Abort()
			p.over()
		}
	})
}

// However many connect at once, no more than MaxConns connections exist at any time, and
// the others are told to come later.
func TestMaxConns(t *testing.T) {
	const limit = 100
	var now, most, connected atomic.Int64
	options := func(u transport.Upgrader) server.Options {
		now.Store(0)
		most.Store(0)
		connected.Store(0)
		return server.Options{MaxConns: limit, Upgrader: u, Hooks: server.Hooks{
			OnClientConnected: func(context.Context, *server.Conn) error {
				connected.Add(1)
				for n := now.Add(1); ; {
					if m := most.Load(); n <= m || most.CompareAndSwap(m, n) {
						return nil
					}
				}
			},
			OnClientDisconnected: func(*server.Conn, error) { now.Add(-1) },
		}}
	}
	check := func(t *testing.T, srv *server.Server, clients, refused int64) {
		if most.Load() != limit || connected.Load() != limit || refused != clients-limit {
			t.Errorf("at most %d at once, %d connected, %d refused", most.Load(), connected.Load(), refused)
		}
		if st := srv.Stats(); st.Open != limit || st.Accepted != limit {
			t.Errorf("%+v", st)
		}
	}
	t.Run("ServeConn", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			const clients = 2000
			srv := server.New(options(nil))
			ln := memory.Listen()
			var serving sync.WaitGroup
			serving.Go(func() { srv.Serve(ln) })
			var refused, odd atomic.Int64
			var wg sync.WaitGroup
			for range clients {
				wg.Go(func() {
					conn, err := ln.Dial(context.Background(), transport.DialOptions{})
					if err != nil {
						odd.Add(1)
						return
					}
					serving.Go(func() {
						_, err := conn.Read(nil)
						var closed *transport.CloseError
						if errors.As(err, &closed) && closed.Status == transport.StatusTryAgainLater && closed.Reason == "too many connections" {
							refused.Add(1)
						}
						conn.Abort()
					})
				})
			}
			wg.Wait()
			synctest.Wait()
			check(t, srv, clients, refused.Load())
			if odd.Load() > 0 {
				t.Errorf("%d could not dial", odd.Load())
			}
			srv.Close()
			serving.Wait()
		})
	})
	t.Run("HTTP", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			const clients = 10_000
			up := newMemoryUpgrader()
			srv := server.New(options(up))
			var refused atomic.Int64
			var wg sync.WaitGroup
			for range clients {
				wg.Go(func() {
					w := httptest.NewRecorder()
					srv.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
					if w.Code == http.StatusServiceUnavailable && w.Header().Get("Retry-After") != "" {
						refused.Add(1)
					}
				})
			}
			wg.Wait()
			synctest.Wait()
			check(t, srv, clients, refused.Load())
			(<-up.ours).Abort() // makes room for one
			synctest.Wait()
			w := httptest.NewRecorder()
			srv.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
			synctest.Wait()
			if w.Code == http.StatusServiceUnavailable || now.Load() != limit || most.Load() != limit {
				t.Errorf("after one has left: %d, %d connections, at most %d", w.Code, now.Load(), most.Load())
			}
			srv.Close()
		})
	})
}

type failingUpgrader struct{ fail func() error }

func (u failingUpgrader) Upgrade(http.ResponseWriter, *http.Request, transport.UpgradeOptions) (transport.Conn, error) {
	return nil, u.fail()
}

// A handshake that fails gives its place back.
func TestMaxConnsAfterFailures(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fail := func() error { return errors.New("no WebSocket") }
		srv := server.New(server.Options{MaxConns: 1, Logger: discard, Upgrader: failingUpgrader{func() error { return fail() }}})
		for range 3 {
			srv.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
		}
		fail = func() error { panic("upgrader") }
		for range 3 {
			func() {
				defer func() { recover() }()
				srv.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
			}()
		}
		e := srv.Endpoint(server.EndpointOptions{Version: protocol.Version(99)})
		for range 3 {
			p := attach(t, protocol.V1_2, transport.Limits{}, e.AcceptOptions(), func(conn transport.Conn) error { return e.ServeConn(t.Context(), conn) })
			if err := p.wait(); !errors.Is(err, server.ErrVersion) {
				t.Errorf("got %v", err)
			}
		}
		p := connect(t, srv, protocol.V1_2)
		synctest.Wait()
		q := connect(t, srv, protocol.V1_2)
		if _, theirs := q.over(); !errors.Is(theirs, server.ErrTooManyConns) {
			t.Errorf("got %v", theirs)
		}
		if n := srv.Stats().Open; n != 1 {
			t.Errorf("%d connections", n)
		}
		p.conn.Abort()
		p.over()
	})
}

func TestOptionsCheck(t *testing.T) {
	if err := (server.Options{}).Check(); err != nil {
		t.Errorf("zero Options: %v", err)
	}
	if err := (server.Options{Handler: &server.Mux{}, Upgrader: newMemoryUpgrader(), MaxConns: 5, MaxSessionConns: 1, SessionPolicy: server.ReplaceOldest, ReadTimeout: time.Second}).Check(); err != nil {
		t.Errorf("sensible Options: %v", err)
	}
	if err := (server.Options{ResumeWindow: -1, DrainSpread: time.Minute}).Check(); err != nil {
		t.Errorf("without resume: %v", err)
	}
	for _, o := range []server.Options{{DrainSpread: -time.Second}, {DrainSpread: 10}, {ResumeWindow: 120}} {
		if err := o.Check(); err == nil {
			t.Errorf("drain spread %v and resume window %v are without fault", o.DrainSpread, o.ResumeWindow)
		}
	}
	senseless := server.Options{
		Handler:         &server.Mux{},
		ConnContext:     func(ctx context.Context, _ *http.Request) context.Context { return ctx },
		MaxConns:        -1,
		Concurrency:     -2,
		OutboxSize:      -3,
		InboxSize:       -4,
		MaxMessageSize:  -5,
		MaxSessionConns: -6,
		ReadTimeout:     30,
		WriteTimeout:    -time.Second,
		ResumeWindow:    120,
		DrainSpread:     -10,
		Version:         protocol.Version(7),
		SessionPolicy:   9,
		DisableSessions: true,
		Sessions:        &session.MemoryStore{},
		Hooks: server.Hooks{
			OnRequest: echo,
			OnSignal:  func(context.Context, *server.Signal) {},
		},
	}
	wants := []string{
		"Options.MaxConns is negative: -1", "Options.Concurrency is negative", "Options.OutboxSize is", "Options.InboxSize is", "Options.MaxMessageSize is",
		"Options.MaxSessionConns is", "Options.ReadTimeout is 30ns, perhaps its unit is missing", "Options.WriteTimeout is negative: -1s", "Options.Version ",
		"Options.ResumeWindow is 120ns, perhaps its unit is missing", "Options.DrainSpread is negative: -10ns",
		"Options.SessionPolicy 9 does not exist", "Options.Sessions has no effect with DisableSessions", "Options.Handler has no effect",
		"Options.ConnContext has no effect without an Upgrader",
	}
	var log record
	senseless.Logger = log.logger()
	server.New(senseless) // logs, and works
	text := log.take()
	err := senseless.Check()
	for _, want := range wants {
		if err == nil || !strings.Contains(err.Error(), "server: "+want) {
			t.Errorf("%q is missing in %v", want, err)
		}
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in the log", want)
		}
	}
	if lines := strings.Count(err.Error(), "\n") + 1; lines != len(wants) {
		t.Errorf("%d faults, want %d: %v", lines, len(wants), err)
	}
	if n := strings.Count(text, "level=ERROR"); n != len(wants) || strings.Count(text, "\n") != n {
		t.Errorf("log: %s", text)
	}
}

// What New uses instead of a time that lacks its unit is the default.
func TestResumeWindowWithoutUnit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for window, want := range map[time.Duration]time.Duration{0: 2 * time.Minute, 120: 2 * time.Minute, -1: 0, time.Second: time.Second} {
			srv := server.New(server.Options{Version: protocol.V3_0, ResumeWindow: window, Logger: discard})
			p, w := first(t, srv)
			if w.Window != want {
				t.Errorf("%v: the window is %v, want %v", window, w.Window, want)
			}
			_ = p.conn.Close(transport.StatusNormalClosure, "")
			p.over()
		}
	})
}

// Handler serves what the hooks leave nil.
func TestHandlerAndHooks(t *testing.T) {
	hooked := func(context.Context, *server.Request) (protocol.Payload, error) { return protocol.Text("hook"), nil }
	for name, test := range map[string]struct {
		hooks           server.Hooks
		request, signal string
	}{
		"none":      {server.Hooks{}, "mux", "mux"},
		"OnRequest": {server.Hooks{OnRequest: hooked}, "hook", "mux"},
		"OnSignal": {server.Hooks{OnSignal: func(ctx context.Context, s *server.Signal) {
			s.Conn.Signal(ctx, "hook", s.Payload)
		}}, "mux", "hook"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var mux server.Mux
				mux.Request("*", named("mux"))
				mux.Signal("*", func(ctx context.Context, s *server.Signal) { s.Conn.Signal(ctx, "mux", s.Payload) })
				srv := server.New(server.Options{Handler: &mux, Hooks: test.hooks})
				p := connect(t, srv, protocol.V1_2)
				p.request(1, "r", "x")
				if m := p.reply(1, protocol.Reply); m.Payload.Text() != test.request {
					t.Errorf("request: %q", m.Payload.Text())
				}
				p.signal("s", "x")
				if m := p.receive(); m.Name != test.signal {
					t.Errorf("signal: %q", m.Name)
				}
				srv.Close()
			})
		})
	}
}

// JSONSignal drops what it cannot decode, and counts it.
func TestJSONSignal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		got := make(chan sum, 10)
		srv := server.New(server.Options{Hooks: server.Hooks{
			OnSignal: server.JSONSignal(func(_ context.Context, _ *server.Signal, in sum) { got <- in }),
		}})
		p := connect(t, srv, protocol.V1_2)
		p.signal("s", `{"a":1,"b":2}`)
		p.signal("s", `{"a":"one"}`)
		p.signal("s", `{"a":`)
		p.signal("s", `{"a":3}`)
		if a, b := <-got, <-got; a != (sum{1, 2}) || b != (sum{3, 0}) {
			t.Errorf("got %v and %v", a, b)
		}
		synctest.Wait()
		if st := srv.Stats(); st.Dropped != 2 {
			t.Errorf("%d dropped", st.Dropped)
		}
		srv.Close()
	})
}

package fire_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/internal/check/e2e/load"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/session/sessiontest"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
	"github.com/webwire-go/webwire/transport/transporttest"
)

var clientPlaces = []string{
	"OnConnected", "OnDisconnected", "OnAway", "OnBack", "OnGap", "OnConnectError", "OnConnectFailed", "OnServerSignal",
	"OnSessionCreated", "OnSessionUpdated", "OnSessionError", "OnSessionRestored", "OnSessionClosed",
	"Header", "Credentials", "GiveUp", "LoadKey", "SaveKey", "HandleRequest",
}

// minedKeys is a KeyStore.
type minedKeys struct {
	*mine
	mu  sync.Mutex
	key string
}

func (k *minedKeys) LoadKey() (string, error) {
	if err := k.step("LoadKey"); err != nil {
		return "", err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.key, nil
}

func (k *minedKeys) SaveKey(key string) error {
	if err := k.step("SaveKey"); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.key = key
	return nil
}

// flaky is a dialer that can be told to fail.
type flaky struct {
	transport.Dialer
	mu  sync.Mutex
	err error
}

func (f *flaky) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *flaky) Dial(ctx context.Context, opts transport.DialOptions) (transport.Conn, error) {
	f.mu.Lock()
	err := f.err
	f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return f.Dialer.Dial(ctx, opts)
}

func (m *mine) clientOptions(log *load.Journal) client.Options {
	var mux client.Mux
	mux.Request("*", func(_ context.Context, r *client.Request) (protocol.Payload, error) {
		return r.Payload, m.step("HandleRequest")
	})
	mux.Signal("*", func(context.Context, *client.Signal) { m.must("OnServerSignal") })
	return client.Options{
		Timeout: 20 * time.Second,
		Logger:  slog.New(slog.NewTextHandler(log, nil)),
		Handler: &mux,
		Keys:    &minedKeys{mine: m},
		Header: func(context.Context) (http.Header, error) {
			return nil, m.step("Header")
		},
		Credentials: func(context.Context) ([]byte, error) { return nil, m.step("Credentials") },
		GiveUp: func(err error) bool {
			m.must("GiveUp")
			return client.GiveUp(err)
		},
		Hooks: client.Hooks{
			OnConnected:       func(context.Context) { m.must("OnConnected") },
			OnDisconnected:    func(context.Context, error) { m.must("OnDisconnected") },
			OnAway:            func(context.Context, error) { m.must("OnAway") },
			OnBack:            func(context.Context) { m.must("OnBack") },
			OnGap:             func(context.Context, client.Gap) { m.must("OnGap") },
			OnConnectError:    func(context.Context, error) { m.must("OnConnectError") },
			OnConnectFailed:   func(context.Context, error) { m.must("OnConnectFailed") },
			OnSessionCreated:  func(context.Context, session.Session) { m.must("OnSessionCreated") },
			OnSessionUpdated:  func(context.Context, session.Session) { m.must("OnSessionUpdated") },
			OnSessionError:    func(context.Context, error) { m.must("OnSessionError") },
			OnSessionRestored: func(context.Context, session.Session) { m.must("OnSessionRestored") },
			OnSessionClosed:   func(context.Context) { m.must("OnSessionClosed") },
		},
	}
}

// stage is a server, and a client of which everything is used.
type stage struct {
	srv    *server.Server
	c      *client.Client
	faults *transporttest.Faults
	dialer *flaky
	store  *sessiontest.Faulty
	served chan error
}

func newStage(m *mine, log *load.Journal) *stage {
	s := &stage{store: &sessiontest.Faulty{Store: &session.MemoryStore{}}, faults: transporttest.NewFaults(1), served: make(chan error, 1)}
	var mux server.Mux
	mux.Request("*", func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
		switch r.Name {
		case "login":
			_, err := r.Conn.CreateSession(ctx, nil)
			return protocol.Payload{}, err
		case "update":
			_, err := r.Conn.UpdateSession(ctx, map[string]int{"a": 1})
			return protocol.Payload{}, err
		case "signal":
			return protocol.Payload{}, r.Conn.Signal(ctx, "s", protocol.Text("x"))
		case "ask":
			go func() { _, _ = r.Conn.Request(r.Conn.Context(), "r", protocol.Text("x")) }()
		case "final":
			r.Conn.Close(4500, "")
		}
		return r.Payload, nil
	})
	s.srv = server.New(server.Options{Handler: &mux, Sessions: s.store, ResumeWindow: 5 * time.Second, Logger: load.Quiet})
	ln := memory.Listen()
	go func() { s.served <- s.srv.Serve(s.faults.Listener(ln)) }()
	s.dialer = &flaky{Dialer: s.faults.Dialer(ln)}
	s.c = client.New(s.dialer, m.clientOptions(log))
	return s
}

func (s *stage) cut() {
	for _, conn := range s.faults.Conns() {
		conn.Cut()
	}
}

// use makes the client call everything that it was given. Errors are passed to tell.
func (s *stage) use(ctx context.Context, tell func(what string, err error)) {
	ask := func(name string) {
		_, err := s.c.Request(ctx, name, protocol.Text("x"))
		tell(name, err)
	}
	s.dialer.fail(errors.New("no network"))
	go func() { time.Sleep(3 * time.Second); s.dialer.fail(nil) }()
	tell("Connect", s.c.Connect(ctx))
	for range 20 { // more than are handled at once
		ask("ask")
	}
	for _, name := range []string{"signal", "echo", "login", "update"} {
		ask(name)
	}
	time.Sleep(time.Second)
	s.cut() // and it goes on
	time.Sleep(2 * time.Second)
	ask("echo")
	s.dialer.fail(errors.New("no network")) // until the window is over, and then the store is broken
	s.store.Break(sessiontest.Load, func(context.Context, *sessiontest.Call, func(context.Context) error) error {
		return errors.New("broken")
	})
	s.cut()
	time.Sleep(30 * time.Second)
	s.dialer.fail(nil)
	time.Sleep(30 * time.Second)
	s.store.Mend(sessiontest.Load)
	time.Sleep(30 * time.Second)
	ask("echo")
	if k, ok := s.c.Session(); ok {
		_ = s.srv.CloseSession(ctx, k.Key)
	}
	time.Sleep(time.Second)
	ask("final")
	time.Sleep(10 * time.Second)
}

// Whatever ends badly in a client's application, the client lives on.
func TestClientsThatEndBadly(t *testing.T) {
	blown := int64(0)
	for _, place := range clientPlaces {
		for way, do := range ways() {
			t.Run(place+"/"+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := &mine{place: place, way: do}
					var log load.Journal
					s := newStage(m, &log)
					defer s.faults.Close()
					ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
					defer cancel()
					m.armed.Store(true)
					within, done := context.WithTimeout(ctx, 20*time.Minute)
					s.use(within, func(string, error) {})
					done()
					m.armed.Store(false)
					if m.blown.Load() == 0 {
						t.Error("the place was not reached")
					}
					blown += m.blown.Load()
					time.Sleep(time.Minute)
					_ = s.c.Connect(ctx)
					s.use(ctx, func(what string, err error) {
						if err != nil && what != "final" {
							t.Errorf("%s: %v, though nothing ends badly any more", what, err)
						}
					})
					if text := log.Text(); way != "error" && (!strings.Contains(text, "panicked") || !strings.Contains(text, "panics_test.go")) {
						t.Errorf("the log lacks the stack: %.300q", text)
					} else if longest(text) > 64<<10 {
						t.Errorf("a log line has %d bytes", longest(text))
					}
					closed := make(chan struct{})
					go func() { _ = s.c.Close(); close(closed) }()
					select {
					case <-closed:
					case <-time.After(time.Minute):
						t.Error("Close does not return")
					}
					_ = s.srv.Close()
					if err := s.srv.Shutdown(ctx); err != nil {
						t.Errorf("Shutdown of the server: %v", err)
					}
					<-s.served
				})
			})
		}
	}
	load.Figure("application code of clients that ends badly", "alive, stack in the log", "%d places × %d ways, %d times", len(clientPlaces), len(ways()), blown)
}

// Close and Shutdown within each hook, handler and function of Options end the client, except
// that GiveUp must not call Close.
func TestClientEndedFromInside(t *testing.T) {
	ends := map[string]func(*client.Client) error{
		"Close": func(c *client.Client) error { return c.Close() },
		"Shutdown": func(c *client.Client) error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_ = c.Shutdown(ctx)
			return nil
		},
	}
	for _, place := range clientPlaces {
		if place == "GiveUp" {
			continue
		}
		for way, end := range ends {
			t.Run(place+"/"+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := &mine{place: place}
					var log load.Journal
					s := newStage(m, &log)
					defer s.faults.Close()
					m.way = func() error { return end(s.c) }
					m.armed.Store(true)
					ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
					defer cancel()
					s.use(ctx, func(string, error) {})
					if m.blown.Load() == 0 {
						t.Error("the place was not reached")
					}
					if st := s.c.Status(); st != client.Closed {
						t.Errorf("the client is %v", st)
					}
					_ = s.c.Close()
					_ = s.srv.Close()
					<-s.served
				})
			})
		}
	}
}

package fire_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/internal/check/e2e/load"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/session/sessiontest"
	"github.com/webwire-go/webwire/transport/memory"
	"github.com/webwire-go/webwire/transport/transporttest"
)

// leaked is in every panic and error, and must not reach the client.
const leaked = "leaked-text"

var errLong = errors.New(leaked + strings.Repeat("x", 1<<20))

// waysOut are the ways in which the application's code may end badly.
var waysOut = map[string]func() error{
	"panic":  func() error { panic(leaked) },
	"nil":    func() error { panic(any(nil)) },
	"goexit": func() error { runtime.Goexit(); return nil },
	"error":  func() error { return errLong },
	"dies":   func() error { panic(errLong) },
}

// ways returns all of them, or in short those that differ most.
func ways() map[string]func() error {
	if load.Full {
		return waysOut
	}
	return map[string]func() error{"goexit": waysOut["goexit"], "dies": waysOut["dies"]}
}

// mine ends badly at one place, while it is armed.
type mine struct {
	place string
	way   func() error
	armed atomic.Bool
	blown atomic.Int64
}

func (m *mine) step(place string) error {
	if place != m.place || !m.armed.Load() {
		return nil
	}
	m.blown.Add(1)
	return m.way()
}

// must is step where the application has no error to return.
func (m *mine) must(place string) {
	if err := m.step(place); err != nil {
		panic(err)
	}
}

func (m *mine) fault(ctx context.Context, call *sessiontest.Call, next func(context.Context) error) error {
	if err := m.step(call.Op.String()); err != nil {
		return err
	}
	return next(ctx)
}

func (m *mine) options(log *load.Journal) server.Options {
	store := &sessiontest.Faulty{Store: &session.MemoryStore{}}
	for _, op := range []sessiontest.Op{sessiontest.Save, sessiontest.Load, sessiontest.Touch, sessiontest.Update, sessiontest.Delete} {
		store.Break(op, m.fault)
	}
	var mux server.Mux
	mux.Request("*", func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
		switch r.Name {
		case "login":
			_, err := r.Conn.CreateSession(ctx, nil)
			return protocol.Payload{}, err
		case "update":
			_, err := r.Conn.UpdateSession(ctx, map[string]int{"a": 1})
			return protocol.Payload{}, err
		}
		return r.Payload, m.step("OnRequest")
	})
	mux.Signal("*", func(context.Context, *server.Signal) { m.must("OnSignal") })
	mux.Stream("stream", func(_ context.Context, r *server.Request, send func(protocol.Payload) error) error {
		if err := send(r.Payload); err != nil {
			return err
		}
		return m.step("stream")
	})
	return server.Options{
		Concurrency: 2,
		Logger:      slog.New(slog.NewTextHandler(log, nil)),
		Sessions:    store,
		Handler:     &mux,
		Hooks: server.Hooks{
			OnClientConnected:    func(context.Context, *server.Conn) error { return m.step("OnClientConnected") },
			OnClientDisconnected: func(*server.Conn, error) { m.must("OnClientDisconnected") },
			OnClientAway:         func(*server.Conn, error) { m.must("OnClientAway") },
			OnClientBack:         func(context.Context, *server.Conn) error { return m.step("OnClientBack") },
			OnSubscribe:          func(context.Context, *server.Conn, string) (any, error) { return nil, m.step("OnSubscribe") },
			OnSessionKeyGeneration: func() string {
				m.must("OnSessionKeyGeneration")
				return session.NewKey()
			},
			OnSessionCreated: func(context.Context, *server.Conn, session.Session) error { return m.step("OnSessionCreated") },
			OnSessionUpdated: func(context.Context, *server.Conn, session.Session) error { return m.step("OnSessionUpdated") },
			OnSessionLookup: func(_ context.Context, _ *server.Conn, s session.Session) (session.Session, error) {
				return s, m.step("OnSessionLookup")
			},
			OnSessionClosed: func(context.Context, string) error { return m.step("OnSessionClosed") },
		},
	}
}

var places = []string{
	"OnClientConnected", "OnClientDisconnected", "OnClientAway", "OnClientBack", "OnSubscribe", "OnSignal", "OnRequest", "stream",
	"OnSessionKeyGeneration", "OnSessionCreated", "OnSessionUpdated", "OnSessionLookup", "OnSessionClosed",
	"Save", "Load", "Touch", "Update", "Delete",
}

// Whatever ends badly in the application's code, the server lives on, each request has one
// outcome, no place of a handler is lost, the log has the stack, and the client learns no
// text.
func TestApplicationsThatEndBadly(t *testing.T) {
	blown := int64(0)
	for _, place := range places {
		for way, do := range ways() {
			t.Run(place+"/"+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { blown += endBadly(t, &mine{place: place, way: do}, way) })
			})
		}
	}
	load.Figure("application code that ends badly", "alive, one reply, slot released, stack in the log, no text to the client",
		"%d places × %d ways, %d times", len(places), len(ways()), blown)
}

func endBadly(t *testing.T, m *mine, way string) int64 {
	var log load.Journal
	srv := server.New(m.options(&log))
	faults := transporttest.NewFaults(1)
	defer faults.Close()
	ln := memory.Listen()
	served := make(chan error, 1)
	go func() { served <- srv.Serve(faults.Listener(ln)) }()
	ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
	defer cancel()
	newClient := func() *client.Client {
		return client.New(faults.Dialer(ln), client.Options{Timeout: 10 * time.Second, Logger: slog.New(slog.DiscardHandler)})
	}
	learns := func(what string, err error) {
		t.Helper()
		if err != nil && strings.Contains(err.Error(), leaked) {
			t.Errorf("%s: the client learns %.100q", what, err)
		}
		if errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s has no outcome", what)
		}
		if err != nil && !m.armed.Load() {
			t.Errorf("%s: %v, though nothing ends badly any more", what, err)
		}
	}
	everything := func() {
		c := newClient()
		defer c.Close()
		all := func() {
			for range 3 { // more than Concurrency
				_, err := c.Request(ctx, "r", protocol.Text("x"))
				learns("a request", err)
			}
			learns("a signal", c.Signal(ctx, "s", protocol.Text("x")))
			_, err := c.Request(ctx, "login", protocol.Text("x"))
			learns("login", err)
			_, err = c.Request(ctx, "update", protocol.Text("x"))
			learns("update", err)
			for _, err := range c.Stream(ctx, "stream", protocol.Text("x")) {
				learns("a stream", err)
			}
			within, cancel := context.WithTimeout(ctx, time.Minute) // it tries again
			defer cancel()
			sub, err := c.Subscribe(within, "topic", client.SubscribeOptions{})
			learns("subscribing", err)
			if err == nil {
				sub.Close()
			}
		}
		if m.place == "OnClientConnected" && m.armed.Load() {
			within, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			err := c.Connect(within) // nil if the connection is refused late enough; otherwise it tries again
			if err != nil && strings.Contains(err.Error(), leaked) {
				t.Errorf("connecting: the client learns %.100q", err)
			}
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("connecting: %v", err)
			}
			return
		}
		all()
		s, _ := c.Session()
		for _, conn := range faults.Conns() {
			conn.Cut() // the client comes back
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		other := newClient()
		defer other.Close()
		learns("restoring", other.RestoreSession(ctx, s.Key))
		time.Sleep(6 * time.Minute) // uses are noted
		learns("closing the session", other.CloseSession(ctx))
	}
	m.armed.Store(true)
	everything()
	time.Sleep(10 * time.Minute)
	synctest.Wait()
	m.armed.Store(false)
	if m.blown.Load() == 0 {
		t.Error("the place was not reached")
	}
	everything()
	time.Sleep(10 * time.Minute)
	synctest.Wait()
	if n := srv.Stats().InFlight; n != 0 {
		t.Errorf("%d handlers are left", n)
	}
	text := log.Text()
	if way != "error" && (!strings.Contains(text, "panicked") || !strings.Contains(text, "panics_test.go")) {
		t.Errorf("the log lacks the stack: %.300q", text)
	}
	if longest(text) > 64<<10 {
		t.Errorf("a log line has %d bytes", longest(text))
	}
	if err := srv.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-served; !errors.Is(err, server.ErrServerClosed) {
		t.Error(err)
	}
	return m.blown.Load()
}

func longest(text string) (n int) {
	for line := range strings.Lines(text) {
		n = max(n, len(line))
	}
	return n
}

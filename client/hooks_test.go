package client_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
)

// signals answers a request with signals, which precede the reply.
func signals(n int) server.RequestHandler {
	return func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
		switch r.Name {
		case "login":
			_, err := r.Conn.CreateSession(ctx, nil)
			return protocol.Payload{}, err
		case "logout":
			return protocol.Payload{}, r.Conn.CloseSession(ctx)
		case "signals":
			for i := range n {
				if err := r.Conn.Signal(ctx, "s", text(fmt.Sprint(i))); err != nil {
					return protocol.Payload{}, err
				}
			}
		}
		return r.Payload, nil
	}
}

// Hooks are called one at a time, in the order in which things happened, and not
// by who reads: replies arrive while a hook takes its time.
func TestHooksAreCalledInOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		n.serve(server.Options{Hooks: server.Hooks{OnRequest: signals(5)}})
		var running atomic.Int32
		var order []string // of hooks, hence no lock until the last one
		note := func(what string) {
			if running.Add(1) != 1 {
				t.Errorf("%s is called while another hook runs", what)
			}
			time.Sleep(time.Second)
			order = append(order, what)
			running.Add(-1)
		}
		c := n.client(client.Options{Hooks: client.Hooks{
			OnConnected:      func(context.Context) { note("connected") },
			OnDisconnected:   func(context.Context, error) { note("disconnected") },
			OnServerSignal:   func(_ context.Context, s *client.Signal) { note(s.Payload.Text()) },
			OnSessionCreated: func(context.Context, session.Session) { note("created") },
			OnSessionClosed:  func(context.Context) { note("closed") },
		}})
		connect(t, c)
		start := time.Now()
		for _, name := range []string{"signals", "login", "signals", "logout", "echo"} {
			if _, err := c.Request(t.Context(), name, text("x")); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		took(t, "the requests", start, 0, 0)
		c.Close()
		took(t, "Close", start, 0, 0)
		time.Sleep(time.Minute)
		synctest.Wait()
		if want := []string{
			"connected", "0", "1", "2", "3", "4", "created", "0", "1", "2", "3", "4", "closed", "disconnected",
		}; !slices.Equal(order, want) {
			t.Errorf("%v, want %v", order, want)
		}
	})
}

// A hook may call any method of its client.
func TestHooksMayCallEverything(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		n.serve(server.Options{Hooks: server.Hooks{OnRequest: signals(1)}})
		var c *client.Client
		var calls atomic.Int32
		call := func() {
			calls.Add(1)
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			c.Status()
			c.Stats()
			c.Session()
			if err := c.Connect(ctx); err != nil {
				t.Errorf("Connect within a hook: %v", err)
			}
			if _, err := c.Request(ctx, "echo", text("x")); err != nil {
				t.Errorf("Request within a hook: %v", err)
			}
			if err := c.Signal(ctx, "s", text("x")); err != nil {
				t.Errorf("Signal within a hook: %v", err)
			}
			if err := c.CloseSession(ctx); err != nil {
				t.Errorf("CloseSession within a hook: %v", err)
			}
			if err := c.RestoreSession(ctx, "unknown"); !errors.Is(err, protocol.ErrSessionNotFound) {
				t.Errorf("RestoreSession within a hook: %v", err)
			}
		}
		c = n.client(client.Options{Hooks: client.Hooks{
			OnConnected: func(context.Context) { call() },
			OnDisconnected: func(_ context.Context, reason error) {
				if !errors.Is(reason, client.ErrClosed) {
					call()
				}
			},
			OnServerSignal:   func(context.Context, *client.Signal) { call() },
			OnSessionCreated: func(context.Context, session.Session) { call() },
		}})
		connect(t, c)
		time.Sleep(time.Second)
		for _, name := range []string{"signals", "login"} {
			if _, err := c.Request(t.Context(), name, text("x")); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			time.Sleep(time.Second)
		}
		n.near().Cut()
		time.Sleep(time.Minute)
		if calls.Load() != 5 { // OnConnected twice
			t.Errorf("%d hooks were called", calls.Load())
		}
	})
}

// Close may be called by every hook, and by many at once.
func TestCloseWithinHooks(t *testing.T) {
	for _, when := range []string{"connected", "disconnected", "failed", "signal", "created", "closed"} {
		t.Run(when, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				n := newNetwork(t)
				n.serve(server.Options{Hooks: server.Hooks{OnRequest: signals(3)}})
				var c *client.Client
				closed := make(chan struct{}, 100)
				in := func(here string) {
					if here != when {
						return
					}
					for range 3 {
						if err := c.Close(); err != nil {
							t.Errorf("Close: %v", err)
						}
					}
					closed <- struct{}{}
				}
				c = n.client(client.Options{Hooks: client.Hooks{
					OnConnected:      func(context.Context) { in("connected") },
					OnDisconnected:   func(context.Context, error) { in("disconnected") },
					OnConnectFailed:  func(context.Context, error) { in("failed") },
					OnServerSignal:   func(context.Context, *client.Signal) { in("signal") },
					OnSessionCreated: func(context.Context, session.Session) { in("created") },
					OnSessionClosed:  func(context.Context) { in("closed") },
				}})
				if when == "failed" {
					n.faults.Refuse(refusedForGood)
				}
				for _, name := range []string{"signals", "login", "logout"} {
					_, _ = c.Request(t.Context(), name, text("x")) // ErrClosed sooner or later
				}
				if when == "disconnected" {
					n.near().Cut()
				}
				<-closed
				if s := c.Status(); s != client.Closed {
					t.Errorf("the client is %v", s)
				}
			})
		})
	}
}

// Panics of hooks, and runtime.Goexit in them, end nothing but the call.
func TestPanickingHooks(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic("oops") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				n := newNetwork(t)
				n.serve(server.Options{Hooks: server.Hooks{OnRequest: signals(3)}})
				var calls atomic.Int32
				call := func() { calls.Add(1); end() }
				c := n.client(client.Options{Hooks: client.Hooks{
					OnConnected:      func(context.Context) { call() },
					OnDisconnected:   func(context.Context, error) { call() },
					OnServerSignal:   func(context.Context, *client.Signal) { call() },
					OnSessionCreated: func(context.Context, session.Session) { call() },
					OnSessionClosed:  func(context.Context) { call() },
				}})
				for _, name := range []string{"signals", "login", "logout"} {
					if _, err := c.Request(t.Context(), name, text("x")); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
				request(t, c)
				c.Close()
				synctest.Wait()
				if calls.Load() != 7 {
					t.Errorf("%d calls", calls.Load())
				}
			})
		})
	}
}

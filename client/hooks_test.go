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
			OnConnected:      func() { note("connected") },
			OnDisconnected:   func(error) { note("disconnected") },
			OnServerSignal:   func(_ string, p protocol.Payload) { note(p.Text()) },
			OnSessionCreated: func(session.Session) { note("created") },
			OnSessionClosed:  func() { note("closed") },
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
			OnConnected: call,
			OnDisconnected: func(reason error) {
				if !errors.Is(reason, client.ErrClosed) {
					call()
				}
			},
			OnServerSignal:   func(string, protocol.Payload) { call() },
			OnSessionCreated: func(session.Session) { call() },
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
					OnConnected:      func() { in("connected") },
					OnDisconnected:   func(error) { in("disconnected") },
					OnConnectFailed:  func(error) { in("failed") },
					OnServerSignal:   func(string, protocol.Payload) { in("signal") },
					OnSessionCreated: func(session.Session) { in("created") },
					OnSessionClosed:  func() { in("closed") },
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

// A hook that does not keep up with the signals holds up reading, for the write
// timeout at most. Then the connection is given up and made anew.
func TestSlowOnServerSignal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		n.serve(server.Options{Hooks: server.Hooks{OnRequest: signals(100)}})
		var c *client.Client
		stuck, reasons := make(chan struct{}), make(chan error, 10)
		first := true
		c = n.client(client.Options{InboxSize: 200, WriteTimeout: 4 * time.Second, Hooks: client.Hooks{
			OnServerSignal: func(string, protocol.Payload) {
				if first {
					first = false
					<-stuck
				}
			},
			OnDisconnected: func(reason error) { reasons <- reason },
		}})
		connect(t, c)
		start := time.Now()
		_, err := c.Request(t.Context(), "signals", text("x"))
		if !errors.Is(err, client.ErrDisconnected) {
			t.Errorf("Request: %v", err)
		}
		took(t, "giving up", start, 4*time.Second, 4*time.Second)
		connect(t, c)
		request(t, c) // though the hook is stuck still
		close(stuck)
		if err := <-reasons; err == nil {
			t.Error("no reason")
		}
	})
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
					OnConnected:      call,
					OnDisconnected:   func(error) { call() },
					OnServerSignal:   func(string, protocol.Payload) { call() },
					OnSessionCreated: func(session.Session) { call() },
					OnSessionClosed:  call,
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

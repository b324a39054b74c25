package fire_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/internal/check/e2e/load"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
	"github.com/webwire-go/webwire/transport/transporttest"
)

// Close and Shutdown within each hook and handler of a server, and each method of a store,
// end the server. Nothing waits for ever: in virtual time a deadlock ends the test.
func TestServerEndedFromInside(t *testing.T) {
	ends := map[string]func(*server.Server) error{
		"Close": func(s *server.Server) error { return s.Close() },
		"Shutdown": func(s *server.Server) error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			if err := s.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				return err
			}
			return nil
		},
		"BeginShutdown": func(s *server.Server) error { s.BeginShutdown(); return nil },
	}
	count := 0
	for _, place := range places {
		for way, end := range ends {
			t.Run(place+"/"+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					count++
					var srv *server.Server
					m := &mine{place: place}
					m.way = func() error { return end(srv) }
					var log load.Journal
					srv = server.New(m.options(&log))
					faults := transporttest.NewFaults(1)
					defer faults.Close()
					ln := memory.Listen()
					served := make(chan error, 1)
					go func() { served <- srv.Serve(faults.Listener(ln)) }()
					m.armed.Store(true)
					c, other := newSilent(faults.Dialer(ln)), newSilent(faults.Dialer(ln))
					useEverything(c, other, faults)
					if m.blown.Load() == 0 {
						t.Error("the place was not reached")
					}
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					if err := srv.Shutdown(ctx); err != nil {
						t.Errorf("Shutdown: %v", err)
					}
					if err := <-served; !errors.Is(err, server.ErrServerClosed) {
						t.Errorf("Serve: %v", err)
					}
					if err := errors.Join(c.Close(), other.Close()); err != nil {
						t.Errorf("Close of the client: %v", err)
					}
					if st := srv.Stats(); st.Open != 0 || st.InFlight != 0 {
						t.Errorf("left: %+v", st)
					}
				})
			})
		}
	}
	load.Figure("Close and Shutdown within hooks, handlers and stores", "no deadlock", "%d places × %d ways", len(places), len(ends))
}

func newSilent(d transport.Dialer) *client.Client {
	return client.New(d, client.Options{Timeout: time.Second, Logger: slog.New(slog.DiscardHandler)})
}

// useEverything makes a server call all hooks, whatever comes of it.
func useEverything(c, other *client.Client, faults *transporttest.Faults) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	quick, done := context.WithTimeout(ctx, 20*time.Second)
	defer done()
	_, _ = c.Request(quick, "r", protocol.Text("x")) // the server may end at any of these
	_ = c.Signal(quick, "s", protocol.Text("x"))
	_, _ = c.Request(quick, "login", protocol.Text("x"))
	_, _ = c.Request(quick, "update", protocol.Text("x"))
	for range c.Stream(quick, "stream", protocol.Text("x")) {
	}
	if sub, err := c.Subscribe(quick, "topic", client.SubscribeOptions{}); err == nil {
		sub.Close()
	}
	s, _ := c.Session()
	for _, conn := range faults.Conns() {
		conn.Cut()
	}
	time.Sleep(10 * time.Second)
	_ = other.RestoreSession(quick, s.Key)
	time.Sleep(6 * time.Minute)
	_ = other.CloseSession(ctx)
	_ = c.Close()
	time.Sleep(5 * time.Minute)
}

// deeds are calls of all methods of a client and a server, and of what they return.
func deeds(ctx context.Context, c *client.Client, srv *server.Server) map[string]func() error {
	topic := srv.Topic("t")
	of := func(f func(*server.Conn) error) func() error { // a connection, if there is one
		return func() error {
			for conn := range srv.Conns() {
				return f(conn)
			}
			return nil
		}
	}
	soon := func() (context.Context, context.CancelFunc) { return context.WithTimeout(ctx, time.Second) }
	return map[string]func() error{
		"Connect":        func() error { return c.Connect(ctx) },
		"Request":        func() error { _, err := c.Request(ctx, "r", protocol.Text("x")); return err },
		"Signal":         func() error { return c.Signal(ctx, "s", protocol.Text("x")) },
		"RestoreSession": func() error { return c.RestoreSession(ctx, "no key") },
		"CloseSession":   func() error { return c.CloseSession(ctx) },
		"Session":        func() error { c.Stats(); c.Status(); c.Session(); return nil },
		"Stream": func() (err error) {
			for _, err = range c.Stream(ctx, "stream", protocol.Text("x")) {
				if err != nil {
					break
				}
			}
			return err
		},
		"Subscribe": func() error {
			sub, err := c.Subscribe(ctx, "t", client.SubscribeOptions{Presence: func(client.PresenceEvent) {}})
			if err != nil {
				return err
			}
			within, cancel := soon()
			defer cancel()
			for _, err = range sub.Messages(within) {
				break
			}
			sub.Close()
			sub.Close()
			return err
		},
		"Stats":      func() error { srv.Stats(); return nil },
		"OpenEngine": func() error { return srv.OpenEngine(ctx) },
		"Broadcast":  func() error { _, err := server.Broadcast(srv.Conns(), "s", protocol.Text("x")); return err },
		"Server.CloseSession": func() error {
			if s, ok := c.Session(); ok {
				return srv.CloseSession(ctx, s.Key)
			}
			return nil
		},
		"Topic.Publish": func() error { _, err := topic.Publish(ctx, "n", protocol.Text("x")); return err },
		"Topic.Request": func() error {
			within, cancel := soon()
			defer cancel()
			_, err := topic.Request(within, "n", protocol.Text("x"))
			return err
		},
		"Topic.Conns": func() error { _, err := server.Broadcast(topic.Conns(), "s", protocol.Text("x")); return err },
		"Topic.Count": func() error { _, err := topic.Count(ctx); return err },
		"Topic.History": func() (err error) {
			for _, err = range topic.History(ctx, engine.Position{}, 10) {
			}
			return err
		},
		"Topic.Members": func() (err error) {
			for _, err = range topic.Members(ctx) {
			}
			return err
		},
		"Topic.Join":  of(func(conn *server.Conn) error { return topic.Join(ctx, conn) }),
		"Topic.Leave": of(func(conn *server.Conn) error { topic.Leave(conn); topic.Has(conn); return nil }),
		"Conn.Signal": of(func(conn *server.Conn) error { return conn.Signal(ctx, "s", protocol.Text("x")) }),
		"Conn.Request": of(func(conn *server.Conn) error {
			within, cancel := soon()
			defer cancel()
			_, err := conn.Request(within, "r", protocol.Text("x"))
			return err
		}),
		"Conn.Info":          of(func(conn *server.Conn) error { conn.Info(); conn.SetValue(1); return nil }),
		"Conn.CreateSession": of(func(conn *server.Conn) error { _, err := conn.CreateSession(ctx, nil); return err }),
		"Conn.UpdateSession": of(func(conn *server.Conn) error {
			_, err := conn.UpdateSession(ctx, map[string]int{"a": 1})
			return err
		}),
		"Conn.CloseSession": of(func(conn *server.Conn) error { return conn.CloseSession(ctx) }),
		"Conn.ExpiresAt":    of(func(conn *server.Conn) error { conn.ExpiresAt(time.Now().Add(time.Millisecond)); return nil }),
		"Conn.Close": of(func(conn *server.Conn) error {
			conn.Close(transport.StatusNormalClosure, "")
			conn.Abort()
			return nil
		}),
	}
}

// All methods from many goroutines at once, before, during and after the end, return, and
// their errors say what happened.
func TestMisuse(t *testing.T) {
	goroutines, rounds := load.Either(1000, 200), load.Either(20, 4)
	var calls, odd atomic.Int64
	for seed := range uint64(rounds) {
		synctest.Test(t, func(t *testing.T) {
			var mux server.Mux
			mux.Request("*", echo)
			mux.Signal("*", ignore)
			mux.Stream("stream", func(_ context.Context, r *server.Request, send func(protocol.Payload) error) error {
				for range 5 {
					if err := send(r.Payload); err != nil {
						return err
					}
				}
				return nil
			})
			var cmux client.Mux
			cmux.Request("*", func(_ context.Context, r *client.Request) (protocol.Payload, error) { return r.Payload, nil })
			srv := server.New(server.Options{
				Logger:  load.Quiet,
				Handler: &mux,
				Topics:  func(string) server.TopicOptions { return server.TopicOptions{History: true, Presence: true} },
				Hooks:   server.Hooks{OnSubscribe: func(context.Context, *server.Conn, string) (any, error) { return 1, nil }},
			})
			ln := memory.Listen()
			served := make(chan error, 1)
			go func() { served <- srv.Serve(ln) }()
			c := client.New(ln, client.Options{Timeout: time.Second, Handler: &cmux, Logger: load.Quiet})
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			all := deeds(ctx, c, srv)
			names := slices.Sorted(maps.Keys(all))
			ends := []func() error{
				func() error { return c.Close() },
				func() error { return c.Shutdown(ctx) },
				func() error { return srv.Close() },
				func() error { return srv.Shutdown(ctx) },
				func() error { srv.BeginShutdown(); return nil },
			}
			check := func(name string, err error) {
				if calls.Add(1); err != nil && !explained(err) {
					odd.Add(1)
					t.Errorf("%s: an error of no type: %T %v", name, err, err)
				}
			}
			var running sync.WaitGroup
			for i := range goroutines {
				rng := rand.New(rand.NewPCG(seed, uint64(i)))
				running.Go(func() {
					time.Sleep(time.Duration(rng.Int64N(int64(4 * time.Second))))
					for range 5 {
						if i%20 == 1 && rng.IntN(5) == 0 {
							check("an end", ends[rng.IntN(len(ends))]())
						}
						name := names[rng.IntN(len(names))]
						check(name, all[name]())
					}
				})
			}
			running.Wait()
			for range 2 {
				if err := errors.Join(c.Close(), srv.Close(), srv.Shutdown(ctx)); err != nil {
					t.Errorf("closed again: %v", err)
				}
			}
			<-served
			for _, name := range names {
				check("after the end, "+name, all[name]())
			}
			for _, name := range []string{"Connect", "Request", "Signal", "RestoreSession", "CloseSession", "Stream", "Subscribe"} {
				if err := all[name](); !errors.Is(err, client.ErrClosed) {
					t.Errorf("%s after Close: %v", name, err)
				}
			}
			if err := srv.Serve(memory.Listen()); !errors.Is(err, server.ErrServerClosed) {
				t.Errorf("Serve after Close: %v", err)
			}
		})
	}
	load.Figure("API misuse", "typed errors, no deadlock", "%d calls by %d goroutines in %d rounds, %d errors of no type", calls.Load(), goroutines, rounds, odd.Load())
}

// explained reports whether a program can find out what an error means.
func explained(err error) bool {
	var closed *transport.CloseError
	var lost *client.DisconnectedError
	var app *protocol.Error
	var peer *protocol.PeerError
	var failure *protocol.FailureError
	for _, known := range []error{
		context.Canceled, context.DeadlineExceeded, net.ErrClosed, client.ErrClosed, client.ErrDisconnected,
		server.ErrConnClosed, server.ErrServerClosed, server.ErrNobody, server.ErrNoSession,
		engine.ErrClosed, engine.ErrUnconfirmed, session.ErrNotFound,
		protocol.ErrSessionNotFound, protocol.ErrShutdown, protocol.ErrInternal, protocol.ErrUnsupported,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return errors.As(err, &closed) || errors.As(err, &lost) || errors.As(err, &app) || errors.As(err, &peer) || errors.As(err, &failure)
}

package fire_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/internal/check/e2e/load"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
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

// Any methods from many goroutines at once, before, during and after the end, return, and
// their errors say what happened.
func TestMisuse(t *testing.T) {
	goroutines, rounds := load.Either(1000, 100), load.Either(20, 2)
	var calls, odd atomic.Int64
	for seed := range uint64(rounds) {
		synctest.Test(t, func(t *testing.T) {
			srv := server.New(server.Options{Logger: slog.New(slog.DiscardHandler), Hooks: server.Hooks{OnRequest: echo, OnSignal: ignore}})
			ln := memory.Listen()
			served := make(chan error, 1)
			go func() { served <- srv.Serve(ln) }()
			c := client.New(ln, client.Options{Timeout: time.Second, Logger: slog.New(slog.DiscardHandler)})
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			deeds := []func() error{
				func() error { return c.Connect(ctx) },
				func() error { _, err := c.Request(ctx, "r", protocol.Text("x")); return err },
				func() error { return c.Signal(ctx, "s", protocol.Text("x")) },
				func() error { return c.RestoreSession(ctx, "no key") },
				func() error { return c.CloseSession(ctx) },
				func() error { c.Stats(); c.Status(); c.Session(); return nil },
				func() error {
					for conn := range srv.Conns() {
						if err := conn.Signal(ctx, "s", protocol.Text("x")); err != nil {
							return err
						}
						conn.Info()
						conn.SetValue(1)
					}
					return nil
				},
				func() error {
					_, err := server.Broadcast(srv.Conns(), "s", protocol.Text("x"))
					return err
				},
				func() error { srv.Stats(); return nil },
				func() error {
					for conn := range srv.Conns() {
						conn.Close(transport.StatusNormalClosure, "")
						conn.Abort()
						break
					}
					return nil
				},
			}
			ends := []func() error{
				func() error { return c.Close() },
				func() error { return c.Shutdown(ctx) },
				func() error { return srv.Close() },
				func() error { return srv.Shutdown(ctx) },
				func() error { srv.BeginShutdown(); return nil },
			}
			var all sync.WaitGroup
			for i := range goroutines {
				rng := rand.New(rand.NewPCG(seed, uint64(i)))
				all.Go(func() {
					time.Sleep(time.Duration(rng.Int64N(int64(2 * time.Second))))
					for range 5 {
						calls.Add(1)
						deed := deeds[rng.IntN(len(deeds))]
						if i%20 == 0 {
							deed = ends[rng.IntN(len(ends))]
						}
						if err := deed(); err != nil && !explained(err) {
							odd.Add(1)
							t.Errorf("an error of no type: %T %v", err, err)
						}
					}
				})
			}
			all.Wait()
			for range 2 {
				if err := errors.Join(c.Close(), srv.Close(), srv.Shutdown(ctx)); err != nil {
					t.Errorf("closed again: %v", err)
				}
			}
			<-served
			for _, after := range deeds[:5] {
				if err := after(); !errors.Is(err, client.ErrClosed) {
					t.Errorf("after Close: %v", err)
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
	for _, known := range []error{
		context.DeadlineExceeded, net.ErrClosed, client.ErrClosed, client.ErrDisconnected, server.ErrConnClosed, server.ErrServerClosed,
		protocol.ErrSessionNotFound, protocol.ErrShutdown, protocol.ErrInternal,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return errors.As(err, &closed) || errors.As(err, &lost)
}

package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
	"github.com/webwire-go/webwire/transport/transporttest"
)

// deaf returns a connection whose other end says nothing.
func deaf() transport.Conn {
	conn, _ := memory.Pipe()
	return conn
}

func login(ctx context.Context, r *server.Request) (protocol.Payload, error) {
	if r.Name == "login" {
		_, err := r.Conn.CreateSession(ctx, nil)
		return protocol.Payload{}, err
	}
	return r.Payload, nil
}

func hangWhile(silent *bool) func(context.Context, *server.Conn, session.Session) (session.Session, error) {
	return func(ctx context.Context, _ *server.Conn, s session.Session) (session.Session, error) {
		if *silent {
			<-ctx.Done()
		}
		return s, ctx.Err()
	}
}

// pauses returns the times between attempts.
func pauses(dials []time.Time) (all []time.Duration) {
	for i := range dials[1:] {
		all = append(all, dials[i+1].Sub(dials[i]))
	}
	return all
}

// Pauses are random: up to a limit that grows, then nearly as long as they may be.
func TestBackoff(t *testing.T) {
	const most = 5 * time.Second
	limits := [][2]time.Duration{{0, time.Second}, {0, 4 * time.Second}, {most * 3 / 4, most}}
	bubble(t, func(t *testing.T) {
		var all [3][]time.Duration
		for range 100 {
			n := newNetwork(t)
			c := n.client(client.Options{})
			c.Signal(t.Context(), "s", text("x"))
			time.Sleep(time.Minute)
			for i, p := range pauses(n.dialled()) {
				i = min(i, 2)
				if p < limits[i][0] || p > limits[i][1] {
					t.Fatalf("pause %d took %v, its limits are %v", i, p, limits[i])
				}
				all[i] = append(all[i], p)
			}
			c.Close()
		}
		for i, some := range all {
			low, wide := limits[i][0], limits[i][1]-limits[i][0]
			var quarters [4]int
			for _, p := range some {
				quarters[min(3, 4*(p-low)/wide)]++
			}
			for _, n := range quarters {
				if n < len(some)/16 {
					t.Errorf("pauses %d are in quarters of their limits: %d", i, quarters)
					break
				}
			}
		}
	})
}

// The count begins anew after a socket that lasted, and only then, whether connections
// outlive their sockets or not.
func TestBackoffIsReset(t *testing.T) {
	for name, window := range map[string]time.Duration{"new connections": -1, "resumed": time.Minute} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				n := newNetwork(t)
				n.serve(server.Options{ResumeWindow: window})
				c := n.client(client.Options{})
				connect(t, c)
				lose := func() time.Duration {
					synctest.Wait()
					start := time.Now()
					n.near().Cut()
					synctest.Wait()
					request(t, c)
					return time.Since(start)
				}
				const rounds = 200
				var short, long time.Duration
				for range rounds {
					short += lose()
				}
				if mean := short / rounds; mean < 4*time.Second || mean > 5*time.Second {
					t.Errorf("after sockets that did not last the pause is %v on average", mean)
				}
				for range rounds {
					time.Sleep(5 * time.Second)
					pause := lose()
					if pause > time.Second+1 {
						t.Errorf("after a socket that lasted the pause is %v", pause)
					}
					long += pause
				}
				if mean := long / rounds; mean < 300*time.Millisecond {
					t.Errorf("after sockets that lasted the pause is %v on average", mean)
				}
				if s := c.Stats(); s.Resumes != 2*rounds && window > 0 || s.Connects != 2*rounds+1 && window < 0 {
					t.Errorf("stats: %+v", s)
				}
			})
		})
	}
}

// Servers that are replaced one after the other do not look like a server that fails.
func TestBackoffAfterGoingAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		srv := n.serve(server.Options{})
		c := n.client(client.Options{})
		connect(t, c)
		for range 100 {
			time.Sleep(2 * time.Second)
			next := n.serve(server.Options{})
			start := time.Now()
			if err := srv.Shutdown(t.Context()); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
			synctest.Wait()
			connect(t, c)
			took(t, "coming back", start, 0, time.Second+1)
			srv = next
		}
	})
}

func TestRetryAfterIsObeyed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for asked, limit := range map[time.Duration]time.Duration{
			20 * time.Second: 20 * time.Second,
			24 * time.Hour:   10 * time.Minute, // a server must not send its clients away for ever
		} {
			n := newNetwork(t)
			n.serve(server.Options{})
			n.faults.Refuse(transporttest.Unavailable(asked))
			start := time.Now()
			c := n.client(client.Options{Timeout: time.Hour})
			connect(t, c)
			took(t, "connecting", start, limit, limit+time.Second)
		}
	})
}

// A server that asks for a second gets clients every second or two, however often
// it asks.
func TestRetryAfterSetsThePace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		n.serve(server.Options{})
		for range 100 {
			n.faults.Refuse(transporttest.Unavailable(time.Second))
		}
		c := n.client(client.Options{Timeout: time.Hour})
		connect(t, c)
		for i, p := range pauses(n.dialled()) {
			if p < time.Second || p > 2*time.Second+1 {
				t.Errorf("pause %d took %v", i, p)
			}
		}
	})
}

// Pauses have a limit however they are set; a shift must not overflow.
func TestBackoffOfAnyOptions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, o := range []client.Options{
			{MinBackoff: 20 * time.Second, MaxBackoff: time.Minute},
			{MinBackoff: time.Hour, MaxBackoff: time.Second},
			{MinBackoff: 1, MaxBackoff: 1 << 62},
		} {
			n := newNetwork(t)
			c := n.client(o)
			c.Signal(t.Context(), "s", text("x"))
			time.Sleep(2 * time.Hour)
			synctest.Wait()
			for i, p := range pauses(n.dialled()) {
				if p > o.MaxBackoff {
					t.Errorf("%v to %v: pause %d took %v", o.MinBackoff, o.MaxBackoff, i, p)
				}
			}
			c.Close()
		}
	})
}

// What no further attempt can change ends the attempts: who waits learns why, the
// hook too, and only Connect tries again.
func TestPermanentFailures(t *testing.T) {
	answer := func(status int) error { return &transport.RefusedError{StatusCode: status} }
	for _, c := range []struct {
		name  string
		err   error
		final bool
	}{
		{"400", answer(400), true},
		{"410", answer(410), true},
		{"403", answer(403), false},
		{"404", answer(404), false},
		{"certificate", &tls.CertificateVerificationError{Err: errors.New("unknown authority")}, true},
		{"version", &client.VersionError{}, true},
		{"408", answer(408), false},
		{"429", answer(429), false},
		{"500", answer(500), false},
		{"502", answer(502), false},
		{"503", answer(503), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var dials atomic.Int32
				failed := make(chan error, 10)
				n := newNetwork(t)
				n.serve(server.Options{})
				var fail atomic.Bool
				fail.Store(true)
				cl := closeAtEnd(t, client.New(dialerFunc(func(ctx context.Context, opts transport.DialOptions) (transport.Conn, error) {
					dials.Add(1)
					if fail.Load() {
						return nil, c.err
					}
					return n.Dial(ctx, opts)
				}), client.Options{
					Logger: discard,
					Hooks:  client.Hooks{OnConnectFailed: func(_ context.Context, err error) { failed <- err }},
				}))
				start := time.Now()
				_, err := cl.Request(t.Context(), "echo", text("x"))
				var late *client.TimeoutError
				if late := errors.As(err, &late); !errors.Is(err, c.err) || late == c.final {
					t.Errorf("Request: %v", err)
				}
				if !c.final {
					if dials.Load() < 5 || len(failed) > 0 {
						t.Errorf("%d attempts within a minute, OnConnectFailed was called %d times", dials.Load(), len(failed))
					}
					return
				}
				took(t, "the Request", start, 0, 0)
				if !errors.Is(err, client.ErrDisconnected) {
					t.Errorf("Request: %v, want an ErrDisconnected", err)
				}
				time.Sleep(time.Hour)
				for range 3 {
					if _, err := cl.Request(t.Context(), "echo", text("x")); !errors.Is(err, c.err) {
						t.Errorf("later Request: %v", err)
					}
					if err := cl.Signal(t.Context(), "s", text("x")); !errors.Is(err, c.err) || !errors.Is(err, client.ErrDisconnected) {
						t.Errorf("later Signal: %v", err)
					}
				}
				if dials.Load() != 1 || len(failed) != 1 || !errors.Is(<-failed, c.err) || cl.Status() != client.Disconnected {
					t.Errorf("%d dials, OnConnectFailed was called %d times, the client is %v", dials.Load(), len(failed), cl.Status())
				}
				if err := cl.Connect(t.Context()); !errors.Is(err, c.err) || dials.Load() != 2 {
					t.Errorf("Connect: %v after %d dials", err, dials.Load())
				}
				fail.Store(false)
				connect(t, cl)
				request(t, cl)
			})
		})
	}
}

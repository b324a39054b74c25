package server_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
)

// events notes what hooks are called.
type events struct {
	mu  sync.Mutex
	all []string
}

func (e *events) note(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, fmt.Sprintf(format, args...))
}

func (e *events) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	if fmt.Sprint(e.all) != fmt.Sprint(want) {
		t.Errorf("hooks: %q, want %q", e.all, want)
	}
	e.all = nil
}

// withProof is the hello of a client with credentials that claims a connection.
func withProof(r protocol.Resume, proof string) protocol.HelloBody {
	return protocol.HelloBody{Resume: &r, Head: protocol.Head(nil).AppendCredentials([]byte(proof))}
}

// closedWith reads the status that a peer without a welcome gets.
func closedWith(t *testing.T, srv *server.Server, hello protocol.HelloBody, want transport.Status) {
	t.Helper()
	p, w, err := sayHello(t, context.Background(), srv, hello)
	var closed *transport.CloseError
	if !errors.As(err, &closed) || closed.Status != want {
		t.Errorf("got %+v, %v, want status %d", w, err, want)
	}
	if err := p.wait(); err == nil {
		t.Error("ServeConn returns no error")
	}
}

// OnClientBack may refuse a socket by an error, by a panic or by ending its goroutine. The
// connection stays away, as it was, until the window is over: refused attempts do not
// prolong it.
func TestBackRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var e events
		srv := resuming(server.Hooks{
			OnClientAway: func(*server.Conn, error) { e.note("away") },
			OnClientBack: func(ctx context.Context, c *server.Conn) error {
				proof := string(c.Credentials())
				e.note("back %s", proof)
				if ctx != c.Context() {
					t.Error("another context")
				}
				switch proof {
				case "error":
					return errors.New("no")
				case "status":
					return &transport.CloseError{Status: 4600, Reason: "no"}
				case "panic":
					panic("no")
				case "exit":
					runtime.Goexit()
				}
				return nil
			},
			OnClientDisconnected: func(_ *server.Conn, reason error) { e.note("disconnected: %v", reason) },
			OnRequest:            echo,
		})
		p, w := first(t, srv)
		p.lose()
		e.want(t, "away")
		attempt := uint32(0)
		again := func(proof string) protocol.HelloBody {
			attempt++
			return withProof(claim(w, attempt, 0), proof)
		}
		conn := only(t, srv)
		info := conn.Info()
		refusals := map[string]transport.Status{
			"error": transport.StatusInternalError, "panic": transport.StatusInternalError,
			"exit": transport.StatusInternalError, "status": 4600,
		}
		for proof, status := range refusals {
			if proof == "exit" { // ServeConn does not return either
				p, _, err := sayHello(t, context.Background(), srv, again(proof))
				var closed *transport.CloseError
				if !errors.As(err, &closed) || closed.Status != status {
					t.Errorf("got %v", err)
				}
				_ = p.wait()
			} else {
				closedWith(t, srv, again(proof), status)
			}
			e.want(t, "back "+proof)
			if conn.Info() != info || conn.Credentials() != nil {
				t.Error("the connection has what the refused socket had")
			}
			if n := srv.Stats().Away; n != 1 {
				t.Errorf("%d connections are away", n)
			}
		}
		p, w = welcomed(t, context.Background(), srv, again("x"), protocol.OutcomeResumed)
		e.want(t, "back x")
		if conn.Info().RemoteAddr == nil || conn.Credentials() != nil {
			t.Error("the credentials are kept")
		}
		p.request(1, "", "x")
		p.reply(1, protocol.Reply)
		p.lose()
		e.want(t, "away")
		for range 3 {
			time.Sleep(39 * time.Second)
			closedWith(t, srv, again("error"), transport.StatusInternalError)
		}
		time.Sleep(2 * time.Second)
		e.want(t, "back error", "back error", "back error")
		time.Sleep(2 * time.Second)
		e.want(t, "disconnected: "+server.ErrClientGone.Error())
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
}

// only returns the server's only connection.
func only(t *testing.T, srv *server.Server) (c *server.Conn) {
	t.Helper()
	n := 0
	for c = range srv.Conns() {
		n++
	}
	if n != 1 {
		t.Fatalf("%d connections", n)
	}
	return c
}

// A wall clock that is set does not change when the window is over.
func TestWindowWithSetClock(t *testing.T) {
	for _, jump := range []time.Duration{time.Hour, -time.Hour} {
		bubble(t, func(t *testing.T) {
			var e events
			srv := resuming(server.Hooks{
				OnClientBack: func(_ context.Context, c *server.Conn) error {
					server.SetConnected(c, time.Now().Round(0).Add(-jump))
					return errors.New("no")
				},
				OnClientDisconnected: func(_ *server.Conn, reason error) { e.note("disconnected: %v", reason) },
			})
			p, w := first(t, srv)
			synctest.Wait()
			server.SetConnected(only(t, srv), time.Now().Round(0)) // as if another node had accepted it
			p.lose()
			time.Sleep(time.Minute)
			closedWith(t, srv, withProof(claim(w, 1, 0), "x"), transport.StatusInternalError)
			time.Sleep(time.Minute - 1)
			e.want(t)
			time.Sleep(time.Nanosecond)
			e.want(t, "disconnected: "+server.ErrClientGone.Error())
		})
	}
}

// While OnClientBack blocks, the connection does not end because the window is over, and
// other attempts wait for their turn. When the server closes, it ends.
func TestBackBlocks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var e events
		srv := resuming(server.Hooks{
			OnClientBack: func(ctx context.Context, c *server.Conn) error {
				e.note("back %s", c.Credentials())
				switch string(c.Credentials()) {
				case "slow":
					time.Sleep(25 * time.Second)
				case "stuck":
					<-ctx.Done()
					return context.Cause(ctx)
				}
				return nil
			},
			OnClientDisconnected: func(_ *server.Conn, reason error) { e.note("disconnected: %v", reason) },
			OnRequest:            echo,
		})
		p, w := first(t, srv)
		p.lose()
		time.Sleep(100 * time.Second)
		began := time.Now()
		slow := make(chan error, 1)
		go func() { // it may not see the welcome any more
			p, _, _ := sayHello(t, context.Background(), srv, withProof(claim(w, 1, 0), "slow"))
			slow <- p.wait()
		}()
		time.Sleep(time.Second)
		p, w = welcomed(t, context.Background(), srv, withProof(claim(w, 2, 0), "second"), protocol.OutcomeResumed)
		if took := time.Since(began); took != 25*time.Second {
			t.Errorf("the second came back after %v", took)
		}
		if err := <-slow; !errors.Is(err, link.ErrTakenOver) {
			t.Errorf("the first ended because %v", err)
		}
		e.want(t, "back slow", "back second")
		p.request(1, "", "x")
		p.reply(1, protocol.Reply)
		p.lose()
		over := make(chan error)
		go func() {
			_, _, err := sayHello(t, context.Background(), srv, withProof(claim(w, 3, 1), "stuck"))
			over <- err
		}()
		e.want(t, "back stuck")
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		if err := <-over; err == nil {
			t.Error("a welcome from a server that is closed")
		}
		e.want(t, "disconnected: "+server.ErrServerClosed.Error())
		if err := srv.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// OnClientConnected comes first: a client that loses its socket meanwhile, and comes back,
// waits until it has returned.
func TestAwayWhileConnecting(t *testing.T) {
	for _, outcome := range []error{nil, errors.New("no")} {
		bubble(t, func(t *testing.T) {
			var e events
			srv := resuming(server.Hooks{
				OnClientConnected: func(context.Context, *server.Conn) error {
					e.note("connecting")
					time.Sleep(10 * time.Second)
					e.note("connected")
					return outcome
				},
				OnClientAway:         func(*server.Conn, error) { e.note("away") },
				OnClientBack:         func(context.Context, *server.Conn) error { e.note("back"); return nil },
				OnClientDisconnected: func(*server.Conn, error) { e.note("disconnected") },
			})
			p, w := first(t, srv)
			synctest.Wait()
			_ = p.conn.Abort()
			e.want(t, "connecting")
			want := protocol.OutcomeResumed
			if outcome != nil {
				want = protocol.OutcomeExpired
			}
			r := claim(w, 1, 0)
			welcomed(t, context.Background(), srv, protocol.HelloBody{Resume: &r}, want)
			if outcome == nil {
				e.want(t, "connected", "away", "back")
			} else {
				e.want(t, "connected", "connecting") // the second is of the new connection
			}
			if err := srv.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// The window is open while OnClientConnected runs: its context ends with it.
func TestWindowWhileConnecting(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var e events
		srv := resuming(server.Hooks{
			OnClientConnected: func(ctx context.Context, _ *server.Conn) error {
				<-ctx.Done()
				e.note("connected: %v", context.Cause(ctx))
				return nil
			},
			OnClientAway: func(*server.Conn, error) { e.note("away") },
		})
		p, _ := first(t, srv)
		began := time.Now()
		synctest.Wait()
		_ = p.conn.Abort()
		if err := p.wait(); err == nil || time.Since(began) != 2*time.Minute {
			t.Errorf("ServeConn returned %v after %v", err, time.Since(began))
		}
		e.want(t, "connected: "+server.ErrClientGone.Error())
		if err := srv.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A connection whose OnClientAway panics, or ends its goroutine, is away as others are.
func TestAwayFails(t *testing.T) {
	for name, fail := range map[string]func(){"panic": func() { panic("no") }, "exit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var e events
				srv := resuming(server.Hooks{
					OnClientAway:         func(*server.Conn, error) { e.note("away"); fail() },
					OnClientDisconnected: func(_ *server.Conn, reason error) { e.note("disconnected: %v", reason) },
				})
				p, w := first(t, srv)
				p.lose()
				p, w = back(t, srv, claim(w, 1, 0))
				p.lose()
				e.want(t, "away", "away")
				time.Sleep(2*time.Minute + time.Second)
				e.want(t, "disconnected: "+server.ErrClientGone.Error())
				refused(t, srv, claim(w, 2, 0), protocol.OutcomeExpired)
				if err := srv.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestBackWhileConnecting(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var e events
		srv := resuming(server.Hooks{
			OnClientConnected: func(_ context.Context, c *server.Conn) error {
				e.note("connecting")
				time.Sleep(10 * time.Second)
				e.note("connected with %s", c.Credentials())
				return nil
			},
			OnClientBack: func(_ context.Context, c *server.Conn) error { e.note("back with %s", c.Credentials()); return nil },
		})
		p, w := welcomed(t, context.Background(), srv, protocol.HelloBody{Head: protocol.Head(nil).AppendCredentials([]byte("first"))}, protocol.OutcomeFresh)
		synctest.Wait()
		_ = p.conn.Abort()
		welcomed(t, context.Background(), srv, withProof(claim(w, 1, 0), "second"), protocol.OutcomeResumed)
		time.Sleep(time.Minute)
		e.want(t, "connecting", "connected with first", "back with second")
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestBackErrorThatPanics(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := resuming(server.Hooks{
			OnClientBack: func(context.Context, *server.Conn) error {
				var typed *transport.CloseError
				return typed
			},
		})
		p, w := first(t, srv)
		p.lose()
		closedWith(t, srv, withProof(claim(w, 1, 0), ""), transport.StatusInternalError)
		if n := srv.Stats().Away; n != 1 {
			t.Errorf("%d connections are away", n)
		}
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
}

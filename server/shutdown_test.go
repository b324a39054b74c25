package server_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
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
)

// works returns hooks whose requests take the time that their payload says.
func works() server.Hooks {
	return server.Hooks{
		OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
			d, err := time.ParseDuration(r.Payload.Text())
			if err != nil {
				return protocol.Payload{}, err
			}
			time.Sleep(d)
			return r.Payload, nil
		},
		OnSignal: func(context.Context, *server.Signal) {},
	}
}

// shutdown calls Shutdown in another goroutine.
func shutdown(srv *server.Server, ctx context.Context) <-chan error {
	done := make(chan error, 1)
	go func() { done <- srv.Shutdown(ctx) }()
	synctest.Wait()
	return done
}

func wantGoingAway(t *testing.T, p *peer) {
	t.Helper()
	ours, theirs := p.over()
	var closed *transport.CloseError
	if !errors.As(ours, &closed) || closed.Status != transport.StatusGoingAway || !errors.Is(theirs, server.ErrServerClosed) {
		t.Errorf("the connection ended with %v and %v", ours, theirs)
	}
}

// Shutdown refuses what is new, finishes what is running, sends what it has to say
// and goes away.
func TestShutdownDrains(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := server.New(server.Options{Hooks: works()})
		busy, idle := connect(t, srv, protocol.V1_2), connect(t, srv, protocol.V1_2)
		busy.request(1, "r", "5s")
		busy.request(2, "r", "10s")
		synctest.Wait()
		start := time.Now()
		done := shutdown(srv, t.Context())

		rec := httptest.NewRecorder()
		srv.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/", nil))
		if rec.Code != http.StatusServiceUnavailable || rec.Header().Get("Retry-After") == "" {
			t.Errorf("a new connection gets %d, Retry-After %q", rec.Code, rec.Header().Get("Retry-After"))
		}
		late := connect(t, srv, protocol.V1_2)
		if err := late.wait(); !errors.Is(err, server.ErrServerClosed) {
			t.Errorf("ServeConn: %v", err)
		}
		for _, p := range []*peer{busy, idle} {
			p.request(3, "r", "0s")
			p.reply(3, protocol.ReplyShutdown)
			p.signal("s", "x")
		}
		synctest.Wait()
		if s := srv.Stats(); s.Dropped != 2 {
			t.Errorf("%d signals were dropped, want 2", s.Dropped)
		}
		for id := range uint64(2) {
			busy.reply(id+1, protocol.Reply)
		}
		wantGoingAway(t, busy)
		wantGoingAway(t, idle)
		if err := <-done; err != nil || time.Since(start) != 10*time.Second {
			t.Errorf("Shutdown: %v after %v", err, time.Since(start))
		}
		for range 2 {
			if err := srv.Shutdown(t.Context()); err != nil {
				t.Errorf("Shutdown again: %v", err)
			}
			if err := srv.Close(); err != nil {
				t.Errorf("Close after Shutdown: %v", err)
			}
		}
	})
}

// When its context ends Shutdown drops what is left, and waits for nobody.
func TestShutdownIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		ended := make(chan struct{})
		srv := server.New(server.Options{Hooks: server.Hooks{
			OnRequest: func(ctx context.Context, _ *server.Request) (protocol.Payload, error) {
				<-ctx.Done()
				close(ended)
				<-release
				return protocol.Payload{}, nil
			},
		}})
		p := connect(t, srv, protocol.V1_2)
		p.request(1, "r", "x")
		synctest.Wait()
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		both := []<-chan error{shutdown(srv, ctx), shutdown(srv, context.Background())}
		if err := <-both[0]; err != context.DeadlineExceeded || time.Since(start) != time.Second {
			t.Errorf("Shutdown: %v after %v", err, time.Since(start))
		}
		<-ended
		synctest.Wait()
		if len(both[1]) > 0 {
			t.Error("a Shutdown without a limit returned before the handler")
		}
		close(release)
		if err := <-both[1]; err != nil {
			t.Errorf("Shutdown without a limit: %v", err)
		}
		p.over()
	})
}

// Close may come while Shutdown waits.
func TestCloseDuringShutdown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := server.New(server.Options{Hooks: works()})
		p := connect(t, srv, protocol.V1_2)
		p.request(1, "r", "10s")
		synctest.Wait()
		done := shutdown(srv, t.Context())
		if err := srv.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		ours, theirs := p.over()
		var closed *transport.CloseError
		if errors.As(ours, &closed) || !errors.Is(theirs, server.ErrServerClosed) {
			t.Errorf("the connection ended with %v and %v", ours, theirs)
		}
		if err := <-done; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
}

// Handlers and hooks that call Shutdown with their context do not wait for each other,
// and those that call BeginShutdown for nobody.
func TestShutdownFromInside(t *testing.T) {
	for _, where := range []string{"request", "signal", "connected", "disconnected"} {
		t.Run(where, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				shutdownFromInside(t, where, func(srv *server.Server, c *server.Conn) {
					if err := srv.Shutdown(context.WithoutCancel(c.Context())); err != nil {
						t.Errorf("Shutdown: %v", err)
					}
				})
			})
		})
		t.Run(where+", BeginShutdown", func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				shutdownFromInside(t, where, func(srv *server.Server, _ *server.Conn) { srv.BeginShutdown() })
			})
		})
	}
}

func shutdownFromInside(t *testing.T, where string, stop func(*server.Server, *server.Conn)) {
	var srv *server.Server
	var inside, outside sync.WaitGroup // both connections call it
	inside.Add(2)
	outside.Add(2)
	in := func(here string, c *server.Conn) {
		if here != where {
			return
		}
		inside.Done()
		inside.Wait()
		start := time.Now()
		stop(srv, c)
		if d := time.Since(start); d > 0 {
			t.Errorf("took %v", d)
		}
		outside.Done()
	}
	srv = server.New(server.Options{Hooks: server.Hooks{
		OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
			in("request", r.Conn)
			return r.Payload, nil
		},
		OnSignal:             func(_ context.Context, s *server.Signal) { in("signal", s.Conn) },
		OnClientConnected:    func(_ context.Context, c *server.Conn) error { in("connected", c); return nil },
		OnClientDisconnected: func(c *server.Conn, _ error) { in("disconnected", c) },
	}})
	a, b := connect(t, srv, protocol.V1_2), connect(t, srv, protocol.V1_2)
	synctest.Wait()
	switch where {
	case "request":
		a.request(1, "r", "x")
		b.request(1, "r", "x")
		a.reply(1, protocol.Reply)
		b.reply(1, protocol.Reply)
	case "signal":
		a.signal("s", "x")
		b.signal("s", "x")
	case "disconnected":
		a.conn.Close(transport.StatusNormalClosure, "")
		b.conn.Close(transport.StatusNormalClosure, "")
	}
	outside.Wait()
	a.over()
	b.over()
	if err := srv.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown from outside: %v", err)
	}
	if s := srv.Stats(); s.Open != 0 || s.InFlight != 0 {
		t.Errorf("%+v", s)
	}
}

// A handler that calls Shutdown with a context that is not its own cannot be told from
// other callers: it waits for itself until that context ends. Others finish meanwhile.
func TestShutdownFromInsideWithAnotherContext(t *testing.T) {
	for _, where := range []string{"request", "signal", "disconnected"} {
		t.Run(where, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var srv *server.Server
				var caller *server.Conn
				result := make(chan error, 1)
				stop := func(c *server.Conn) {
					if c != caller {
						return
					}
					ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
					defer cancel()
					result <- srv.Shutdown(ctx)
				}
				hooks := works()
				work := hooks.OnRequest
				hooks.OnRequest = func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
					if r.Name == "stop" {
						stop(r.Conn)
					}
					return work(ctx, r)
				}
				hooks.OnSignal = func(_ context.Context, s *server.Signal) { stop(s.Conn) }
				hooks.OnClientDisconnected = func(c *server.Conn, _ error) {
					if where == "disconnected" {
						stop(c)
					}
				}
				srv = server.New(server.Options{Hooks: hooks, Logger: discard})
				p := connect(t, srv, protocol.V1_2)
				caller = grab(t, srv)
				other := connect(t, srv, protocol.V1_2)
				other.request(1, "r", "5s")
				synctest.Wait()
				start := time.Now()
				switch where {
				case "request":
					p.request(1, "stop", "0s")
				case "signal":
					p.signal("stop", "x")
				case "disconnected":
					p.conn.Abort()
				}
				other.reply(1, protocol.Reply)
				if d := time.Since(start); d != 5*time.Second {
					t.Errorf("the other's reply came after %v", d)
				}
				wantGoingAway(t, other)
				if err := <-result; err != context.DeadlineExceeded || time.Since(start) != 10*time.Second {
					t.Errorf("Shutdown: %v after %v", err, time.Since(start))
				}
				p.over()
				if err := srv.Shutdown(t.Context()); err != nil {
					t.Errorf("Shutdown from outside: %v", err)
				}
			})
		})
	}
}

// A handler may shut another server down, which knows nothing of the handler: it waits.
func TestShutdownOfAnotherServer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		other := server.New(server.Options{Hooks: works()})
		busy := connect(t, other, protocol.V1_2)
		busy.request(1, "r", "1m")
		synctest.Wait()
		srv := server.New(server.Options{Hooks: server.Hooks{
			OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
				err := other.Shutdown(ctx)
				if s := other.Stats(); s.Open != 0 || s.InFlight != 0 {
					t.Errorf("Shutdown returned while there is %+v", s)
				}
				return r.Payload, err
			},
		}})
		p := connect(t, srv, protocol.V1_2)
		start := time.Now()
		p.request(1, "stop", "x")
		p.reply(1, protocol.Reply)
		if d := time.Since(start); d != time.Minute {
			t.Errorf("took %v", d)
		}
		busy.reply(1, protocol.Reply)
		wantGoingAway(t, busy)
	})
}

// A connection may be served inside a handler of another server: its handlers may shut
// down either.
func TestShutdownOfTheOuterServer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var outer *server.Server
		inner := server.New(server.Options{Hooks: server.Hooks{
			OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
				return r.Payload, outer.Shutdown(ctx)
			},
		}})
		tunnel := make(chan *peer, 1)
		outer = server.New(server.Options{Hooks: server.Hooks{
			OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
				p := attach(t, protocol.V1_2, transport.Limits{}, inner.AcceptOptions(), func(conn transport.Conn) error { return inner.ServeConn(ctx, conn) })
				p.listen()
				tunnel <- p
				p.wait()
				return r.Payload, nil
			},
		}})
		p := connect(t, outer, protocol.V1_2)
		p.request(1, "tunnel", "x")
		through := <-tunnel
		start := time.Now()
		through.request(1, "stop", "x")
		through.reply(1, protocol.Reply)
		if d := time.Since(start); d != 0 {
			t.Errorf("took %v", d)
		}
		through.conn.Close(transport.StatusNormalClosure, "")
		p.reply(1, protocol.Reply)
		wantGoingAway(t, p)
	})
}

// slowStore takes a second to note a use.
type slowStore struct {
	session.MemoryStore
	late  atomic.Bool
	after atomic.Int32
}

func (s *slowStore) Touch(ctx context.Context, key string, seen time.Time) error {
	if s.late.Load() {
		s.after.Add(1)
	}
	time.Sleep(time.Second)
	if s.late.Load() {
		s.after.Add(1)
	}
	return s.MemoryStore.Touch(ctx, key, seen)
}

// Once Shutdown has returned the owner of the store may close it.
func TestStoreIsNotUsedAfterShutdown(t *testing.T) {
	for _, close := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			store := &slowStore{}
			srv := server.New(server.Options{Sessions: store, Hooks: server.Hooks{
				OnClientConnected: func(ctx context.Context, c *server.Conn) error {
					_, err := c.CreateSession(ctx, nil)
					return err
				},
			}})
			for range 60 {
				connect(t, srv, protocol.V1_2).receive()
			}
			time.Sleep(5*time.Minute + 1500*time.Millisecond) // the second use is being noted
			if close {
				srv.Close()
			}
			if err := srv.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			store.late.Store(true)
			time.Sleep(time.Hour)
			if n := store.after.Load(); n > 0 {
				t.Errorf("the store was used %d times", n)
			}
		})
	}
}

// Conn.Close is the shutdown of one connection, from its own handler too.
func TestConnCloseDrains(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hooks := works()
		work := hooks.OnRequest
		hooks.OnRequest = func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
			if r.Name == "close" {
				r.Conn.Close(4500, "enough")
				r.Conn.Close(transport.StatusNormalClosure, "")
			}
			return work(ctx, r)
		}
		srv := server.New(server.Options{Hooks: hooks})
		p, other := connect(t, srv, protocol.V1_2), connect(t, srv, protocol.V1_2)
		p.request(1, "r", "5s")
		p.request(2, "close", "2s")
		synctest.Wait()
		p.request(3, "r", "0s")
		p.reply(3, protocol.ReplyShutdown)
		p.reply(2, protocol.Reply)
		p.reply(1, protocol.Reply)
		ours, theirs := p.over()
		var closed *transport.CloseError
		if !errors.As(ours, &closed) || closed.Status != 4500 || closed.Reason != "enough" || !errors.Is(theirs, server.ErrConnClosed) {
			t.Errorf("the connection ended with %v and %v", ours, theirs)
		}
		other.request(1, "r", "0s")
		other.reply(1, protocol.Reply)
	})
}

// That handlers which call Shutdown do not wait for each other is theirs alone: who
// calls it from outside waits for them.
func TestShutdownBesideHandlers(t *testing.T) {
	for range 20 { // it depended on who noticed what first
		bubble(t, func(t *testing.T) {
			var srv *server.Server
			var ended atomic.Int32
			srv = server.New(server.Options{Logger: discard, Hooks: server.Hooks{
				OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
					if r.Name != "stop" {
						time.Sleep(time.Minute)
						return r.Payload, nil
					}
					err := srv.Shutdown(ctx)
					time.Sleep(time.Second)
					return r.Payload, err
				},
				OnClientDisconnected: func(*server.Conn, error) { ended.Add(1) },
			}})
			stops, works := connect(t, srv, protocol.V1_2), connect(t, srv, protocol.V1_2)
			works.request(1, "work", "x")
			synctest.Wait()
			stops.request(1, "stop", "x")
			synctest.Wait()
			if err := srv.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			if n := ended.Load(); n != 2 {
				t.Errorf("Shutdown returned when %d of 2 connections had ended", n)
			}
			stops.reply(1, protocol.Reply)
			works.reply(1, protocol.Reply)
		})
	}
}

// Whoever sees that the server goes away finds that its requests are refused, on every
// connection.
func TestShutdownRefusesAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for range 10 {
			srv := server.New(server.Options{Hooks: works()})
			busy := connect(t, srv, protocol.V1_2)
			var conns []*peer
			for range 20 {
				conns = append(conns, connect(t, srv, protocol.V1_2))
			}
			busy.request(1, "r", "5s")
			synctest.Wait()
			go srv.BeginShutdown()
			for closing := false; !closing; {
				rec := httptest.NewRecorder()
				srv.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/", nil))
				closing = rec.Code == http.StatusServiceUnavailable
			}
			for _, p := range slices.Backward(conns) {
				p.request(2, "r", "0s")
			}
			for _, p := range conns {
				p.reply(2, protocol.ReplyShutdown)
			}
			busy.reply(1, protocol.Reply)
			busy.over()
		}
	})
}

// A client that has read conf may count as connected before the server has read its hello.
func TestShutdownBeforeHello(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := server.New(server.Options{Version: protocol.V3_0})
		ours, theirs := pair(t, transport.Limits{}, srv.AcceptOptions())
		served := make(chan error, 1)
		go func() { served <- srv.ServeConn(t.Context(), theirs) }()
		if _, err := ours.Read(nil); err != nil { // conf
			t.Fatal(err)
		}
		done := shutdown(srv, t.Context())
		var closed *transport.CloseError
		if _, err := ours.Read(nil); !errors.As(err, &closed) || closed.Status != transport.StatusGoingAway {
			t.Errorf("the client reads %v", err)
		}
		if err := <-served; err != server.ErrServerClosed {
			t.Errorf("ServeConn: %v", err)
		}
		if err := <-done; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
}

// A client that no longer waits for the request in which it asked for the shutdown, or that
// leaves, does not cut it short: the requests of others finish.
func TestShutdownByClientThatGivesUp(t *testing.T) {
	for name, test := range map[string]struct {
		version protocol.Version
		giveUp  func(cancel context.CancelFunc, c *client.Client) // after two seconds
		limit   time.Duration                                     // of the request
		own     time.Duration                                     // the time that the handler allows
		aside   bool                                              // the handler returns meanwhile
		cut     bool
	}{
		"deadline":                   {protocol.V3_0, nil, 2 * time.Second, time.Minute, false, false},
		"cancel":                     {protocol.V3_0, func(cancel context.CancelFunc, _ *client.Client) { cancel() }, time.Hour, time.Minute, false, false},
		"closed":                     {protocol.V3_0, func(_ context.CancelFunc, c *client.Client) { c.Close() }, time.Hour, time.Minute, false, false},
		"closed, 2.0":                {protocol.V2_0, func(_ context.CancelFunc, c *client.Client) { c.Close() }, time.Hour, time.Minute, false, false},
		"the handler has returned":   {protocol.V3_0, nil, time.Hour, time.Minute, true, false},
		"the handler's own deadline": {protocol.V3_0, nil, time.Hour, 2 * time.Second, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var srv *server.Server
				result := make(chan error, 1)
				hooks := works()
				work := hooks.OnRequest
				hooks.OnRequest = func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
					if r.Name != "stop" {
						return work(ctx, r)
					}
					stop := func() error {
						ctx, cancel := context.WithTimeout(ctx, test.own)
						defer cancel()
						err := srv.Shutdown(ctx)
						result <- err
						return err
					}
					if test.aside {
						go stop()
						return protocol.Payload{}, nil
					}
					return protocol.Payload{}, stop()
				}
				srv = server.New(server.Options{Hooks: hooks, Logger: discard})
				ln := memory.Listen()
				go srv.Serve(ln)
				admin := client.New(ln, client.Options{Logger: discard, Versions: []protocol.Version{test.version}})
				user := client.New(ln, client.Options{Logger: discard})
				defer admin.Close()
				defer user.Close()
				worked := make(chan error, 1)
				go func() {
					_, err := user.Request(context.Background(), "work", protocol.Text("10s"))
					worked <- err
				}()
				synctest.Wait()
				ctx, cancel := context.WithTimeout(context.Background(), test.limit)
				defer cancel()
				if test.giveUp != nil {
					time.AfterFunc(2*time.Second, func() { test.giveUp(cancel, admin) })
				}
				_, _ = admin.Request(ctx, "stop", protocol.Payload{}) // the result of Shutdown says more
				if err := <-result; !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Shutdown: %v", err)
				}
				if err := <-worked; (err != nil) != test.cut {
					t.Errorf("the request of the other: %v", err)
				}
				if err := srv.Shutdown(t.Context()); err != nil {
					t.Errorf("Shutdown from outside: %v", err)
				}
			})
		})
	}
}

func TestShutdownByOnClientBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		over := make(chan error, 1)
		var srv *server.Server
		srv = resuming(server.Hooks{
			OnClientBack: func(ctx context.Context, c *server.Conn) error {
				over <- srv.Shutdown(ctx)
				return nil
			},
		})
		p, w := first(t, srv)
		p.lose()
		go func() { _, _, _ = sayHello(t, context.Background(), srv, withProof(claim(w, 1, 0), "")) }()
		select {
		case err := <-over:
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		case <-time.After(time.Hour):
			t.Error("Shutdown does not return")
		}
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A handler's Shutdown ends in time although what is sent to its own client makes no progress.
func TestShutdownByClientThatReadsSlowly(t *testing.T) {
	for _, cancelled := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			result := make(chan error, 1)
			var srv *server.Server
			srv = newTopical(t, server.Options{Topics: everything, OutboxSize: 20_000, WriteTimeout: time.Hour, ReadTimeout: 24 * time.Hour, Hooks: server.Hooks{
				OnSubscribe: func(context.Context, *server.Conn, string) (any, error) { return strings.Repeat("x", 4<<10), nil },
				OnRequest: func(ctx context.Context, _ *server.Request) (protocol.Payload, error) {
					if !cancelled {
						ctx = context.WithoutCancel(ctx)
					}
					ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
					defer cancel()
					err := srv.Shutdown(ctx)
					result <- err
					return protocol.Payload{}, err
				},
			}})
			others := crowd(t, srv, 100)
			slow := connectDeaf(t, context.Background(), srv, protocol.V3_0)
			watch(slow)
			time.Sleep(time.Minute) // the outbox is full, and the snapshot waits
			_ = others.conn.Close(transport.StatusNormalClosure, "")
			others.over()
			began := time.Now()
			slow.request(2, "stop", "x")
			want := context.DeadlineExceeded
			if cancelled {
				want = context.Canceled
				synctest.Wait()
				slow.send(protocol.CancelBody{ID: protocol.NewID(2)}.Message())
			}
			select {
			case err := <-result:
				if took := time.Since(began); err != want || took > 10*time.Second {
					t.Errorf("Shutdown: %v after %v", err, took)
				}
			case <-time.After(time.Minute):
				t.Error("Shutdown does not return")
			}
			_ = slow.conn.Abort()
			if err := srv.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

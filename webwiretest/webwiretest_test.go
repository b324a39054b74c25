package webwiretest_test

import (
	"context"
	"fmt"
	"log/slog"
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
	"github.com/webwire-go/webwire/transport/transporttest"
	"github.com/webwire-go/webwire/webwiretest"
)

// connect makes the client connect.
func connect(t *testing.T, c *client.Client) {
	t.Helper()
	if err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A client that is connected, one that is offline and one that never connected: the end of the
// test ends all of them, and the server.
func TestEnd(t *testing.T) {
	var connected, ended atomic.Int64
	srv := func() *server.Server {
		return server.New(server.Options{Hooks: server.Hooks{
			OnClientConnected:    func(context.Context, *server.Conn) error { connected.Add(1); return nil },
			OnClientDisconnected: func(*server.Conn, error) { ended.Add(1) },
		}})
	}
	clients := make([]*client.Client, 3)
	synctest.Test(t, func(t *testing.T) {
		network := webwiretest.Serve(t, srv())
		for i := range clients {
			link := network.Link()
			clients[i] = link.Client(client.Options{})
			switch i {
			case 0:
				connect(t, clients[i])
			case 1:
				connect(t, clients[i])
				synctest.Wait()
				link.Offline()
			}
		}
	})
	if c, e := connected.Load(), ended.Load(); c != 2 || e != 2 {
		t.Errorf("%d connections began and %d ended, want 2", c, e)
	}
	for i, c := range clients {
		if s := c.Status(); s != client.Closed {
			t.Errorf("client %d is %v", i, s)
		}
	}
}

// failing is a test that may fail.
type failing struct {
	testing.TB
	cleanups []func()
	errors   []string
}

func (f *failing) Cleanup(end func())           { f.cleanups = append(f.cleanups, end) }
func (f *failing) Errorf(s string, args ...any) { f.errors = append(f.errors, fmt.Sprintf(s, args...)) }

// A handler that does not return is an error of the test.
func TestHandlerThatStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &failing{TB: t}
		leave := make(chan struct{})
		network := webwiretest.Serve(f, server.New(server.Options{Hooks: server.Hooks{
			OnRequest: func(context.Context, *server.Request) (protocol.Payload, error) {
				<-leave
				return protocol.Payload{}, nil
			},
		}}))
		c := client.New(network.Link(), client.Options{Logger: slog.New(slog.DiscardHandler)})
		defer c.Close()
		go c.Request(context.Background(), "stay", protocol.Payload{})
		synctest.Wait()
		time.AfterFunc(time.Hour, func() { close(leave) })
		f.cleanups[0]()
		if len(f.errors) != 1 || !strings.Contains(f.errors[0], "a handler may not return") {
			t.Errorf("the test fails with %q", f.errors)
		}
	})
}

// Each link breaks alone.
func TestCutOneLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := webwiretest.Serve(t, newServer())
		one, two := network.Link(), network.Link()
		a, b := one.Client(client.Options{}), two.Client(client.Options{})
		connect(t, a)
		connect(t, b)
		one.Cut()
		time.Sleep(time.Minute)
		if a, b := a.Stats().Attempts, b.Stats().Attempts; a != 2 || b != 1 {
			t.Errorf("the clients connected %d and %d times, want 2 and 1", a, b)
		}
	})
}

func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link := webwiretest.Serve(t, newServer()).Link()
		c := link.Client(client.Options{})
		connect(t, c)
		takes := func(want time.Duration) {
			t.Helper()
			start := time.Now()
			if _, err := c.Request(t.Context(), "greet", protocol.Payload{}); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took != want {
				t.Errorf("the request took %v, want %v", took, want)
			}
		}
		takes(0)
		link.Delay(time.Second)
		takes(2 * time.Second) // the request and the reply
		link.Cut()
		time.Sleep(time.Minute)
		takes(2 * time.Second) // on the next connection too
		link.Delay(0)
		time.Sleep(time.Minute) // what is on its way arrives
		takes(0)
	})
}

func TestReplace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		named := func(name string) *server.Server {
			return server.New(server.Options{Hooks: server.Hooks{
				OnRequest: func(context.Context, *server.Request) (protocol.Payload, error) {
					return protocol.Text(name), nil
				},
			}})
		}
		one := named("one")
		network := webwiretest.Serve(t, one)
		c := network.Client(client.Options{})
		asks := func(want string) {
			t.Helper()
			if reply, err := c.Request(t.Context(), "who", protocol.Payload{}); err != nil || reply.Text() != want {
				t.Errorf("%q answers, want %q: %v", reply.Text(), want, err)
			}
		}
		asks("one")
		network.Replace(named("two"))
		asks("one") // on the connection that exists
		if err := one.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		asks("two")
	})
}

// With nil the server is away until the next Replace.
func TestReplaceByNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer()
		network := webwiretest.Serve(t, srv)
		c := network.Client(client.Options{})
		network.Replace(nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := c.Connect(ctx); err == nil {
			t.Error("connected to a server that is away")
		}
		network.Replace(srv)
		connect(t, c)
	})
}

// What Link has no method for.
func TestFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link := webwiretest.Serve(t, newServer()).Link()
		near, far := link.Faults()
		near.Refuse(transporttest.Unavailable(30 * time.Second))
		c := link.Client(client.Options{})
		start := time.Now()
		connect(t, c)
		if took := time.Since(start); took < 30*time.Second {
			t.Errorf("connected after %v, while the server asked for 30s", took)
		}
		if len(near.Conns()) != 1 || len(far.Conns()) != 1 {
			t.Errorf("%d and %d ends, want one each", len(near.Conns()), len(far.Conns()))
		}
	})
}

func TestSignals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var signals webwiretest.Signals
		c := webwiretest.Serve(t, newServer()).Client(client.Options{Handler: &signals})
		connect(t, c)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if s, err := signals.Next(ctx); err != context.DeadlineExceeded {
			t.Errorf("without a signal: %v, %v", s, err)
		}
		time.AfterFunc(time.Second, func() {
			for i := range 3 {
				if err := c.Signal(context.Background(), "hello", protocol.Text(fmt.Sprint(i))); err != nil {
					t.Error(err)
				}
			}
		})
		s, err := signals.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		got := []string{s.Payload.Text()}
		for _, s := range signals.Take() {
			got = append(got, s.Payload.Text())
		}
		if want := []string{"0", "1", "2"}; !slices.Equal(got, want) || len(signals.Take()) != 0 {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// The same seed breaks the same connections at the same moments.
func TestStormIsDeterministic(t *testing.T) {
	play := func(seed uint64) (moments []time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			network := webwiretest.Serve(t, newServer())
			start := time.Now()
			var mu sync.Mutex
			hooks := client.Hooks{OnDisconnected: func(context.Context, error) {
				mu.Lock()
				defer mu.Unlock()
				moments = append(moments, time.Since(start))
			}}
			opts := client.Options{Hooks: hooks, Versions: []protocol.Version{protocol.V2_0}, MinBackoff: 1, MaxBackoff: 1}
			for range 3 {
				connect(t, network.Client(opts))
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			network.Storm(ctx, seed, time.Minute)
		})
		return moments
	}
	one, again, other := play(1), play(1), play(2)
	if len(one) < 20 || !slices.Equal(one, again) {
		t.Errorf("seed 1 breaks at %v, and then at %v", one, again)
	}
	if slices.Equal(one, other) {
		t.Error("another seed makes no difference")
	}
}

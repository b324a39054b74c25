package server_test

import (
	"context"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// Requests of a connection are handled at the same time, up to Concurrency, and
// those of another connection are not held up.
func TestConcurrency(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var running, most atomic.Int32
		release := make(chan struct{})
		srv := server.New(server.Options{Hooks: server.Hooks{
			OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
				if r.Name == "quick" {
					return protocol.Payload{}, nil
				}
				n := running.Add(1)
				defer running.Add(-1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				<-release
				return r.Payload, nil
			},
		}})
		p := connect(t, srv, protocol.V1_2)
		const all = 70
		for i := range uint64(all) {
			p.request(i, "slow", strconv.Itoa(int(i)))
		}
		p.quiet()
		if n := running.Load(); n != 64 {
			t.Fatalf("%d requests run at once, want 64", n)
		}
		if n := srv.Stats().InFlight; n != all {
			t.Errorf("%d requests run or wait, want %d", n, all)
		}
		other := connect(t, srv, protocol.V1_2)
		other.request(1, "quick", "x")
		other.reply(1, protocol.Reply)

		close(release)
		var ids []uint64
		for range all {
			m := p.receive()
			if m.Payload.Text() != strconv.Itoa(int(m.ID.Uint64())) {
				t.Errorf("request %d got the reply %q", m.ID.Uint64(), m.Payload.Text())
			}
			ids = append(ids, m.ID.Uint64())
		}
		slices.Sort(ids)
		if len(slices.Compact(ids)) != all {
			t.Error("some requests got two replies")
		}
		if n := most.Load(); n != 64 {
			t.Errorf("up to %d requests ran at once, want 64", n)
		}
	})
}

// Signals are handled one at a time in their order, and a request is not handled
// before the signals ahead of it.
func TestOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var handled []string // one at a time: the race detector would tell
		step := make(chan struct{})
		asked := make(chan string, 10)
		srv := server.New(server.Options{Hooks: server.Hooks{
			OnSignal: func(_ context.Context, s *server.Signal) {
				<-step
				handled = append(handled, s.Payload.Text())
			},
			OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
				asked <- r.Name
				return protocol.Text("done"), nil
			},
		}})
		p := connect(t, srv, protocol.V1_2)
		p.request(1, "first", "x") // nothing is ahead of it
		p.reply(1, protocol.Reply)
		p.signal("s", "a")
		p.signal("s", "b")
		p.request(2, "second", "x")
		p.signal("s", "c")
		p.request(3, "third", "x")
		p.quiet() // a is being handled: nothing overtakes it
		step <- struct{}{}
		p.quiet() // nor b
		step <- struct{}{}
		p.reply(2, protocol.Reply) // c is behind
		p.quiet()
		step <- struct{}{}
		p.reply(3, protocol.Reply)
		if want := []string{"a", "b", "c"}; !slices.Equal(handled, want) {
			t.Errorf("signals were handled as %v, want %v", handled, want)
		}
		close(asked)
		var names []string
		for name := range asked {
			names = append(names, name)
		}
		if want := []string{"first", "second", "third"}; !slices.Equal(names, want) {
			t.Errorf("requests were handled as %v, want %v", names, want)
		}
	})
}

// A signal handler that takes its time does not wait for the requests before it,
// and does not stop the replies to them.
func TestSlowRequestDoesNotHoldUpSignals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		signals := make(chan string, 1)
		srv := server.New(server.Options{Hooks: server.Hooks{
			OnSignal: func(_ context.Context, s *server.Signal) { signals <- s.Name },
			OnRequest: func(context.Context, *server.Request) (protocol.Payload, error) {
				<-release
				return protocol.Payload{}, nil
			},
		}})
		p := connect(t, srv, protocol.V1_2)
		p.request(1, "slow", "x")
		p.signal("hello", "x")
		if name := <-signals; name != "hello" {
			t.Errorf("got signal %q", name)
		}
		close(release)
		p.reply(1, protocol.Reply)
	})
}

// OnClientConnected runs before anything that the client sent is handled, and alone.
func TestConnectedFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		step := make(chan struct{})
		var events []string
		srv := server.New(server.Options{Hooks: server.Hooks{
			OnClientConnected: func(ctx context.Context, c *server.Conn) error {
				if err := c.Signal(ctx, "welcome", protocol.Text("x")); err != nil {
					t.Error(err)
				}
				<-step
				events = append(events, "connected")
				return nil
			},
			OnSignal: func(context.Context, *server.Signal) { events = append(events, "signal") },
			OnRequest: func(context.Context, *server.Request) (protocol.Payload, error) {
				events = append(events, "request")
				return protocol.Payload{}, nil
			},
			OnClientDisconnected: func(*server.Conn, error) { events = append(events, "disconnected") },
		}})
		p := connect(t, srv, protocol.V1_2)
		p.signal("s", "x")
		p.request(1, "r", "x")
		if m := p.receive(); m.Name != "welcome" {
			t.Errorf("got %v", m)
		}
		p.quiet()
		close(step)
		p.reply(1, protocol.Reply)
		p.conn.Close(1000, "bye")
		p.over()
		if want := []string{"connected", "signal", "request", "disconnected"}; !slices.Equal(events, want) {
			t.Errorf("got %v, want %v", events, want)
		}
	})
}

// OnClientDisconnected comes last: after every handler returned, though their
// context ended long before.
func TestDisconnectedLast(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		var running atomic.Int32
		calls := 0
		srv := server.New(server.Options{Hooks: server.Hooks{
			OnRequest: func(ctx context.Context, _ *server.Request) (protocol.Payload, error) {
				running.Add(1)
				<-ctx.Done()
				<-release
				running.Add(-1)
				return protocol.Payload{}, nil
			},
			OnSignal: func(ctx context.Context, _ *server.Signal) {
				running.Add(1)
				<-ctx.Done()
				<-release
				running.Add(-1)
			},
			OnClientDisconnected: func(c *server.Conn, _ error) {
				calls++
				if n := running.Load(); n != 0 {
					t.Errorf("%d handlers run still", n)
				}
				if c.Context().Err() == nil {
					t.Error("the context of the connection has not ended")
				}
			},
		}})
		p := connect(t, srv, protocol.V1_2)
		p.request(1, "r", "x")
		p.request(2, "r", "x")
		p.signal("s", "x")
		synctest.Wait()
		if n := running.Load(); n != 3 {
			t.Fatalf("%d handlers run, want 3", n)
		}
		p.conn.Abort()
		synctest.Wait()
		if calls != 0 {
			t.Error("OnClientDisconnected was called before the handlers returned")
		}
		close(release)
		p.over()
		if calls != 1 {
			t.Errorf("OnClientDisconnected was called %d times", calls)
		}
	})
}

// A broadcast to all connections does not reach one that OnClientConnected has not
// decided about.
func TestConnsLeavesOutTheUndecided(t *testing.T) {
	bubble(t, func(t *testing.T) {
		decide := make(chan struct{})
		srv := server.New(server.Options{Hooks: server.Hooks{OnClientConnected: func(context.Context, *server.Conn) error { <-decide; return nil }}})
		p := connect(t, srv, protocol.V1_2)
		synctest.Wait()
		if sent, err := server.Broadcast(srv.Conns(), "secret", protocol.Text("x")); sent != 0 || err != nil {
			t.Errorf("sent to %d connections before OnClientConnected returned (%v)", sent, err)
		}
		if n := srv.Stats().Open; n != 1 {
			t.Errorf("%d connections are open", n)
		}
		close(decide)
		synctest.Wait()
		if sent, err := server.Broadcast(srv.Conns(), "news", protocol.Text("x")); sent != 1 || err != nil {
			t.Errorf("sent to %d connections after OnClientConnected returned (%v)", sent, err)
		}
		p.conn.Abort()
		p.wait()
	})
}

package handover_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// A node that is shut down hands its connections over: requests are answered, the session,
// the subscription and the connection go on.
func TestShutdownHandsOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := new(book)
		opts := subscribing(history)
		c := newCluster(t, 2, func(i int) server.Options {
			o := opts(i)
			onSubscribe := o.Hooks.OnSubscribe
			o.Hooks = b.hooks(i)
			o.Hooks.OnSubscribe = onSubscribe
			return o
		})
		m := c.join(0, client.Options{Hooks: b.signals()})
		sub, err := m.Subscribe(t.Context(), "room", client.SubscribeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		long := m.ask(t.Context(), "long", "x")
		synctest.Wait()
		for conn := range c.node(0).Conns() {
			if err := conn.Signal(t.Context(), "last", text("x")); err != nil {
				t.Error(err)
			}
		}
		m.route.goTo(1)
		over := make(chan error, 1)
		began := time.Now()
		go func() { over <- c.node(0).Shutdown(t.Context()) }()
		synctest.Wait()
		// The client holds new requests back, but not for as long as the other one takes.
		if a := <-m.ask(t.Context(), "quick", "y"); a.String() != "y from 1" {
			t.Error(a)
		}
		if d := time.Since(began); d > 7*time.Second {
			t.Errorf("the client has moved after %v", d)
		}
		if a := <-long; a.String() != "x from 0" {
			t.Error(a)
		}
		if err := <-over; err != nil {
			t.Error(err)
		}
		if d := time.Since(began); d > 31*time.Second {
			t.Errorf("Shutdown took %v", d)
		}
		if _, err := c.node(1).Topic("room").Publish(t.Context(), "still", text("x")); err != nil {
			t.Fatal(err)
		}
		for msg, err := range sub.Messages(t.Context()) {
			if msg.Name != "still" || err != nil {
				t.Errorf("got %q, %v", msg.Name, err)
			}
			break
		}
		b.want(t, "0: connected", "0: long x", "client: signal last", "0: away", "1: back, moved true, value <nil>",
			"0: disconnected: server: the connection has moved to another node", "1: quick y")
		if s := m.Stats(); s.Connects != 1 || s.Resumes != 1 {
			t.Errorf("%d connections, %d resumes", s.Connects, s.Resumes)
		}
		sub.Close()
	})
}

// Shutdown does not wait for ever for clients that have left and do not come to another node.
func TestShutdownWithoutTheClient(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := new(book)
		c := newCluster(t, 2, func(i int) server.Options { return server.Options{Hooks: b.hooks(i)} })
		m := c.join(0, client.Options{})
		m.route.goTo(-1)
		began := time.Now()
		if err := c.node(0).Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if d := time.Since(began); d < 10*time.Second || d > 16*time.Second {
			t.Errorf("Shutdown took %v", d)
		}
		m.route.goTo(1)
		if a := <-m.ask(t.Context(), "quick", "x"); a.String() != "x from 1" {
			t.Error(a)
		}
		b.want(t, "0: connected", "0: away", "0: disconnected: server: closed", "1: connected", "1: quick x")
	})
}

// Shutdown waits as long as clients go on coming to other nodes, however slowly.
func TestShutdownWithSlowClients(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2, func(int) server.Options { return server.Options{} })
		var members []*member
		for range 5 {
			m := c.join(0, client.Options{MinBackoff: 100 * time.Millisecond, MaxBackoff: time.Second})
			m.route.goTo(-1)
			members = append(members, m)
		}
		over := make(chan error, 1)
		go func() { over <- c.node(0).Shutdown(t.Context()) }()
		for _, m := range members {
			time.Sleep(8 * time.Second)
			m.route.goTo(1)
		}
		if err := <-over; err != nil {
			t.Error(err)
		}
		for i, m := range members {
			m.connect(t) // the other node has it, and is about to welcome it
			if s := m.Stats(); s.Connects != 1 || s.Resumes != 1 {
				t.Errorf("client %d: %d connections, %d resumes", i, s.Connects, s.Resumes)
			}
		}
	})
}

// Three nodes are restarted one after the other, under load: no request fails, and none is
// executed twice; no signal of either end is lost, doubled or out of order.
func TestRollingRestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const nodes, clients = 3, 20
		var executed sync.Map // of requests: *atomic.Int32
		var signals [clients]orders
		options := func(int) server.Options {
			return server.Options{
				DrainSpread: time.Second,
				Hooks: server.Hooks{
					OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
						n, _ := executed.LoadOrStore(r.Payload.Text(), new(atomic.Int32))
						n.(*atomic.Int32).Add(1)
						time.Sleep(rand.N(500 * time.Millisecond))
						return r.Payload, nil
					},
					OnSignal: func(ctx context.Context, s *server.Signal) {
						var client, n int
						if _, err := fmt.Sscan(s.Payload.Text(), &client, &n); err != nil {
							t.Error(err)
							return
						}
						signals[client].add(t, "server", n)
						if err := s.Conn.Signal(ctx, "echo", s.Payload); err != nil {
							t.Error(err)
						}
					},
				},
			}
		}
		c := newCluster(t, nodes, options)
		var closing [nodes]atomic.Bool
		open := func() int {
			for {
				if i := rand.IntN(nodes); !closing[i].Load() {
					return i
				}
			}
		}
		var stop atomic.Bool
		var running sync.WaitGroup
		var requests, failed atomic.Int32
		var longest atomic.Int64 // nanoseconds until an answer
		var members []*member
		var echoes [clients]orders
		for i := range clients {
			m := c.join(i%nodes, client.Options{Hooks: client.Hooks{
				OnServerSignal: func(_ context.Context, s *client.Signal) {
					var client, n int
					if _, err := fmt.Sscan(s.Payload.Text(), &client, &n); err != nil || client != i {
						t.Errorf("%s for %d, %v", s.Payload.Text(), i, err)
					}
					echoes[i].add(t, "client", n)
				},
				OnGap: func(_ context.Context, g client.Gap) { t.Errorf("gap %+v", g) },
			}})
			m.route.choose(open)
			members = append(members, m)
			for j := range 2 {
				running.Go(func() {
					for k := 0; !stop.Load(); k++ {
						id := fmt.Sprint(i, j, k)
						requests.Add(1)
						began := time.Now()
						if reply, err := m.Request(t.Context(), "r", text(id)); err != nil || reply.Text() != id {
							failed.Add(1)
							t.Errorf("request %s: %v", id, err)
						}
						took := int64(time.Since(began))
						for before := longest.Load(); took > before && !longest.CompareAndSwap(before, took); before = longest.Load() {
						}
						time.Sleep(rand.N(300 * time.Millisecond))
					}
				})
			}
			running.Go(func() {
				for k := 0; !stop.Load(); {
					switch err := m.Signal(t.Context(), "s", text(fmt.Sprint(i, k))); {
					case err == nil:
						k++
						signals[i].sent.Store(int64(k))
					case !errors.Is(err, client.ErrDisconnected): // else it is about to move
						t.Errorf("signal: %v", err)
					}
					time.Sleep(rand.N(300 * time.Millisecond))
				}
			})
		}
		for round := range 2 * nodes {
			i := round % nodes
			time.Sleep(3 * time.Second)
			closing[i].Store(true)
			if err := c.node(i).Shutdown(t.Context()); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
			c.start(i)
			closing[i].Store(false)
		}
		stop.Store(true)
		running.Wait()
		time.Sleep(10 * time.Second)
		doubled := 0
		executed.Range(func(_, n any) bool {
			if n.(*atomic.Int32).Load() != 1 {
				doubled++
			}
			return true
		})
		if requests.Load() < 1000 || failed.Load() != 0 || doubled != 0 {
			t.Errorf("%d requests, %d failed, %d executed twice", requests.Load(), failed.Load(), doubled)
		}
		// What is held back waits for the handlers that run, and for its own: virtual time does
		// not depend on the machine.
		if d := time.Duration(longest.Load()); d > 1200*time.Millisecond {
			t.Errorf("the longest answer took %v", d)
		}
		t.Logf("%d requests, the longest answer took %v", requests.Load(), time.Duration(longest.Load()))
		resumes := uint64(0)
		for i, m := range members {
			s := m.Stats()
			resumes += s.Resumes
			if s.Connects != 1 {
				t.Errorf("client %d has had %d connections", i, s.Connects)
			}
			sent := signals[i].sent.Load()
			if at, back := signals[i].next.Load(), echoes[i].next.Load(); at != sent || back != sent {
				t.Errorf("client %d: %d signals, %d have arrived, and %d echoes", i, sent, at, back)
			}
		}
		if resumes < clients {
			t.Errorf("%d resumes", resumes)
		}
	})
}

// orders checks that numbers come in order.
type orders struct{ sent, next atomic.Int64 }

func (o *orders) add(t *testing.T, where string, n int) {
	if want := o.next.Swap(int64(n) + 1); want != int64(n) {
		t.Errorf("%s: signal %d instead of %d", where, n, want)
	}
}

// The last node does not close a socket while a handler of it runs: there is no other node
// to which the client could go.
func TestShutdownOfTheLastNode(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := new(book)
		began := time.Now()
		left := make(chan time.Duration, 2)
		c := newCluster(t, 1, func(i int) server.Options { return server.Options{Hooks: b.hooks(i)} })
		m := c.join(0, client.Options{Hooks: client.Hooks{
			OnAway:         func(context.Context, error) { left <- time.Since(began) },
			OnDisconnected: func(context.Context, error) { left <- time.Since(began) },
		}})
		long := m.ask(t.Context(), "long", "x")
		synctest.Wait()
		if err := c.node(0).Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		<-long
		if d := <-left; d < 30*time.Second {
			t.Errorf("the client has left after %v", d)
		}
	})
}

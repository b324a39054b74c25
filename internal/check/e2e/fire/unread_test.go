package fire_test

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/webwire-go/webwire/internal/check/e2e/load"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// Peers that never read signals are cut, cost no more than their limits, and hold up nobody.
// Those of 3.0 cost the ring besides: what is kept for a connection that can be resumed.
func TestPeersThatNeverRead(t *testing.T) {
	const outbox, ring, other = 64 << 10, 256 << 10, 64 << 10
	t.Run("1.2", func(t *testing.T) {
		neverRead(t, protocol.V1_2, outbox, outbox+other, "outbox + 64 KiB")
	})
	t.Run("3.0", func(t *testing.T) {
		neverRead(t, protocol.V3_0, outbox, outbox+ring+other, "outbox + ring + 64 KiB")
	})
}

// neverRead has peers of one version that never read. most is the memory that each may take,
// in bytes, and limits says what that is.
func neverRead(t *testing.T, v protocol.Version, outbox int, most int64, limits string) {
	peers := load.Either(100, 6)
	timeout := load.Either(10*time.Second, 500*time.Millisecond)
	before := runtime.NumGoroutine()

	type target struct {
		context.Context // ends when the connection is cut
		cut             context.CancelFunc
		progress        time.Time // when the last signal found room
		sending         sync.WaitGroup
	}
	var mu sync.Mutex
	var took []time.Duration // from the last progress to the end
	var odd []error
	network := &progress{conns: map[string]*accepted{}}
	lost := func(c *server.Conn, reason error) {
		at := time.Now()
		target, ok := c.Value().(*target)
		if !ok {
			return
		}
		target.cut()
		target.sending.Wait()
		mu.Lock()
		defer mu.Unlock()
		if !errors.Is(reason, os.ErrDeadlineExceeded) {
			odd = append(odd, reason)
		}
		last, known := network.last(c.Info().RemoteAddr)
		if !known {
			last = target.progress // which may be too late: while it is away there is room
		}
		took = append(took, max(0, at.Sub(last)))
		c.SetValue(nil)
	}
	srv := load.Start(t, server.Options{OutboxSize: outbox, WriteTimeout: timeout, Hooks: server.Hooks{
		OnRequest:            echo,
		OnClientAway:         lost,
		OnClientDisconnected: lost,
	}}, load.Site{Wrap: func(l net.Listener) net.Listener {
		network.Listener = l
		return network
	}})
	alone := idle(t, srv.Addr, load.Either(100, 2))
	if !load.Await(func() bool { return srv.Stats().Open == 0 }) { // none of them is taken for a peer
		t.Fatal("connections are left")
	}
	for range peers {
		mustDial(t, srv.Addr, v)
	}
	var victims []*server.Conn // an open connection is not among them before it is admitted
	if !load.Await(func() bool { victims = slices.Collect(srv.Conns()); return len(victims) == peers }) {
		t.Fatalf("%d connections", len(victims))
	}
	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { network.watch(stop) })
	growth, full := int64(0), false
	var signals atomic.Int64
	beside := healthy(t, srv.Addr, load.Either(100, 2), func() {
		if !load.Await(func() bool { return srv.Stats().Open == peers+load.Either(100, 2) }) {
			t.Error("not all of the others ask")
		}
		time.Sleep(load.Either(2*time.Second, 20*time.Millisecond)) // they keep what is not acknowledged yet
		first := load.Heap()
		payload := protocol.Bytes(make([]byte, 1000))
		for _, c := range victims {
			to := &target{}
			to.Context, to.cut = context.WithCancel(t.Context())
			to.sending.Add(1)
			c.SetValue(to)
			go func() {
				defer to.sending.Done()
				to.progress = time.Now()
				for n := 1; to.Err() == nil && c.Signal(to, "s", payload) == nil; n++ {
					to.progress = time.Now()
					signals.Add(1)
					if n%64 == 0 {
						runtime.Gosched() // without a socket there is always room, and lost has to run
					}
				}
			}()
		}
		full = load.AwaitFor(timeout, func() bool {
			before := signals.Load()
			time.Sleep(timeout / 5) // in full so long that the others have acknowledged what they got before
			return signals.Load() == before
		})
		growth = load.Heap() - first
		load.Await(func() bool { mu.Lock(); defer mu.Unlock(); return len(took) == peers })
	})
	close(stop)
	watching.Wait()
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(took)
	if len(took) != peers || len(odd) > 0 {
		t.Fatalf("%d of %d peers were cut, %d connections are open; for other reasons: %v", len(took), peers, srv.Stats().Open, odd)
	}
	last := took[peers-1]
	note := ""
	if !full {
		note = " and garbage"
	}
	load.Figure("peers that never read", limits+" each; write timeout + 1 s; p99 ≤ 2 ×",
		"%d peers of %v: %d KiB%s each, cut %v to %v after the last progress (timeout %v); p99 %v, %v alone",
		peers, v, growth/int64(peers)>>10, note, took[0].Round(time.Millisecond), last.Round(time.Millisecond), timeout, beside, alone)
	// In the short form what pools and the others hold would be a great part of it.
	switch bar := int64(peers)*most + load.Either[int64](0, 4<<20); {
	case !full && load.Full:
		t.Error("some were cut before all outboxes were full")
	case full && growth > bar:
		t.Errorf("memory: %d bytes, the bar is %d", growth, bar)
	}
	load.Within(t, "time", last, timeout+time.Second)
	load.Within(t, "p99 of others", beside, max(2*alone, time.Millisecond))
	srv.Drop()
	load.WantGoroutines(t, before)
}

// Requests of a peer that never reads the replies run no more handlers than may, and fill
// no memory.
func TestRequestsOfAPeerThatNeverReads(t *testing.T) {
	const concurrency = 16
	count := load.Either(1_000_000, 20_000)
	timeout := load.Either(2*time.Second, 200*time.Millisecond)
	before := runtime.NumGoroutine()
	var running, most, handled atomic.Int64
	srv := load.Start(t, server.Options{Concurrency: concurrency, WriteTimeout: timeout, Hooks: server.Hooks{
		OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
			if r.Name == "echo" {
				return r.Payload, nil
			}
			n := running.Add(1)
			defer running.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			handled.Add(1)
			return protocol.Bytes(make([]byte, 1000)), nil
		},
	}}, load.Site{})
	alone := idle(t, srv.Addr, load.Either(10, 1))
	if !load.Await(func() bool { return srv.Stats().Open == 0 }) {
		t.Fatal("connections are left")
	}
	var peak atomic.Int64
	sent, connections := 0, 0
	beside := healthy(t, srv.Addr, load.Either(10, 1), func() {
		if !load.Await(func() bool { return srv.Stats().Open > 0 }) {
			t.Error("not all of the others ask")
		}
		first := load.Heap()
		for sent < count && (connections == 0 || load.Full) {
			connections++
			conn := mustDial(t, srv.Addr, protocol.V1_2)
			batch := make([][]byte, 100)
			for i := range batch {
				batch[i] = encodeAs(protocol.V1_2, protocol.Message{
					Kind: protocol.Request, ID: protocol.NewID(uint64(i)), Name: "work", Payload: protocol.Bytes(make([]byte, 32)),
				})
			}
			var measuring sync.WaitGroup
			measuring.Go(func() {
				time.Sleep(timeout / 2)
				peak.Store(max(peak.Load(), load.Heap()-first))
			})
			for n := 0; n < count && conn.Write(batch...) == nil; n += len(batch) {
				sent += len(batch)
			}
			measuring.Wait()
			_ = conn.Abort()
			// A handler that waits for room ends with its connection.
			if !load.Await(func() bool { return running.Load() == 0 }) {
				t.Error("handlers are left")
			}
		}
	})
	load.Figure("requests of a peer that never reads", "handlers ≤ limit, + 8 MiB, p99 ≤ 2 ×",
		"%d sent on %d connections, %d handled, at most %d of %d at once; heap %+d KiB; p99 %v, %v alone",
		sent, connections, handled.Load(), most.Load(), concurrency, peak.Load()>>10, beside, alone)
	if most.Load() > concurrency || handled.Load() == 0 {
		t.Errorf("%d handlers ran at once", most.Load())
	}
	load.Within(t, "p99 of others", beside, max(2*alone, time.Millisecond))
	if peak.Load() > load.Either[int64](8<<20, 64<<20) { // other tests may have left something to be collected
		t.Errorf("the heap grew by %d bytes", peak.Load())
	}
	srv.Drop()
	load.WantGoroutines(t, before)
}

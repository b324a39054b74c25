package soak_test

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/internal/check/e2e/load"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
	"github.com/webwire-go/webwire/transport/transporttest"
)

// A client that is away, with all kept for it that may be, does not make broadcasts to the
// others slower, and holds no more memory than it may. When it is back it has each signal,
// or knows how many it has not.
func TestAwayBesideMany(t *testing.T) {
	const (
		fill = 20_000  // signals, many more than are kept
		most = 2 << 20 // bytes: the limit of what is kept is 256 KiB, what the others hold varies
	)
	n, rounds, each := load.Either(10_000, 1000), load.Either(7, 1), load.Either(50, 5)
	before := runtime.NumGoroutine()
	srv := server.New(server.Options{Logger: load.Quiet})
	var serving sync.WaitGroup
	faults := transporttest.NewFaults(1)
	road, others := memory.Listen(), memory.Listen()
	for _, ln := range []transport.Listener{faults.Listener(road), others} {
		serving.Go(func() { _ = srv.Serve(ln) }) // until the end
	}

	var away atomic.Bool
	var got, missed, sent atomic.Uint64
	wanderer := client.New(dialer(func(ctx context.Context, opts transport.DialOptions) (transport.Conn, error) {
		if away.Load() {
			return nil, transporttest.Refused(ctx)
		}
		return faults.Dialer(road).Dial(ctx, opts)
	}), client.Options{
		Logger: load.Quiet, MinBackoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond,
		Hooks: client.Hooks{
			OnServerSignal: func(context.Context, *client.Signal) { got.Add(1) },
			OnGap:          func(_ context.Context, g client.Gap) { missed.Add(g.Missed) },
		},
	})
	if err := wanderer.Connect(context.Background()); err != nil {
		t.Fatal(err)
	}
	var only []*server.Conn
	if !load.AwaitFor(soon, func() bool { only = slices.Collect(srv.Conns()); return len(only) == 1 }) {
		t.Fatal("the server has no connection")
	}
	var arrived atomic.Int64
	all := []*client.Client{wanderer}
	for range n {
		c := client.New(others, client.Options{Logger: load.Quiet, Hooks: client.Hooks{
			OnServerSignal: func(context.Context, *client.Signal) { arrived.Add(1) },
		}})
		all = append(all, c)
		if err := c.Connect(context.Background()); err != nil {
			t.Fatal(err)
		}
	}

	if !load.AwaitFor(soon, func() bool { return len(slices.Collect(srv.Conns())) == n+1 }) {
		t.Fatalf("the server has %d connections", srv.Stats().Open)
	}

	payload := protocol.Bytes(make([]byte, 200))
	broadcast := func() time.Duration {
		arrived.Store(0)
		began := time.Now()
		if reached, err := server.Broadcast(srv.Conns(), "news", payload); err != nil || reached != n+1 {
			t.Fatalf("Broadcast reached %d, %v", reached, err)
		}
		took := time.Since(began)
		sent.Add(1)
		if !load.AwaitFor(soon, func() bool { return arrived.Load() == int64(n) }) {
			t.Fatalf("%d of %d clients have a broadcast after %v", arrived.Load(), n, soon)
		}
		return took
	}
	measure := func(f *broadcasts) {
		runtime.GC() // of what was before
		times := make([]time.Duration, each)
		for i := range times {
			times[i] = broadcast()
		}
		slices.Sort(times)
		f.median = append(f.median, times[each/2])
		f.p99 = append(f.p99, times[each*99/100])
	}
	var without, with broadcasts
	var grown []int64  // in each round
	for range rounds { // in turn, because the machine changes
		measure(&without)
		first := settled()
		away.Store(true)
		for _, c := range faults.Conns() {
			c.Cut()
		}
		if !load.AwaitFor(soon, func() bool { return srv.Stats().Away == 1 }) {
			t.Fatal("the client is not away")
		}
		for range fill {
			if _, err := server.Broadcast(slices.Values(only), "news", payload); err != nil {
				t.Fatal(err)
			}
			sent.Add(1)
		}
		grown = append(grown, load.Objects()-first)
		measure(&with)
		away.Store(false)
		if !load.AwaitFor(soon, func() bool { return got.Load()+missed.Load() >= sent.Load() && wanderer.Status() == client.Connected }) {
			t.Fatalf("the client has %d signals and knows of %d that it missed, of %d", got.Load(), missed.Load(), sent.Load())
		}
	}
	stats := wanderer.Stats()
	closeAll(all)
	if err := srv.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	faults.Close()
	serving.Wait()

	held := middle(grown)
	ratio := float64(middle(with.p99)) / float64(middle(without.p99))
	report(t, "clients=%d rounds=%d; broadcast p99: %.2f ms, beside one that is away %.2f ms, ratio=%.2f; median: %.2f ms, %.2f ms; held for it: %d KiB; signals=%d got=%d missed=%d",
		n, rounds, ms(middle(without.p99)), ms(middle(with.p99)), ratio, ms(middle(without.median)), ms(middle(with.median)), held>>10, sent.Load(), got.Load(), missed.Load())
	load.Figure("broadcast beside a client that is away, p99", "1.1", "%.2f × without", ratio)
	if got.Load()+missed.Load() != sent.Load() || missed.Load() < uint64(rounds*(fill-1024)) {
		t.Error("the gap has not the right size")
	}
	if stats.Connects != 1 || stats.Resumes != uint64(rounds) {
		t.Errorf("the client connected %d times and came back %d times", stats.Connects, stats.Resumes)
	}
	if load.Full && ratio > 1.1 {
		t.Errorf("the 99th percentile is %.2f × that without a client that is away", ratio)
	}
	if held > most {
		t.Errorf("%d bytes are held for a client that is away", held)
	}
	load.WantGoroutines(t, before)
}

// settled returns the bytes of live objects once they have not become fewer for longer than
// it takes clients to acknowledge what they have: the server holds that until then.
func settled() int64 {
	least, since := load.Objects(), time.Now()
	load.AwaitFor(soon, func() bool {
		if now := load.Objects(); now < least-64<<10 {
			least, since = now, time.Now()
		}
		return time.Since(since) > 1500*time.Millisecond
	})
	return least
}

// broadcasts are the median and the 99th percentile of the times of each round.
type broadcasts struct{ median, p99 []time.Duration }

// middle returns the median of rounds.
func middle[T int64 | time.Duration](rounds []T) T {
	return slices.Sorted(slices.Values(rounds))[len(rounds)/2]
}

func ms(d time.Duration) float64 { return d.Seconds() * 1000 }

// dialer is a transport.Dialer.
type dialer func(ctx context.Context, opts transport.DialOptions) (transport.Conn, error)

func (d dialer) Dial(ctx context.Context, opts transport.DialOptions) (transport.Conn, error) {
	return d(ctx, opts)
}

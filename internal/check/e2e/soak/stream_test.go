package soak_test

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/internal/check/e2e/load"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// A stream of many short items, whose consumer sleeps now and then, holds no more memory
// at each end than its credit and a little.
func TestSleepingConsumer(t *testing.T) {
	const credit, more = 64 << 10, 64 << 10
	count, naps := load.Either(1_000_000, 100_000), load.Either(20, 4)
	before := runtime.NumGoroutine()
	var sent atomic.Int64
	var mux server.Mux
	mux.Stream("count", func(_ context.Context, _ *server.Request, send func(protocol.Payload) error) error {
		for i := range count {
			item := make([]byte, 32)
			copy(item, number(uint64(i)).Data)
			if err := send(protocol.Bytes(item)); err != nil {
				return err
			}
			sent.Add(1)
		}
		return nil
	})
	srv := load.Start(t, server.Options{Version: protocol.V3_0, Handler: &mux}, load.Site{})
	c := load.NewClient(srv.Addr, client.Options{Versions: []protocol.Version{protocol.V3_0}})

	read := func(nap func()) (took time.Duration) {
		began := time.Now()
		next := 0
		for p, err := range c.Stream(context.Background(), "count", protocol.Text("x")) {
			if err != nil {
				t.Fatalf("after %d items: %v", next, err)
			}
			if n, ok := parseNumber(protocol.Bytes(p.Data[:8])); !ok || n != uint64(next) {
				t.Fatalf("item %d instead of %d", n, next)
			}
			if next++; nap != nil && next%(count/naps) == 1 {
				nap()
			}
		}
		if next != count {
			t.Errorf("%d items instead of %d", next, count)
		}
		return time.Since(began)
	}
	fast := read(nil)
	first := load.Objects()
	var most int64
	read(func() {
		// The sender sends what it may, and the client receives that.
		for last, same := [2]int64{-1}, 0; same < 5; time.Sleep(20 * time.Millisecond) {
			if now := [2]int64{sent.Load(), int64(c.Stats().BytesReceived)}; now != last {
				last, same = now, 0
			} else {
				same++
			}
		}
		most = max(most, load.Objects()-first)
	})
	_ = c.Close()
	report(t, "items=%d at full speed %.0f/s, held while the consumer sleeps: %d KiB at both ends", count, float64(count)/fast.Seconds(), most>>10)
	if most > 2*(credit+more) {
		t.Errorf("%d bytes are held while the consumer sleeps", most)
	}
	if err := srv.Retire(context.Background()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	load.WantGoroutines(t, before)
}

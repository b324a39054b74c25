package link

import (
	"context"
	"testing"
	"time"

	"github.com/webwire-go/webwire/internal/invariant"
	"github.com/webwire-go/webwire/protocol"
)

// A request of 3.0 allocates no more than one of 2.0, with a timeout, which is sent, as
// well as without.
func TestAllocations(t *testing.T) {
	if invariant.Enabled {
		t.Skip("the race detector allocates")
	}
	allocs := func(v protocol.Version, timeout time.Duration) float64 {
		a, _ := both(t, echo, echo, func(c *Config) { c.Version = v })
		m := ask(0, "hello", nil)
		return testing.AllocsPerRun(2000, func() {
			if _, err := a.Request(context.Background(), m, timeout, nil); err != nil {
				t.Fatal(err)
			}
		})
	}
	before := allocs(protocol.V2_0, 0)
	for _, timeout := range []time.Duration{0, time.Minute} {
		if n := allocs(protocol.V3_0, timeout); n > before {
			t.Errorf("timeout %v: %v allocations in 3.0, %v in 2.0", timeout, n, before)
		}
	}
}

// What 3.0 costs in comparison with 2.0, with the machinery alone.
func BenchmarkRequest(b *testing.B) {
	for _, v := range []protocol.Version{protocol.V2_0, protocol.V3_0} {
		b.Run(v.String(), func(b *testing.B) {
			asks, _ := both(b, echo, echo, func(c *Config) { c.Version, c.Own.Requests, c.Peer.Requests = v, 1000, 1000 })
			m := ask(0, "hello", nil)
			b.ReportAllocs()
			b.SetParallelism(64)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := asks.Request(context.Background(), m, time.Minute, nil); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

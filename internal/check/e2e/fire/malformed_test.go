package fire_test

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/webwire-go/webwire/internal/check/e2e/load"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// Malformed messages on many connections disturb no other, leave nothing behind, and fill
// no log.
func TestMalformed(t *testing.T) {
	conns, count := load.Either(100, 9), load.Either(100_000, 2_000)
	before := runtime.NumGoroutine()
	srv := load.Start(t, server.Options{Hooks: server.Hooks{OnRequest: echo, OnSignal: ignore}}, load.Site{})
	alone := idle(t, srv.Addr, 1)
	attack := func(count int) (sent, cut int64) {
		var all sync.WaitGroup
		var messages, ended atomic.Int64
		for i := range conns {
			v := []protocol.Version{protocol.V1_2, protocol.V2_0, protocol.V3_0}[i%3]
			all.Go(func() {
				n := count / conns
				if v == protocol.V3_0 {
					n /= 10 // each one ends its connection
				}
				m, e := garbage(t, srv.Addr, v, rand.New(rand.NewPCG(1, uint64(i))), n)
				messages.Add(m)
				ended.Add(e)
			})
		}
		all.Wait()
		return messages.Load(), ended.Load()
	}
	attack(count / 10) // everything has its memory
	if !load.Await(func() bool { return srv.Stats().Open == srv.Stats().Away }) {
		t.Fatal("connections are left")
	}
	first := load.Heap()
	var sent, cut int64
	beside := healthy(t, srv.Addr, 1, func() { sent, cut = attack(count) })
	if !load.Await(func() bool { return srv.Stats().Open == srv.Stats().Away }) {
		t.Fatal("connections are left")
	}
	growth := load.Heap() - first
	lines := srv.Log.Lines()
	srv.Drop()
	load.Figure("malformed messages", "p99 ≤ 2 ×, heap ± 10 %, log ≤ 1000 lines",
		"%d on %d connections, %d cut: p99 %v, %v alone; heap %+d KiB of %d; %d log lines", sent, conns, cut, beside, alone, growth>>10, first>>10, lines)
	if lines > 1000 {
		t.Errorf("%d log lines", lines)
	}
	if cut == 0 {
		t.Error("no connection of 3.0 was cut")
	}
	load.Within(t, "heap", growth, first/10+1<<20)
	load.WantGoroutines(t, before)
}

// garbage sends messages that are mostly malformed, and connects again when it is cut.
func garbage(t *testing.T, addr string, v protocol.Version, rng *rand.Rand, n int) (sent, cut int64) {
	for n > 0 {
		conn, err := dial(addr, v)
		if err != nil {
			t.Error(err)
			return
		}
		var reading sync.WaitGroup
		reading.Go(func() { _ = discard(conn) })
		for i := 0; n > 0; i++ {
			msg := make([]byte, 1+rng.IntN(40))
			for i := range msg {
				msg[i] = byte(rng.Uint32())
			}
			last := v == protocol.V3_0 && i == 3
			if last {
				msg[0] = 0xFF // no type
			}
			n--
			if conn.Write(msg) != nil {
				break
			}
			sent++
			if last {
				cut++
				reading.Wait() // it ends
				break
			}
		}
		_ = conn.Abort()
		reading.Wait()
	}
	return sent, cut
}

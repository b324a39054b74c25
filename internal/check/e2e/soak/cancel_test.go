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
	"github.com/webwire-go/webwire/transport/websocket"
)

// rawConn is a client of 3.0 that keeps to no rule but those of the encoding.
type rawConn struct {
	transport.Conn
	answers []uint8 // by id; complete once read is done
	read    sync.WaitGroup
	more    chan struct{} // full if answers came, closed at the end
	count   atomic.Uint64 // of answers
	ended   atomic.Pointer[error]
	sent    uint64
}

// dialRaw returns one for at most the given number of requests.
func dialRaw(t *testing.T, addr string, requests uint64) *rawConn {
	t.Helper()
	conn, err := websocket.Dialer{URL: "ws://" + addr + "/"}.Dial(t.Context(), transport.DialOptions{Protocols: []string{protocol.V3_0.Token()}})
	if err != nil {
		t.Fatal(err)
	}
	c := &rawConn{Conn: conn, answers: make([]uint8, requests+1), more: make(chan struct{}, 1)}
	hello := protocol.HelloBody{MessageSize: 1 << 20, StreamCredit: 64 << 10, Requests: 1}
	if err := conn.Write(encode(t, hello.Message())); err != nil {
		t.Fatal(err)
	}
	c.read.Go(func() {
		defer close(c.more)
		var buf []byte
		for {
			b, err := conn.Read(buf[:0])
			if err != nil {
				c.ended.Store(&err)
				return
			}
			buf = b
			if m, err := protocol.V3_0.Parse(b); err == nil && m.Kind.IsReply() {
				if id := m.ID.Uint64(); id < uint64(len(c.answers)) {
					c.answers[id]++
				}
				c.count.Add(1)
				select {
				case c.more <- struct{}{}:
				default:
				}
			}
		}
	})
	t.Cleanup(func() {
		conn.Abort()
		c.read.Wait()
	})
	return c
}

func encode(t *testing.T, m protocol.Message) []byte {
	b, err := protocol.V3_0.Append(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// flood sends requests whose ids follow those of the last one, and after each batch the
// cancels of it if cancels is set. It has a window of requests without an answer, and
// returns once all have one.
func (c *rawConn) flood(t *testing.T, name string, n uint64, cancels bool) {
	t.Helper()
	const batch, window = 32, 4096
	timer := time.NewTimer(soon)
	defer timer.Stop()
	await := func(answers uint64) {
		for c.count.Load() < answers {
			select {
			case _, ok := <-c.more:
				if !ok {
					t.Fatalf("%d answers to %d requests; the connection: %v", c.count.Load(), c.sent, *c.ended.Load())
				}
			case <-timer.C:
				t.Fatalf("%d answers to %d requests", c.count.Load(), c.sent)
			}
		}
	}
	for end := c.sent + n; c.sent < end; {
		var requests, all [][]byte
		for range min(batch, end-c.sent) {
			c.sent++
			id := protocol.NewID(c.sent)
			requests = append(requests, encode(t, protocol.Message{Kind: protocol.Request, ID: id, Name: name, Payload: number(c.sent)}))
			if cancels {
				all = append(all, encode(t, protocol.CancelBody{ID: id}.Message()))
			}
		}
		writes := [][][]byte{requests, all}
		if c.sent%(4*batch) == 0 { // some together
			writes = [][][]byte{append(requests, all...)}
		}
		for _, msgs := range writes {
			if err := c.Write(msgs...); err != nil && len(msgs) > 0 {
				t.Fatal(err)
			}
		}
		await(max(c.sent, window) - window)
	}
	await(c.sent)
}

// others ask all the time while during runs; the result is the 99th percentile of how long
// that took.
func others(clients []*client.Client, during func()) time.Duration {
	var mu sync.Mutex
	var took []time.Duration
	ask := func() func() {
		stop := make(chan struct{})
		var asking sync.WaitGroup
		for _, c := range clients {
			asking.Go(func() {
				var own []time.Duration
				ticker := time.NewTicker(time.Millisecond)
				defer ticker.Stop()
				for {
					select {
					case <-stop:
						mu.Lock()
						defer mu.Unlock()
						took = append(took, own...)
						return
					case <-ticker.C:
					}
					began := time.Now()
					if _, err := c.Request(context.Background(), "echo", number(1)); err == nil {
						own = append(own, time.Since(began))
					}
				}
			})
		}
		return func() {
			close(stop)
			asking.Wait()
		}
	}
	func() {
		defer ask()() // also if the test ends
		during()
	}()
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

// median returns the middle one of an odd number of times.
func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// A peer that cancels each request at once makes no more handlers run than one that does
// not, and each request has its one answer.
func TestCancels(t *testing.T) {
	const concurrency = 16
	count, rounds := load.Either[uint64](100_000, 5_000), load.Either(7, 1)
	before := runtime.NumGoroutine()
	var running, most, executed atomic.Int64
	srv := load.Start(t, server.Options{
		Version:     protocol.V3_0,
		Concurrency: concurrency,
		Hooks: server.Hooks{OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
			if r.Name == "echo" {
				return r.Payload, nil
			}
			executed.Add(1)
			n := running.Add(1)
			defer running.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			<-ctx.Done()
			time.Sleep(100 * time.Microsecond) // a handler may take its time to stop
			return protocol.Payload{}, ctx.Err()
		}},
	}, load.Site{})
	var all []*client.Client
	for range 4 {
		all = append(all, load.NewClient(srv.Addr, client.Options{Versions: []protocol.Version{protocol.V3_0}}))
	}
	total := count * uint64(rounds)
	raw := dialRaw(t, srv.Addr, 2000+2*total)
	raw.flood(t, "echo", 1000, false) // everything has its memory
	raw.flood(t, "work", 1000, true)
	idle := others(all, func() { time.Sleep(load.Either(2*time.Second, 50*time.Millisecond)) })

	first := load.Objects()
	var plain, cancelled []time.Duration
	took := time.Duration(0)
	for range rounds {
		plain = append(plain, others(all, func() { raw.flood(t, "echo", count, false) }))
		began := time.Now()
		cancelled = append(cancelled, others(all, func() { raw.flood(t, "work", count, true) }))
		took += time.Since(began)
	}
	growth := load.Objects() - first

	closeAll(all)
	raw.Abort()
	raw.read.Wait()
	missing, doubled := 0, 0
	for id := range raw.sent {
		switch n := raw.answers[id+1]; {
		case n == 0:
			missing++
		case n > 1:
			doubled++
		}
	}
	report(t, "cancelled=%d executed=%d handlers=%d of %d missing=%d doubled=%d heap=%+d KiB rate=%.0f/s p99 of others: idle=%v beside as many requests=%v beside cancels=%v",
		total, executed.Load(), most.Load(), concurrency, missing, doubled, growth>>10, float64(total)/took.Seconds(), idle, median(plain), median(cancelled))
	if most.Load() > concurrency || executed.Load() == 0 {
		t.Errorf("%d handlers ran at once", most.Load())
	}
	if missing > 0 || doubled > 0 {
		t.Error("requests have not one answer each")
	}
	if growth > 4<<20 { // buffers of five connections, but not a few bytes for each request
		t.Errorf("the heap grew by %d bytes", growth)
	}
	if err := srv.Retire(context.Background()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	load.WantGoroutines(t, before)
}

package fire_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/webwire-go/webwire/internal/check/e2e/load"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
)

// A length that a peer announces allocates nothing, and is refused at once if it is beyond
// the limit.
func TestAnnouncedSizes(t *testing.T) {
	const limit = 1 << 20
	srv := load.Start(t, server.Options{MaxMessageSize: limit, Hooks: server.Hooks{OnRequest: echo}}, load.Site{})
	for _, c := range []struct {
		name   string
		first  byte
		length uint64
		want   transport.Status
	}{
		{"limit + 1", 0x82, limit + 1, transport.StatusMessageTooBig},
		{"2^31", 0x82, 1 << 31, transport.StatusMessageTooBig},
		{"2^62", 0x82, 1 << 62, transport.StatusMessageTooBig},
		{"2^63", 0x82, 1 << 63, transport.StatusProtocolError},
		{"2^31 in a fragment", 0x02, 1 << 31, transport.StatusMessageTooBig},
		{"2^62 in a ping", 0x89, 1 << 62, transport.StatusProtocolError},
		{"2^62 in a close", 0x88, 1 << 62, transport.StatusProtocolError},
		{"2^62 in text", 0x81, 1 << 62, transport.StatusMessageTooBig}, // 1.2 has text
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, r := upgraded(t, srv.Addr)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			if _, err := conn.Write(frame(c.first, c.length)); err != nil {
				t.Fatal(err)
			}
			status := closeStatus(r)
			took := time.Since(began)
			runtime.ReadMemStats(&after)
			allocated := after.TotalAlloc - before.TotalAlloc
			load.Figure("announced size "+c.name, fmt.Sprintf("%d within 1 s, ≤ limit + 64 KiB", c.want),
				"status %d after %v, %d bytes allocated", status, took, allocated)
			if status != c.want {
				t.Errorf("status %d, want %d", status, c.want)
			}
			if allocated > limit+64<<10 {
				t.Errorf("%d bytes allocated", allocated)
			}
			load.Within(t, "time", took, time.Second)
		})
	}

	// One that is within the limit allocates as it arrives.
	conns := load.Either(100, 20)
	first := load.Heap()
	for range conns {
		conn, _ := upgraded(t, srv.Addr)
		if _, err := conn.Write(append(frame(0x82, limit), make([]byte, 1000)...)); err != nil {
			t.Fatal(err)
		}
	}
	if !load.Await(func() bool { return srv.Stats().Open == conns }) {
		t.Fatalf("%d connections", srv.Stats().Open)
	}
	time.Sleep(50 * time.Millisecond) // whether they have read the frames makes no difference to the bar
	each := (load.Heap() - first) / int64(conns)
	load.Figure("announced size within the limit", "≤ 128 KiB each", "%d connections, %d KiB each for %d KiB announced", conns, each>>10, limit>>10)
	if each > load.Either[int64](128<<10, 512<<10) { // other tests may have left something to be collected
		t.Errorf("%d bytes each", each)
	}
}

package fire_test

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/webwire-go/webwire/internal/check/e2e/load"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
)

// Malformed messages on many connections disturb no other, leave nothing behind, and fill
// no log. They come from another process, which takes only the time that the server and
// the other client leave to it, as if it were on a machine of its own.
func TestMalformed(t *testing.T) {
	if addr := os.Getenv(part); addr != "" {
		beVandals(t, addr)
		return
	}
	count := load.Either(200_000, 900) // half of them on connections that end with the first
	before := runtime.NumGoroutine()
	srv := load.Start(t, server.Options{Hooks: server.Hooks{OnRequest: echo, OnSignal: ignore}}, load.Site{})
	vandals := runElsewhere(t, srv.Addr, true)
	vandals.await("ready")
	alone := idle(t, srv.Addr, 1)
	attack := func(count int) (sent, cut int64) {
		vandals.tell(strconv.Itoa(count))
		if _, err := fmt.Sscan(vandals.await("sent"), &sent, &cut); err != nil {
			t.Fatal(err)
		}
		return sent, cut
	}
	attack(count / 10) // everything has its memory
	if !load.Await(func() bool { return srv.Stats().Open == srv.Stats().Away }) {
		t.Fatal("connections are left")
	}
	first := load.Heap()
	var sent, cut int64
	beside := healthy(t, srv.Addr, 1, func() { sent, cut = attack(count) })
	vandals.end()
	if !load.Await(func() bool { return srv.Stats().Open == srv.Stats().Away }) {
		t.Fatal("connections are left")
	}
	growth := load.Heap() - first
	lines := srv.Log.Lines()
	srv.Drop()
	load.Figure("malformed messages", "p99 ≤ 2 ×, heap ± 10 %, log ≤ 1000 lines",
		"%d on %d connections, %d cut: p99 %v, %v alone; heap %+d KiB of %d; %d log lines", sent, vandalConns, cut, beside, alone, growth>>10, first>>10, lines)
	if lines > 1000 {
		t.Errorf("%d log lines", lines)
	}
	load.Within(t, "p99 of others", beside, max(2*alone, time.Millisecond))
	load.Within(t, "heap", growth, first/10+1<<20)
	load.WantGoroutines(t, before)
}

var vandalConns = load.Either(100, 9)

// beVandals sends as many messages as each line of its standard input says, and prints how
// many were sent and how many connections were cut.
func beVandals(t *testing.T, addr string) {
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		count, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		var messages, ended atomic.Int64
		for i := range vandalConns {
			all.Go(func() {
				v := protocol.Versions()[i%len(protocol.Versions())]
				m, e, err := garbage(addr, v, rand.New(rand.NewPCG(1, uint64(i))), count/vandalConns)
				if err != nil {
					t.Errorf("%v: %v", v, err)
				}
				messages.Add(m)
				ended.Add(e)
			})
		}
		all.Wait()
		fmt.Println("sent", messages.Load(), ended.Load())
	}
}

// pause is how long a vandal that was cut waits before it connects again, as clients do:
// what thousands of connections each second cost is another matter.
var pause = load.Either(time.Second, 10*time.Millisecond)

// garbage sends n malformed messages on one connection, or n/100 on as many if each ends its
// connection. It returns once the server has dealt with them.
func garbage(addr string, v protocol.Version, rng *rand.Rand, n int) (sent, cut int64, err error) {
	if cuts(v) {
		for range max(n/100, 1) {
			conn, err := dial(addr, v)
			if err != nil {
				return sent, cut, err
			}
			if err := conn.Write(malformed(v, rng)); err != nil {
				return sent, cut, err
			}
			sent++
			if err := discard(conn); !errors.As(err, new(*transport.CloseError)) {
				return sent, cut, err
			}
			cut++
			_ = conn.Abort()
			time.Sleep(pause)
		}
		return sent, cut, nil
	}
	conn, err := dial(addr, v)
	if err != nil {
		return 0, 0, err
	}
	defer conn.Abort()
	for ; sent < int64(n); sent++ {
		if err := conn.Write(malformed(v, rng)); err != nil {
			return sent, cut, err
		}
	}
	last := protocol.Message{Kind: protocol.Request, ID: protocol.NewID(1), Payload: protocol.Text("last")}
	if err := conn.Write(encodeAs(v, last)); err != nil {
		return sent, cut, err
	}
	for {
		b, err := conn.Read(nil)
		if err != nil {
			return sent, cut, err
		}
		if m, err := v.Parse(b); err == nil && m.Kind == protocol.Reply {
			return sent, cut, nil
		}
	}
}

// cuts reports whether a server of the version ends a connection at the first malformed
// message (section 9).
func cuts(v protocol.Version) bool {
	return v == protocol.V1_2 || v >= protocol.V2_0
}

// malformed returns a message that the version does not allow.
func malformed(v protocol.Version, rng *rand.Rand) []byte {
	for {
		msg := make([]byte, 1+rng.IntN(40))
		for i := range msg {
			msg[i] = byte(rng.Uint32())
		}
		if _, err := v.Parse(msg); err != nil {
			return msg
		}
	}
}

package fire_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/internal/check/e2e/load"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/websocket"
)

// villain is a server that does what attack does on each connection of 3.0, as soon as that
// is open.
type villain struct {
	addr     string
	accepted atomic.Int64
	sent     atomic.Int64
	pausing  atomic.Bool   // nothing is written for now
	ref      atomic.Uint32 // of the last subscription, which it has confirmed
	http     *http.Server
	done     chan struct{}
	conns    sync.WaitGroup
}

func startVillain(t *testing.T, attack func(v *villain, conn transport.Conn)) *villain {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	v := &villain{addr: ln.Addr().String(), done: make(chan struct{})}
	v.http = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v.conns.Add(1)
		defer v.conns.Done()
		conn, err := websocket.Upgrader{}.Upgrade(w, r, transport.UpgradeOptions{
			Protocols: []string{protocol.V3_0.Token()},
			Limits:    transport.Limits{WriteTimeout: time.Second, CloseTimeout: 100 * time.Millisecond},
		})
		if err != nil {
			return
		}
		v.accepted.Add(1)
		var reading sync.WaitGroup
		reading.Go(func() { v.read(conn) })
		attack(v, pausable{conn, &v.pausing})
		_ = conn.Abort()
		reading.Wait()
	})}
	go func() {
		defer close(v.done)
		_ = v.http.Serve(ln)
	}()
	return v
}

// pausable is a connection whose writes can be held back.
type pausable struct {
	transport.Conn
	pausing *atomic.Bool
}

func (p pausable) Write(messages ...[]byte) error {
	for p.pausing.Load() {
		time.Sleep(time.Millisecond)
	}
	return p.Conn.Write(messages...)
}

// read confirms subscriptions, and drops what else the client sends.
func (v *villain) read(conn transport.Conn) {
	var buf []byte
	for {
		var err error
		if buf, err = conn.Read(buf[:0]); err != nil {
			return
		}
		m, err := protocol.V3_0.Parse(buf)
		if err != nil || m.Kind != protocol.Subscribe {
			continue
		}
		if body, err := m.Subscribe(); err == nil {
			_ = conn.Write(encode(protocol.Message{Kind: protocol.Reply, ID: m.ID, Payload: protocol.Position{}.Payload()}))
			v.ref.Store(body.Ref)
		}
	}
}

// tell tells the last subscription of members: message i of those that come to it.
func tell(op protocol.PresenceOp, data func(i int) []byte) func(*villain, transport.Conn) {
	return func(v *villain, conn transport.Conn) {
		for ok, i := open(conn), 0; ok; i++ {
			ok = conn.Write(encode(protocol.PresenceBody{Ref: max(1, v.ref.Load()), Op: op, Data: data(i)}.Message())) == nil
			v.sent.Add(1)
			time.Sleep(time.Millisecond) // else what is measured is garbage
		}
	}
}

func (v *villain) stop() {
	_ = v.http.Close()
	<-v.done
	v.conns.Wait()
}

var hostileConf = protocol.Conf{Version: protocol.V3_0, ReadTimeout: time.Minute, MessageSize: 1 << 20, StreamCredit: 64 << 10, Requests: 100}.Message()

// open says what a server says first.
func open(conn transport.Conn) bool {
	return conn.Write(encode(hostileConf)) == nil &&
		conn.Write(encode(protocol.WelcomeBody{Outcome: protocol.OutcomeFresh, From: 1}.Message())) == nil
}

// repeat sends messages until the connection ends.
func repeat(msgs ...protocol.Message) func(*villain, transport.Conn) {
	var batch [][]byte
	for len(batch) < 100 {
		for _, m := range msgs {
			batch = append(batch, encode(m))
		}
	}
	return func(v *villain, conn transport.Conn) {
		for ok := open(conn); ok; ok = conn.Write(batch...) == nil {
			v.sent.Add(int64(len(batch)))
		}
	}
}

// A hostile server costs a client neither memory nor more than a connection a second, and
// the client can be closed at any time.
func TestHostileServers(t *testing.T) {
	during := load.Either(10*time.Second, 50*time.Millisecond)
	id := protocol.NewID(1)
	info := strings.Repeat("x", 10_000)
	for _, c := range []struct {
		name   string
		attack func(*villain, transport.Conn)
	}{
		{"accept and close", func(*villain, transport.Conn) {}},
		{"never conf", func(v *villain, conn transport.Conn) { time.Sleep(during) }},
		{"garbage", func(v *villain, conn transport.Conn) {
			rng := rand.New(rand.NewPCG(1, 2))
			for ok := rng.IntN(2) == 0 || open(conn); ok; v.sent.Add(1) {
				msg := make([]byte, rng.IntN(100))
				for i := range msg {
					msg[i] = byte(rng.Uint32())
				}
				ok = conn.Write(msg) == nil
			}
		}},
		{"conf again and again", repeat(protocol.Conf{Version: protocol.V3_0, MessageSize: 1 << 20, Requests: 1}.Message())},
		{"signals", repeat(protocol.Message{Kind: protocol.Signal, Name: "s", Payload: protocol.Bytes(make([]byte, 1000))})},
		{"sessions created", repeat(protocol.Message{Kind: protocol.SessionCreated, Payload: protocol.Text(
			`{"k":"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ","c":"2026-01-01T00:00:00Z","i":{"a":1}}`)})},
		{"replies to nothing", repeat(protocol.Message{Kind: protocol.Reply, ID: id, Payload: protocol.Bytes(make([]byte, 1000))})},
		{"items of nothing", repeat(protocol.Message{Kind: protocol.Item, ID: id, Payload: protocol.Bytes(make([]byte, 1000))})},
		{"publications of nothing", repeat(protocol.Message{Kind: protocol.Publication, Ref: 9, Number: 1, Name: "t", Payload: protocol.Bytes(make([]byte, 1000))})},
		{"requests", repeat(protocol.Message{Kind: protocol.Request, ID: id, Name: "r", Payload: protocol.Bytes(make([]byte, 1000))})},
		{"cancels", repeat(protocol.CancelBody{ID: id}.Message())},
		{"drain over an hour in a loop", repeat(protocol.DrainBody{Reason: protocol.DrainShutdown, Spread: time.Hour}.Message())},
		{"drain within a millisecond, on each connection", func(v *villain, conn transport.Conn) {
			_ = conn.Write(encode(hostileConf), encode(protocol.WelcomeBody{Window: time.Minute, From: 1}.Message()))
			for ok := true; ok; time.Sleep(time.Millisecond) {
				ok = conn.Write(encode(protocol.DrainBody{Spread: time.Millisecond, Grace: 2 * time.Millisecond}.Message())) == nil
				v.sent.Add(1)
			}
		}},
		{"drain in a loop", func(v *villain, conn transport.Conn) {
			for ok := open(conn); ok; {
				ok = conn.Write(encode(protocol.DrainBody{Reason: protocol.DrainShutdown}.Message())) == nil
				v.sent.Add(1)
			}
		}},
		{"presence: members that enter", tell(protocol.PresenceEnter, func(i int) []byte {
			return fmt.Appendf(nil, `{"id":"%d","data":"%s"}`, i, info)
		})},
		{"presence: a snapshot that does not end", tell(protocol.PresencePart, func(i int) []byte {
			return fmt.Appendf(nil, `[{"id":"%d","data":"%s"}]`, i, info)
		})},
		{"presence: members without anything", tell(protocol.PresencePart, func(i int) []byte {
			list := []byte(`[{}`)
			for j := range 1000 {
				list = fmt.Appendf(list, `,{"id":"%d"}`, 1000*i+j)
			}
			return append(list, ']')
		})},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			v := startVillain(t, c.attack)
			first := load.Heap()
			var signals atomic.Int64
			cl := load.NewClient(v.addr, client.Options{Hooks: client.Hooks{
				OnServerSignal: func(context.Context, *client.Signal) {
					signals.Add(1)
					time.Sleep(time.Millisecond)
				},
			}})
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(during, func() {
				load.Await(func() bool { return v.accepted.Load() > 0 })
				cancel()
			})
			began := time.Now()
			peak, goroutines := int64(0), 0
			var asking sync.WaitGroup
			asking.Go(func() {
				for ctx.Err() == nil {
					_, _ = cl.Request(ctx, "r", protocol.Text("x")) // no answer comes
				}
			})
			if strings.HasPrefix(c.name, "presence") {
				asking.Go(func() { watch(ctx, cl) })
			}
			for ctx.Err() == nil {
				time.Sleep(during / 5)
				// What is allocated while garbage is collected counts, so the attack pauses; what has
				// arrived already is in the first of these, too.
				v.pausing.Store(true)
				peak = max(peak, min(load.Heap(), load.Heap(), load.Heap())-first)
				v.pausing.Store(false)
				goroutines = max(goroutines, runtime.NumGoroutine()-before)
			}
			asking.Wait()
			closing := time.Now()
			closed := make(chan struct{})
			go func() { _ = cl.Close(); close(closed) }()
			select {
			case <-closed:
			case <-time.After(load.Patience):
				t.Fatal("Close does not return")
			}
			took := time.Since(closing)
			accepted, lasted := v.accepted.Load(), time.Since(began)
			v.stop()
			load.Figure("hostile server: "+c.name, "≤ 16 MiB, ≤ 1 connection/s, no hang",
				"%d messages, %d connections in %.1f s, memory %+d KiB, %d goroutines, Close took %v", v.sent.Load(), accepted, lasted.Seconds(), peak>>10, goroutines, took.Round(time.Millisecond))
			if peak > 16<<20 {
				t.Errorf("the heap grew by %d bytes", peak)
			}
			if goroutines > 200 { // those of the handlers that may run at once are among them
				t.Errorf("%d goroutines", goroutines)
			}
			if accepted == 0 {
				t.Error("the client did not connect")
			}
			if most := 3 + int64(lasted.Seconds()); accepted > most { // however slow the machine is
				t.Errorf("%d connections, want at most %d", accepted, most)
			}
			load.WantGoroutines(t, before)
		})
	}
}

// watch subscribes with presence, again and again.
func watch(ctx context.Context, c *client.Client) {
	for ctx.Err() == nil {
		sub, err := c.Subscribe(ctx, "t", client.SubscribeOptions{Presence: func(client.PresenceEvent) {}, OnGap: func(*client.GapError) {}})
		if err != nil {
			continue
		}
		for range sub.Messages(ctx) {
		}
		sub.Close()
	}
}

package fire_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/internal/check/e2e/load"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
	"github.com/webwire-go/webwire/transport/websocket"
)

// Handshakes that never end, and connections whose client never says hello, are cut, and do
// not keep others from connecting.
func TestSlowHandshakes(t *testing.T) {
	slow, silent := load.Either(1000, 20), load.Either(1000, 0) // ten seconds to say hello are too long for the short form
	headers := load.Either(5*time.Second, 300*time.Millisecond)
	before := runtime.NumGoroutine()
	srv := load.Start(t, server.Options{Hooks: server.Hooks{OnRequest: echo}}, load.Site{HeaderTimeout: headers})

	var lasted [2]atomic.Int64 // the longest of each
	record := func(kind int, began time.Time) {
		for d, m := int64(time.Since(began)), lasted[kind].Load(); d > m && !lasted[kind].CompareAndSwap(m, d); m = lasted[kind].Load() {
		}
	}
	var all sync.WaitGroup
	for range slow {
		conn, err := net.Dial("tcp", srv.Addr)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		all.Go(func() {
			defer conn.Close()
			ticker := time.NewTicker(headers / 10)
			defer ticker.Stop()
			for i := 0; ; i++ {
				if _, err := io.WriteString(conn, handshake[i%40:i%40+1]); err != nil {
					record(0, began)
					return
				}
				<-ticker.C
			}
		})
	}
	for range silent {
		conn, err := websocket.Dialer{URL: "ws://" + srv.Addr + "/"}.Dial(t.Context(), transport.DialOptions{Protocols: []string{protocol.V3_0.Token()}})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		all.Go(func() {
			_ = discard(conn)
			record(1, began)
		})
	}
	// Others connect meanwhile.
	var took []time.Duration
	for range load.Either(200, 20) {
		began := time.Now()
		c := load.NewClient(srv.Addr, client.Options{})
		if err := c.Connect(t.Context()); err != nil {
			t.Errorf("a healthy client: %v", err)
		}
		took = append(took, time.Since(began))
		_ = c.Close()
	}
	all.Wait()
	p99 := load.Percentile(took, 99)
	cut, dumb := time.Duration(lasted[0].Load()), time.Duration(lasted[1].Load())
	load.Figure("slow handshakes and silent connections", "6 s, 16 s, p99 of connecting ≤ 100 ms",
		"%d cut after %v at most (limit %v), %d without hello after %v; p99 of connecting %v", slow, cut.Round(time.Millisecond), headers, silent, dumb.Round(time.Millisecond), p99)
	load.Within(t, "handshake", cut, headers+headers/10+time.Second)
	load.Within(t, "hello", dumb, 16*time.Second)
	load.Within(t, "connecting", p99, 100*time.Millisecond)
	srv.Drop()
	load.WantGoroutines(t, before)
}

// A message of which one byte arrives each second is cut.
func TestOneByteEachSecond(t *testing.T) {
	timeout := load.Either(5*time.Second, 200*time.Millisecond)
	every := load.Either(time.Second, 20*time.Millisecond)
	before := runtime.NumGoroutine()
	srv := load.Start(t, server.Options{ReadTimeout: timeout, ResumeWindow: -1, Hooks: server.Hooks{OnRequest: echo}}, load.Site{})
	conn, r := upgraded(t, srv.Addr)
	began := time.Now()
	_, _ = conn.Write(frame(0x82, 1000)) // the loop fails too
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(io.Discard, r) })
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for range ticker.C {
		if _, err := conn.Write([]byte{0}); err != nil {
			break
		}
		if time.Since(began) > load.Patience {
			t.Fatal("not cut")
		}
	}
	took := time.Since(began)
	conn.Close()
	reading.Wait()
	load.Figure("one byte each second", "message deadline + 1 s", "cut after %v (deadline %v)", took.Round(time.Millisecond), timeout)
	load.Within(t, "time", took, timeout+timeout/8+2*every)
	srv.Drop()
	load.WantGoroutines(t, before)
}

// MaxConns is never exceeded, no place is lost, and those who are refused are told when to
// come back.
func TestMaxConns(t *testing.T) {
	limit, connects, rounds := load.Either(1000, 20), load.Either(10_000, 200), load.Either(20, 2)
	before := runtime.NumGoroutine()
	var open, most, taken, refused atomic.Int64
	srv := load.Start(t, server.Options{MaxConns: limit, ResumeWindow: -1, Hooks: server.Hooks{
		OnClientConnected: func(context.Context, *server.Conn) error {
			n := open.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			return nil
		},
		OnClientDisconnected: func(*server.Conn, error) { open.Add(-1) },
	}}, load.Site{})
	for round := range rounds {
		var mu sync.Mutex
		var conns []transport.Conn
		var all sync.WaitGroup
		next := atomic.Int64{}
		for range 64 {
			all.Go(func() {
				for next.Add(1) <= int64(connects) {
					conn, err := websocket.Dialer{URL: "ws://" + srv.Addr + "/"}.Dial(t.Context(), transport.DialOptions{})
					var no *transport.RefusedError
					switch {
					case err == nil:
						taken.Add(1)
						mu.Lock()
						conns = append(conns, conn)
						mu.Unlock()
						if n := srv.Stats().Open; n > limit {
							t.Errorf("%d connections", n)
						}
					case errors.As(err, &no) && no.StatusCode == http.StatusServiceUnavailable && no.RetryAfter > 0:
						refused.Add(1)
					default:
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if len(conns) != limit {
			t.Errorf("round %d: %d connections were taken", round, len(conns))
		}
		for _, conn := range conns {
			_ = conn.Abort()
		}
		if !load.Await(func() bool { return srv.Stats().Open == 0 && open.Load() == 0 }) {
			t.Fatalf("%d connections are left", srv.Stats().Open)
		}
	}
	load.Figure("MaxConns", "never above, back to 0, 503 with Retry-After",
		"%d connects in %d rounds: at most %d of %d open, %d taken, %d refused", connects*rounds, rounds, most.Load(), limit, taken.Load(), refused.Load())
	if most.Load() > int64(limit) {
		t.Errorf("%d connections at once", most.Load())
	}
	srv.Drop()
	load.WantGoroutines(t, before)
}

// perAddress refuses more than limit connections from one address. It is that of the guide
// in SECURITY.md.
type perAddress struct {
	limit int
	mu    sync.Mutex
	conns map[string]int          // by address
	hosts map[*server.Conn]string // where each began
}

// connected is Hooks.OnClientConnected. Where nodes share an engine, OnClientBack calls it too.
func (p *perAddress) connected(_ context.Context, c *server.Conn) error {
	host, _, _ := net.SplitHostPort(c.Info().RemoteAddr.String())
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.hosts[c]; ok {
		return nil
	}
	if p.conns[host] >= p.limit {
		return &transport.CloseError{Status: transport.StatusTryAgainLater, Reason: "too many connections from this address"}
	}
	p.hosts[c] = host
	p.conns[host]++
	return nil
}

// disconnected is Hooks.OnClientDisconnected. The client may have another address by then.
func (p *perAddress) disconnected(c *server.Conn, _ error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	host, ok := p.hosts[c]
	if !ok {
		return
	}
	delete(p.hosts, c)
	if p.conns[host]--; p.conns[host] == 0 {
		delete(p.conns, host)
	}
}

// A cap on the connections of one address is a hook.
func TestMaxConnsPerAddress(t *testing.T) {
	const limit = 5
	connects := load.Either(2000, 50)
	p := &perAddress{limit: limit, conns: map[string]int{}, hosts: map[*server.Conn]string{}}
	srv := load.Start(t, server.Options{ResumeWindow: -1, Hooks: server.Hooks{
		OnRequest:            echo,
		OnClientConnected:    p.connected,
		OnClientDisconnected: p.disconnected,
	}}, load.Site{})
	var conns []transport.Conn
	var all sync.WaitGroup
	var refused atomic.Int64
	for range connects {
		conn := mustDial(t, srv.Addr, protocol.V2_0)
		conns = append(conns, conn)
		all.Go(func() {
			var closed *transport.CloseError
			if errors.As(discard(conn), &closed) && closed.Status == transport.StatusTryAgainLater {
				refused.Add(1)
			}
		})
	}
	if !load.Await(func() bool { return refused.Load() == int64(connects-limit) }) {
		t.Errorf("%d of %d were refused", refused.Load(), connects)
	}
	for _, conn := range conns {
		_ = conn.Abort()
	}
	all.Wait()
	empty := load.Await(func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.conns) == 0 })
	load.Figure("connections of one address", "never above", "%d connects, %d let in, the rest refused with %d; %s left", connects, limit, transport.StatusTryAgainLater, fmt.Sprint(p.conns))
	if !empty {
		t.Errorf("left: %v", p.conns)
	}
}

// fromHost is a connection from an address.
type fromHost struct {
	transport.Conn
	host string
}

func (c fromHost) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(c.host), Port: 1} }

// A connection that goes on from another address keeps its place at the first one until it ends.
func TestMaxConnsPerAddressOfResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &perAddress{limit: 1, conns: map[string]int{}, hosts: map[*server.Conn]string{}}
		srv := server.New(server.Options{Version: protocol.V3_0, Hooks: server.Hooks{
			OnRequest:            echo,
			OnClientConnected:    p.connected,
			OnClientDisconnected: p.disconnected,
		}})
		connect := func(host string) transport.Conn {
			ours, theirs := memory.Pipe()
			go func() { _ = srv.ServeConn(context.Background(), fromHost{theirs, host}) }() // the client learns of the end
			return ours
		}
		want := func(counts string) {
			t.Helper()
			synctest.Wait()
			p.mu.Lock()
			defer p.mu.Unlock()
			if got := fmt.Sprint(p.conns); got != counts {
				t.Errorf("counted %s, want %s", got, counts)
			}
		}
		first := connect("192.0.2.1")
		w := greet(t, first, nil)
		want("map[192.0.2.1:1]")
		second := connect("192.0.2.2")
		w = greet(t, second, &protocol.Resume{Conn: w.Conn, Secret: w.Secret, Attempt: 1, FirstKept: 1})
		if w.Outcome != protocol.OutcomeResumed {
			t.Fatalf("got outcome %d", w.Outcome)
		}
		want("map[192.0.2.1:1]")
		refused := connect("192.0.2.1")
		if err := refused.Write(encode(protocol.HelloBody{MessageSize: 1 << 20, StreamCredit: 64 << 10, Requests: 1}.Message())); err != nil {
			t.Fatal(err)
		}
		var closed *transport.CloseError
		if err := discard(refused); !errors.As(err, &closed) || closed.Status != transport.StatusTryAgainLater {
			t.Errorf("the second connection from an address ended with %v", err)
		}
		want("map[192.0.2.1:1]")
		_ = second.Close(transport.StatusNormalClosure, "")
		want("map[]")
		if len(p.hosts) > 0 {
			t.Errorf("left: %v", p.hosts)
		}
		_ = first.Abort()
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
}

package fire_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/websocket"
)

// full says that the tests run in full length.
var full = os.Getenv("WEBWIRE_SOAK") != ""

// either returns how much to do.
func either[T any](inFull, inShort T) T {
	if full {
		return inFull
	}
	return inShort
}

// patience is how long the tests wait for what has to happen, however busy the machine is.
const patience = time.Minute

// figure prints a figure of a row of docs/reliability.md.
func figure(row, bar, format string, args ...any) {
	fmt.Printf("figure: %s = %s (bar %s)\n", row, fmt.Sprintf(format, args...), bar)
}

// within fails the test if a figure that depends on the machine misses its bar, in full
// length only.
func within[T int | int64 | uint64 | float64 | time.Duration](t *testing.T, what string, got, bar T) {
	t.Helper()
	if full && got > bar {
		t.Errorf("%s: %v, the bar is %v", what, got, bar)
	}
}

// journal is what a server logs.
type journal struct {
	mu    sync.Mutex
	lines int
	buf   bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines++
	if j.buf.Len() < 16<<20 {
		j.buf.Write(p)
	}
	return len(p), nil
}

func (j *journal) count() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lines
}

func (j *journal) text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

// host is a server over HTTP.
type host struct {
	*server.Server
	log  journal
	addr string
	http *http.Server
	done chan struct{}
}

// start starts a server, with what wrap makes of its listener if it is not nil.
func start(t *testing.T, opts server.Options, headers time.Duration, wrap func(net.Listener) net.Listener) *host {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &host{addr: ln.Addr().String(), done: make(chan struct{})}
	if wrap != nil {
		ln = wrap(ln)
	}
	logger := slog.New(slog.NewTextHandler(&h.log, nil))
	opts.Upgrader = websocket.Upgrader{}
	opts.Logger = logger
	h.Server = server.New(opts)
	h.http = &http.Server{Handler: h.Server, ReadHeaderTimeout: headers, ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelWarn)}
	go func() {
		defer close(h.done)
		_ = h.http.Serve(ln) // until drop
	}()
	t.Cleanup(h.drop)
	return h
}

// drop ends the server at once.
func (h *host) drop() {
	_ = h.http.Close()
	_ = h.Server.Close()
	<-h.done
}

// echo is a handler.
func echo(_ context.Context, r *server.Request) (protocol.Payload, error) { return r.Payload, nil }

// ignore is one of signals.
func ignore(context.Context, *server.Signal) {}

// newClient returns a client that does not autoconnect.
func newClient(addr string, opts client.Options) *client.Client {
	opts.Logger = slog.New(slog.DiscardHandler)
	return client.New(websocket.Dialer{URL: "ws://" + addr + "/"}, opts)
}

// dial connects without a client: the test decides about each message. A connection of 3.0
// has said hello.
func dial(addr string, v protocol.Version) (transport.Conn, error) {
	conn, err := dialSilent(addr, v)
	if err != nil || v < protocol.V3_0 {
		return conn, err
	}
	err = conn.Write(encode(protocol.HelloBody{MessageSize: 1 << 20, StreamCredit: 64 << 10, Requests: 1}.Message()))
	return conn, err
}

// dialSilent is dial without the hello.
func dialSilent(addr string, v protocol.Version) (transport.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	opts := transport.DialOptions{Limits: transport.Limits{WriteTimeout: patience}}
	if v != protocol.V1_2 { // what is spoken without negotiation
		opts.Protocols = []string{v.Token()}
	}
	return websocket.Dialer{URL: "ws://" + addr + "/", NetDial: smallBuffers}.Dial(ctx, opts)
}

func mustDial(t *testing.T, addr string, v protocol.Version) transport.Conn {
	t.Helper()
	conn, err := dial(addr, v)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Abort() })
	return conn
}

// smallBuffers dials a connection whose peer soon finds out that it does not read.
func smallBuffers(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(16 << 10)
	}
	return conn, err
}

// encode returns a message of 3.0.
func encode(m protocol.Message) []byte { return encodeAs(protocol.V3_0, m) }

func encodeAs(v protocol.Version, m protocol.Message) []byte {
	b, err := v.Append(nil, m)
	if err != nil {
		panic(err) // the test's mistake
	}
	return b
}

// discard reads a connection until it ends.
func discard(conn transport.Conn) (err error) {
	var buf []byte
	for err == nil {
		buf, err = conn.Read(buf[:0])
	}
	return err
}

// upgraded returns a network connection on which a server expects frames.
func upgraded(t *testing.T, addr string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_, _ = io.WriteString(conn, handshake) // the answer says it
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp, err)
	}
	return conn, r
}

const handshake = "GET / HTTP/1.1\r\nHost: server\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// frame returns the header of a masked frame; the mask is zero.
func frame(first byte, length uint64) []byte {
	b := []byte{first}
	switch {
	case length < 126:
		b = append(b, 0x80|byte(length))
	case length < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(length))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), length)
	}
	return append(b, 0, 0, 0, 0)
}

// closeStatus reads frames until a close frame comes and returns its status, zero if the
// connection ends without one.
func closeStatus(r *bufio.Reader) transport.Status {
	for {
		var head [2]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return 0
		}
		n := int64(head[1] & 0x7F)
		switch n {
		case 126:
			var b [2]byte
			_, _ = io.ReadFull(r, b[:]) // the next read fails too
			n = int64(binary.BigEndian.Uint16(b[:]))
		case 127:
			var b [8]byte
			_, _ = io.ReadFull(r, b[:]) // the next read fails too
			n = int64(binary.BigEndian.Uint64(b[:]))
		}
		body := make([]byte, min(n, 2))
		if _, err := io.ReadFull(r, body); err != nil {
			return 0
		}
		if head[0]&0xF == 8 && len(body) == 2 {
			return transport.Status(binary.BigEndian.Uint16(body))
		}
		if _, err := io.CopyN(io.Discard, r, n-int64(len(body))); err != nil {
			return 0
		}
	}
}

// healthy asks all the time while during runs, with as many clients, and returns the 99th
// percentile of how long that took. A request that fails ends the test.
func healthy(t *testing.T, addr string, clients int, during func()) time.Duration {
	t.Helper()
	var mu sync.Mutex
	var took []time.Duration
	stop := make(chan struct{})
	var asking sync.WaitGroup
	for range clients {
		asking.Go(func() {
			c := newClient(addr, client.Options{})
			defer c.Close()
			own := make([]time.Duration, 0, either(1<<15, 64)) // which does not grow meanwhile
			ticker := time.NewTicker(either(time.Millisecond, 5*time.Millisecond))
			defer ticker.Stop()
			for first := true; ; first = false {
				began := time.Now()
				if _, err := c.Request(context.Background(), "echo", protocol.Text("x")); err != nil {
					t.Errorf("a healthy client: %v", err)
				}
				if !first { // without connecting
					own = append(own, time.Since(began))
				}
				select {
				case <-stop:
					if len(own) > 0 {
						mu.Lock()
						defer mu.Unlock()
						took = append(took, own...)
						return
					}
				case <-ticker.C:
				}
			}
		})
	}
	func() {
		defer asking.Wait()
		defer close(stop)
		during()
	}()
	return percentile(took, 99)
}

func percentile(took []time.Duration, p int) time.Duration {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[len(took)*p/100]
}

// idle returns the 99th percentile of healthy while nothing else happens.
func idle(t *testing.T, addr string, clients int) time.Duration {
	return healthy(t, addr, clients, func() { time.Sleep(either(2*time.Second, 20*time.Millisecond)) })
}

// heap returns the bytes of live objects and of stacks.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what a pool kept
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// await looks until condition holds, and reports whether it did in time.
func await(condition func() bool) bool {
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(patience); !condition(); <-ticker.C {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// wantGoroutines fails the test unless there are as few goroutines as before.
func wantGoroutines(t *testing.T, before int) {
	t.Helper()
	if !await(func() bool { return runtime.NumGoroutine() <= before }) {
		buf := make([]byte, 1<<20)
		t.Errorf("%d goroutines, %d before\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
	}
}

// wantNothing fails the test if a log contains one of the texts.
func (h *host) wantNothing(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if log := h.log.text(); strings.Contains(log, text) {
			t.Errorf("the log contains %q", text)
		}
	}
}

// quiet is for logs that nobody looks at.
var quiet = slog.New(slog.DiscardHandler)

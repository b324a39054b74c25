package fire_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/webwire-go/webwire/internal/check/e2e/load"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/websocket"
)

// Many idle connections from another process that are reset all at once leave nothing
// behind.
func TestIdleConnectionsReset(t *testing.T) {
	if task := os.Getenv(part); task != "" {
		beCrowd(t, task)
		return
	}
	count := load.Either(9_000, 100)
	before := runtime.NumGoroutine()
	srv := load.Start(t, server.Options{Hooks: server.Hooks{OnRequest: echo}}, load.Site{})
	first := load.Heap()
	crowd := runElsewhere(t, fmt.Sprintf("%s %d", srv.Addr, count), false)
	crowd.await("ready")
	if !load.Await(func() bool { return srv.Stats().Open == count }) {
		t.Fatalf("%d connections", srv.Stats().Open)
	}
	open := load.Heap() - first
	began := time.Now()
	crowd.end() // its connections are reset
	if !load.Await(func() bool { return srv.Stats().Open == 0 }) {
		t.Fatalf("%d connections are left", srv.Stats().Open)
	}
	gone := time.Since(began)
	left := load.Heap() - first
	for left > 2<<20 && time.Since(began) < 10*time.Second {
		time.Sleep(100 * time.Millisecond)
		left = load.Heap() - first
	}
	load.Figure("idle connections, all reset", "+ 0 goroutines, heap under 30 MB in 10 s",
		"%d connections: %d bytes each, gone after %v, %d KiB left after %v", count, open/int64(count), gone.Round(time.Millisecond), left>>10, time.Since(began).Round(time.Millisecond))
	if left > 30<<20 {
		t.Errorf("%d bytes are left", left)
	}
	srv.Drop()
	load.WantGoroutines(t, before)
}

// beCrowd connects many times, says so, and ends with its standard input.
func beCrowd(t *testing.T, task string) {
	var addr string
	var count int
	if _, err := fmt.Sscan(task, &addr, &count); err != nil {
		t.Fatal(err)
	}
	dialer := websocket.Dialer{URL: "ws://" + addr + "/", NetDial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // its end is a reset
		}
		return conn, err
	}}
	conns := make([]transport.Conn, count)
	for i := range conns {
		var err error
		if conns[i], err = dialer.Dial(t.Context(), transport.DialOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin) // its end is all that counts
	runtime.KeepAlive(conns)
	os.Exit(0)
}

package soak_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
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

// The limits of time of the short tests are for a machine that is busy with something
// else; those of the full ones are what users may expect.
var (
	atOnce   = either(5*time.Second, 30*time.Second)
	soon     = either(10*time.Second, time.Minute)
	attempts = either[uint64](7, 60) // within that time
)

var discard = slog.New(slog.DiscardHandler)

// host is a server at an address of its own, to which the next one can return.
type host struct {
	*server.Server
	addr string
	http *http.Server
	done chan struct{}
}

// start starts a server, at any free address if addr is empty.
func start(t *testing.T, addr string, opts server.Options) *host {
	t.Helper()
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	opts.Upgrader = websocket.Upgrader{}
	opts.Logger = discard
	h := &host{Server: server.New(opts), addr: ln.Addr().String(), done: make(chan struct{})}
	h.http = &http.Server{Handler: h.Server, ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(discard.Handler(), 0)}
	go func() {
		defer close(h.done)
		_ = h.http.Serve(ln) // until drop or retire
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

// retire ends the server in good order.
func (h *host) retire(ctx context.Context) error {
	err := h.Server.Shutdown(ctx)
	_ = h.http.Close()
	<-h.done
	return err
}

// newClient returns a client of the server at addr, which the test closes.
func newClient(addr string, opts client.Options) *client.Client {
	opts.Logger = discard
	return client.New(websocket.Dialer{URL: "ws://" + addr + "/"}, opts)
}

// closeAll closes many clients at once.
func closeAll(clients []*client.Client) {
	var all sync.WaitGroup
	for _, c := range clients {
		all.Go(func() { _ = c.Close() })
	}
	all.Wait()
}

// number is a payload that tells one request from all others.
func number(n uint64) protocol.Payload {
	return protocol.Bytes(binary.LittleEndian.AppendUint64(nil, n))
}

func parseNumber(p protocol.Payload) (uint64, bool) {
	if len(p.Data) != 8 {
		return 0, false
	}
	return binary.LittleEndian.Uint64(p.Data), true
}

// await looks until condition holds, and reports whether it did in time.
func await(limit time.Duration, condition func() bool) bool {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(limit); ; {
		if condition() {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
		<-ticker.C
	}
}

// wantGoroutines fails the test unless there are as few goroutines as before.
func wantGoroutines(t *testing.T, before int) {
	t.Helper()
	if await(20*time.Second, func() bool { return runtime.NumGoroutine() <= before }) {
		return
	}
	buf := make([]byte, 1<<20)
	t.Errorf("%d goroutines, %d before\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
}

// report prints the line of a test.
func report(t *testing.T, format string, args ...any) {
	fmt.Printf("%s: %s\n", t.Name(), fmt.Sprintf(format, args...))
}

// figure prints one figure, for a table in docs.
func figure(name, format string, args ...any) {
	fmt.Printf("figure: %s = %s\n", name, fmt.Sprintf(format, args...))
}

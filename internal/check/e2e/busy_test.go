package e2e_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/websocket"
)

// The limits of time of these tests. A machine that stands still for most of one makes
// them fail.
const (
	busyRead  = 2400 * time.Millisecond
	busyWrite = 2500 * time.Millisecond
)

// A server that is busy, and holds its client back by not reading, is not lost: it
// pings, and reads on once it is not busy any more.
func TestBusyServer(t *testing.T) {
	t.Parallel()
	busy := make(chan struct{})
	srv := newBusy(t, server.Options{ReadTimeout: busyRead, Hooks: server.Hooks{
		OnRequest: func(ctx context.Context, _ *server.Request) (protocol.Payload, error) {
			select {
			case <-busy:
			case <-ctx.Done():
			}
			return protocol.Text("done"), nil
		},
	}})
	c := client.New(websocket.Dialer{URL: listenHTTP(t, srv)}, client.Options{WriteTimeout: busyWrite})
	defer c.Close()
	if err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(2*busyWrite, func() { close(busy) })
	var mu sync.Mutex
	outcomes := make(map[string]int)
	var all sync.WaitGroup
	for range 400 { // 25 MiB: more than inbox, outbox and the system hold
		all.Go(func() {
			_, err := c.Request(t.Context(), "work", protocol.Bytes(make([]byte, 64<<10)))
			outcome := "done"
			var lost *client.DisconnectedError
			if errors.As(err, &lost) {
				outcome = "disconnected"
			} else if err != nil {
				outcome = err.Error()
			}
			mu.Lock()
			defer mu.Unlock()
			outcomes[outcome]++
		})
	}
	all.Wait()
	if outcomes["done"] != 400 {
		t.Errorf("%v; the server was busy for %v", outcomes, 2*busyWrite)
	}
}

// narrow forwards what arrives, at a steady perSecond bytes per second.
func narrow(t *testing.T, to string, perSecond int) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			near.(*net.TCPConn).SetReadBuffer(16 << 10)
			far, err := net.Dial("tcp", to)
			if err != nil {
				near.Close()
				return
			}
			go func() { io.Copy(near, far); near.Close() }()
			go func() {
				defer far.Close()
				for buf := make([]byte, perSecond/20); ; time.Sleep(time.Second / 20) {
					n, err := io.ReadAtLeast(near, buf, 1)
					if err != nil {
						return
					}
					if _, err := far.Write(buf[:n]); err != nil {
						return
					}
				}
			}()
		}
	}()
	return ln.Addr().String()
}

// A message of an accepted length is sent over a link that is slow and never stands
// still.
func TestSlowLink(t *testing.T) {
	t.Parallel()
	srv := newBusy(t, server.Options{})
	addr := narrow(t, strings.TrimPrefix(listenHTTP(t, srv), "http://"), 192<<10)
	c := client.New(websocket.Dialer{
		URL: "ws://" + addr,
		NetDial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err == nil {
				conn.(*net.TCPConn).SetWriteBuffer(16 << 10)
			}
			return conn, err
		},
	}, client.Options{WriteTimeout: busyWrite})
	defer c.Close()
	if err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Request(t.Context(), "upload", protocol.Bytes(make([]byte, 1<<20))); err != nil {
		t.Errorf("1 MiB at 192 KiB/s: %v", err)
	}
}

// A server whose handler is steadily slower than its client slows the client down.
func TestSlowSignals(t *testing.T) {
	t.Parallel()
	srv := newBusy(t, server.Options{ReadTimeout: busyRead, Hooks: server.Hooks{
		OnSignal: func(context.Context, *server.Signal) { time.Sleep(20 * time.Millisecond) },
	}})
	var mu sync.Mutex
	var lost []error
	c := client.New(websocket.Dialer{URL: listenHTTP(t, srv)}, client.Options{
		WriteTimeout: busyWrite,
		Hooks: client.Hooks{OnDisconnected: func(_ context.Context, err error) {
			mu.Lock()
			defer mu.Unlock()
			if !errors.Is(err, client.ErrClosed) {
				lost = append(lost, err)
			}
		}},
	})
	if err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*busyWrite)
	defer cancel()
	sent := 0
	for ctx.Err() == nil {
		if err := c.Signal(ctx, "measured", protocol.Bytes(make([]byte, 1<<10))); err == nil {
			sent++
		} else if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Signal: %v", err)
			break
		}
	}
	handled := srv.Stats().Received
	mu.Lock()
	defer mu.Unlock()
	if len(lost) > 0 {
		t.Errorf("the connection was lost: %v; of %d signals that Signal took %d were received", lost[0], sent, handled)
	}
	c.Close()
}

// newBusy returns a server that echoes, unless opts say otherwise.
func newBusy(t *testing.T, opts server.Options) *server.Server {
	opts.Logger = slog.New(slog.DiscardHandler)
	if opts.Hooks.OnRequest == nil {
		opts.Hooks.OnRequest = func(_ context.Context, r *server.Request) (protocol.Payload, error) { return r.Payload, nil }
	}
	srv := server.New(withUpgrader(opts))
	t.Cleanup(func() { srv.Close() })
	return srv
}

// listenHTTP returns the URL at which srv is served.
func listenHTTP(t *testing.T, srv *server.Server) string {
	s := httptest.NewServer(srv)
	t.Cleanup(s.Close)
	return s.URL
}

package e2e_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
	"github.com/webwire-go/webwire/transport/stream"
	"github.com/webwire-go/webwire/transport/websocket"
)

// BenchmarkRequest is request and reply on one connection, alone and 64 at a time,
// for benchstat to compare before and after a change. The comparison with others is
// in internal/check/bench.
func BenchmarkRequest(b *testing.B) {
	for _, transport := range []struct {
		name  string
		serve func(b *testing.B, srv *server.Server) transport.Dialer
	}{
		{"websocket", serveWebSocket},
		{"stream", serveStream},
		{"memory", serveMemory},
	} {
		for _, size := range []int{32, 1 << 10, 64 << 10} {
			for _, depth := range []int{1, 64} {
				for _, limit := range []time.Duration{0, time.Minute} {
					b.Run(fmt.Sprintf("%s/size=%d/inflight=%d/deadline=%v", transport.name, size, depth, limit > 0), func(b *testing.B) {
						benchmarkRequest(b, transport.serve, size, depth, limit)
					})
				}
			}
		}
	}
}

func benchmarkRequest(b *testing.B, serve func(*testing.B, *server.Server) transport.Dialer, size, depth int, limit time.Duration) {
	srv := server.New(server.Options{Upgrader: websocket.Upgrader{}, Hooks: server.Hooks{
		OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) { return r.Payload, nil },
	}})
	b.Cleanup(func() { srv.Close() })
	c := client.New(serve(b, srv), client.Options{})
	defer c.Close()
	ctx := context.Background()
	if err := c.Connect(ctx); err != nil {
		b.Fatal(err)
	}
	p := protocol.Bytes(make([]byte, size))
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var callers sync.WaitGroup
	for range depth {
		callers.Go(func() {
			for left.Add(-1) >= 0 {
				ctx, cancel := ctx, context.CancelFunc(func() {})
				if limit > 0 {
					ctx, cancel = context.WithTimeout(ctx, limit)
				}
				reply, err := c.Request(ctx, "chat.room.say-it", p)
				cancel()
				if err != nil || len(reply.Data) != size {
					b.Errorf("a reply of %d bytes: %v", len(reply.Data), err)
					return
				}
			}
		})
	}
	callers.Wait()
}

func serveWebSocket(b *testing.B, srv *server.Server) transport.Dialer {
	host := httptest.NewServer(srv)
	b.Cleanup(host.Close)
	return websocket.Dialer{URL: host.URL}
}

func serveStream(b *testing.B, srv *server.Server) transport.Dialer {
	l, err := stream.Listen("tcp", "127.0.0.1:0", nil)
	if err != nil {
		b.Fatal(err)
	}
	go srv.Serve(l) // Close of the server ends it
	return stream.Dialer{Address: l.Addr().String()}
}

func serveMemory(_ *testing.B, srv *server.Server) transport.Dialer {
	l := memory.Listen()
	go srv.Serve(l) // Close of the server ends it
	return l
}

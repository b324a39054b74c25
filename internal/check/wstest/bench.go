package wstest

import (
	"context"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/internal/wsnet"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// Benchmark has clients make requests of a server over the loopback interface: one
// and 64 at a time on a connection, and one on each of 64. It is there to be
// profiled; internal/check/bench compares.
func Benchmark(b *testing.B, lib Library) {
	for _, load := range []struct {
		name         string
		conns, depth int
	}{{"1x1", 1, 1}, {"1x64", 1, 64}, {"64x1", 64, 1}} {
		b.Run(load.name, func(b *testing.B) { lib.benchmark(b, load.conns, load.depth) })
	}
}

func (lib Library) benchmark(b *testing.B, conns, depth int) {
	srv := server.New(server.Options{
		Upgrader: lib.Upgrader(Upgrader{}),
		Hooks: server.Hooks{OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
			return r.Payload, nil
		}},
	})
	host := httptest.NewServer(srv)
	defer host.Close()
	defer srv.Close()
	clients := make([]*client.Client, conns)
	for i := range clients {
		clients[i] = client.New(lib.Dialer(wsnet.Endpoint{URL: host.URL}), client.Options{})
		defer clients[i].Close()
		if err := clients[i].Connect(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	payload := protocol.Payload{Data: make([]byte, 32)}
	var left atomic.Int64
	left.Store(int64(b.N))
	var all sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for _, c := range clients {
		for range depth {
			all.Go(func() {
				for left.Add(-1) >= 0 {
					if _, err := c.Request(context.Background(), "echo", payload); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
	}
	all.Wait()
	b.StopTimer()
}

// Command dashboard publishes the metrics of five imaginary services, each on a topic, and
// serves a page that plots those that its user picks.
//
//	go run ./examples/dashboard -addr :8081
package main

import (
	"context"
	"embed"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/webwire-go/webwire/client/js"
	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/websocket"
)

const (
	interval = 50 * time.Millisecond
	history  = int(time.Minute / interval) // that a page which opens, or comes back, gets
)

//go:embed web
var files embed.FS

func main() {
	addr := flag.String("addr", "localhost:8081", "TCP address to listen at")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ln, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("dashboard: http://%s   ctrl-C ends it\n", ln.Addr())
	all := metrics()
	srv := newServer(all)
	go measure(ctx, srv, all)
	mux := http.NewServeMux()
	mux.Handle("/ws", srv)
	mux.Handle("/", js.Handler(files, "web"))
	if err := srv.Run(ctx, ln, mux); err != nil {
		log.Fatal(err)
	}
}

// newServer returns a server that has a topic for each metric, and says which there are.
func newServer(all []*metric) *server.Server {
	var mux server.Mux
	mux.Request("metrics", server.JSON(func(context.Context, *server.Request, any) ([]*metric, error) { return all, nil }))
	return server.New(server.Options{
		Upgrader: &websocket.Upgrader{},
		Handler:  &mux,
		Engine:   (&engine.Memory{History: history}).Node(),
		Topics: func(string) server.TopicOptions {
			// A page that is too slow for all points gets the latest.
			return server.TopicOptions{History: true, Overflow: server.LatestPerKey}
		},
		Hooks: server.Hooks{OnSubscribe: func(_ context.Context, _ *server.Conn, topic string) (any, error) {
			if !slices.ContainsFunc(all, func(m *metric) bool { return m.Name == topic }) {
				return nil, &protocol.Error{Code: "NO_SUCH_METRIC"}
			}
			return nil, nil
		}},
	})
}

// point is what is published: a value, and when it was measured, in milliseconds since 1970.
type point struct {
	T int64
	V float64
}

// measure publishes a point of each metric in each interval, until ctx ends.
func measure(ctx context.Context, srv *server.Server, all []*metric) {
	ticks := time.NewTicker(interval)
	defer ticks.Stop()
	for ctx.Err() == nil {
		now := <-ticks.C
		for _, m := range all {
			if p, err := protocol.JSON(point{now.UnixMilli(), m.next(now)}); err == nil {
				// An error is that of the engine, which the server logs; the next point is due soon.
				_, _ = srv.Topic(m.Name).Publish(ctx, "point", p)
			}
		}
	}
}

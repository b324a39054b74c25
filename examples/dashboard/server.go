package main

import (
	"context"
	"embed"
	"io/fs"
	"net/http"
	"time"

	js "github.com/webwire-go/webwire/client/js"
	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/websocket"
)

const (
	interval = 50 * time.Millisecond
	history  = int(time.Minute / interval) // that a page which opens, or comes back, gets
)

// newServer returns a server that tells which metrics there are. Each has a topic of its name.
func newServer() *server.Server {
	all := metrics()
	known := make(map[string]bool)
	for _, m := range all {
		known[m.Name] = true
	}
	var mux server.Mux
	mux.Request("metrics", server.JSON(func(context.Context, *server.Request, struct{}) ([]*metric, error) { return all, nil }))
	return server.New(server.Options{
		Upgrader: &websocket.Upgrader{},
		Handler:  &mux,
		Engine:   (&engine.Memory{History: history}).Node(),
		Topics: func(string) server.TopicOptions {
			// A page that is too slow for all points gets the latest.
			return server.TopicOptions{History: true, Overflow: server.LatestPerKey}
		},
		Hooks: server.Hooks{OnSubscribe: func(_ context.Context, _ *server.Conn, topic string) (any, error) {
			if !known[topic] {
				return nil, &protocol.Error{Code: "NO_SUCH_METRIC"}
			}
			return nil, nil
		}},
	})
}

// point is what is published: a value, and when it was measured, in milliseconds since 1970.
type point struct {
	T int64   `json:"t"`
	V float64 `json:"v"`
}

// measure publishes a point of each metric in each interval, until ctx ends.
func measure(ctx context.Context, srv *server.Server) {
	all := metrics()
	ticks := time.NewTicker(interval)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticks.C:
			for _, m := range all {
				p, err := protocol.JSON(point{now.UnixMilli(), m.next(now)})
				if err != nil {
					continue
				}
				// An error is that of the engine, which the server logs; the next point is due soon.
				_, _ = srv.Topic(m.Name).Publish(ctx, "point", p)
			}
		}
	}
}

//go:embed web
var files embed.FS

// page serves the page, and the JavaScript client below /webwire/.
func page() http.Handler {
	web, err := fs.Sub(files, "web")
	if err != nil {
		panic(err) // the directory is named above
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(web))
	mux.Handle("GET /webwire/", http.StripPrefix("/webwire/", http.FileServerFS(js.Source())))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-cache")
		mux.ServeHTTP(w, r)
	})
}

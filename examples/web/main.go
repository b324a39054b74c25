// Command web is the server of the small apps in this directory: a number that everybody sees
// and can change. The pages come from a directory, or from another server, for instance one
// that renders them.
//
//	go run ./examples/web -dir examples/web/dist/react     http://localhost:8080
//	go run ./examples/web -pages http://localhost:3000
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/websocket"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "web:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("web", flag.ContinueOnError)
	addr := flags.String("addr", "localhost:8080", "TCP address to listen at")
	dir := flags.String("dir", "examples/web/dist/react", "directory of the pages")
	pages := flags.String("pages", "", "URL of the server that the pages come from, instead of a directory")
	if err := flags.Parse(args); err != nil {
		return err
	}
	srv := newServer()
	mux := http.NewServeMux()
	mux.Handle("/api", srv)
	mux.Handle("/", http.FileServer(http.Dir(*dir)))
	if *pages != "" {
		to, err := url.Parse(*pages)
		if err != nil {
			return err
		}
		mux = http.NewServeMux()
		mux.Handle("/api", srv)
		mux.Handle("/", &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }})
	}
	ln, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "listening at http://%s/\n", ln.Addr())
	return srv.Run(ctx, ln, mux)
}

// newServer returns the server of the number.
func newServer() *server.Server {
	var (
		mu    sync.Mutex
		count int
		mux   server.Mux
	)
	srv := server.New(server.Options{Upgrader: &websocket.Upgrader{}, Handler: &mux})
	mux.Request("count", server.JSON(func(context.Context, *server.Request, any) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return count, nil
	}))
	mux.Request("add", server.JSON(func(_ context.Context, _ *server.Request, n int) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		count += n
		p, err := protocol.JSON(count)
		if err != nil {
			return 0, err
		}
		_, err = server.Broadcast(srv.Conns(), "count", p) // in the order of the changes
		return count, err
	}))
	return srv
}

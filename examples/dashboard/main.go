// Command dashboard publishes the metrics of five imaginary services, each on a topic, and
// serves a page that plots those that its user picks.
//
//	go run ./examples/dashboard -addr :8081
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	addr := flag.String("addr", "localhost:8081", "TCP address to listen at")
	flag.Parse()
	if err := run(ctx, *addr, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "dashboard:", err)
		os.Exit(1)
	}
}

// run serves the page and the metrics until ctx ends.
func run(ctx context.Context, addr string, out io.Writer) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "dashboard: http://%s   ctrl-C ends it\n", ln.Addr())
	var measuring sync.WaitGroup
	defer measuring.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	srv := newServer()
	measuring.Go(func() { measure(ctx, srv) })
	mux := http.NewServeMux()
	mux.Handle("/ws", srv)
	mux.Handle("/", page())
	web := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10}
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(ln) }()
	select {
	case err := <-failed:
		return errors.Join(err, srv.Close())
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(srv.Shutdown(end), web.Shutdown(end))
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/websocket"
)

// serve runs the server until ctx ends, then shuts it down gracefully. It sends
// the address it listens at to listening, if that is not nil.
func serve(ctx context.Context, addr string, out io.Writer, listening chan<- string) error {
	var mux server.Mux
	mux.Request("*", func(_ context.Context, r *server.Request) (protocol.Payload, error) {
		return r.Payload, nil
	})
	mux.Signal("*", func(ctx context.Context, s *server.Signal) {
		if err := s.Conn.Signal(ctx, s.Name, s.Payload); err != nil {
			fmt.Fprintln(out, "server: signal not sent:", err)
		}
	})
	srv := server.New(server.Options{
		Upgrader: &websocket.Upgrader{},
		Handler:  &mux,
	})

	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "server: listening at ws://%s\n", ln.Addr())
	if listening != nil {
		listening <- ln.Addr().String()
	}
	web := &http.Server{Handler: srv, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10}
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(ln) }()
	select {
	case err := <-failed:
		return errors.Join(err, srv.Close())
	case <-ctx.Done():
	}

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err = errors.Join(srv.Shutdown(ctx), web.Shutdown(ctx))
	if err == nil {
		fmt.Fprintln(out, "server: shut down")
	}
	return err
}

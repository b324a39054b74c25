package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/websocket"
)

// handlers returns the handlers of the server.
func handlers(out io.Writer) *server.Mux {
	var mux server.Mux
	mux.Request("*", func(_ context.Context, r *server.Request) (protocol.Payload, error) {
		return r.Payload, nil
	})
	mux.Signal("*", func(ctx context.Context, s *server.Signal) {
		if err := s.Conn.Signal(ctx, s.Name, s.Payload); err != nil {
			fmt.Fprintln(out, "server: signal not sent:", err)
		}
	})
	// ended tells the client why the context of a handler has ended.
	ended := func(ctx context.Context, r *server.Request) {
		why := protocol.Text(context.Cause(ctx).Error())
		if err := r.Conn.Signal(r.Conn.Context(), "ended", why); err != nil {
			fmt.Fprintln(out, "server: signal not sent:", err)
		}
	}
	mux.Request("wait", func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
		defer ended(ctx, r)
		if err := r.Conn.Signal(ctx, "waiting", protocol.Payload{}); err != nil {
			return protocol.Payload{}, err
		}
		<-ctx.Done()
		return protocol.Payload{}, ctx.Err()
	})
	mux.Stream("count", func(ctx context.Context, r *server.Request, send func(protocol.Payload) error) error {
		defer ended(ctx, r)
		for i := 1; ; i++ {
			if err := send(protocol.Text(strconv.Itoa(i))); err != nil {
				return err
			}
		}
	})
	mux.Request("greet me", func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
		name, err := r.Conn.Request(ctx, "your name", protocol.Payload{})
		if err != nil {
			return protocol.Payload{}, err
		}
		return protocol.Text("hello, " + name.Text()), nil
	})
	return &mux
}

// serve runs the server until ctx ends, then shuts it down gracefully. It sends
// the address it listens at to listening, if that is not nil.
func serve(ctx context.Context, addr string, out io.Writer, listening chan<- string) error {
	srv := server.New(server.Options{
		Upgrader: &websocket.Upgrader{},
		Handler:  handlers(out),
	})

	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "server: listening at ws://%s\n", ln.Addr())
	if listening != nil {
		listening <- ln.Addr().String()
	}
	err = srv.Run(ctx, ln, nil)
	if err == nil {
		fmt.Fprintln(out, "server: shut down")
	}
	return err
}

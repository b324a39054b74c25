package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

func ExampleClient_Request() {
	dialer, stop := exampleServer()
	defer stop()
	c := client.New(dialer, client.Options{})
	defer c.Close()

	ctx := context.Background()
	reply, err := c.Request(ctx, "echo", protocol.Text("hello")) // connects first
	fmt.Println(reply.Encoding, reply.Text(), err)

	// An error says what the server answered, or what became of the request.
	_, err = c.Request(ctx, "sing", protocol.Text("hello"))
	var refused *protocol.Error
	switch {
	case errors.As(err, &refused):
		fmt.Println("refused:", refused.Code)
	case !client.MaybeExecuted(err):
		fmt.Println("not executed: try again")
	case err != nil:
		fmt.Println(err)
	}
	// Output:
	// utf8 hello <nil>
	// refused: NOT_FOUND
}

func ExampleCall() {
	dialer, stop := exampleServer()
	defer stop()
	c := client.New(dialer, client.Options{})
	defer c.Close()

	type pair struct{ A, B int }
	sum, err := client.Call[int](context.Background(), c, "add", pair{1, 2})
	fmt.Println(sum, err)
	// Output: 3 <nil>
}

func ExampleClient_Signal() {
	dialer, stop := exampleServer()
	defer stop()
	heard := make(chan string)
	var mux client.Mux
	mux.Signal("pong", func(_ context.Context, s *client.Signal) { heard <- s.Name + ": " + s.Payload.Text() })
	c := client.New(dialer, client.Options{Handler: &mux})
	defer c.Close()

	ctx := context.Background()
	// A signal does not wait for a connection.
	fmt.Println(errors.Is(c.Signal(ctx, "ping", protocol.Text("too early")), client.ErrDisconnected))
	if err := c.Connect(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(c.Signal(ctx, "ping", protocol.Text("in time")))
	fmt.Println(<-heard)
	// Output:
	// true
	// <nil>
	// pong: in time
}

func ExampleClient_AwaitChange() {
	dialer, stop := exampleServer()
	defer stop()
	c := client.New(dialer, client.Options{})
	ctx := context.Background()
	fmt.Println(c.Status())
	if err := c.Connect(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(c.Status())
	c.Close()
	status, err := c.AwaitChange(ctx, client.Connected)
	fmt.Println(status, err)
	// Output:
	// disconnected
	// connected
	// closed <nil>
}

// exampleServer runs a server in the same program. Over a network the dialer is
// that of transport/websocket or transport/stream.
func exampleServer() (dialer transport.Dialer, stop func()) {
	var mux server.Mux
	mux.Request("echo", echo)
	mux.Request("add", server.JSON(func(_ context.Context, _ *server.Request, in struct{ A, B int }) (int, error) {
		return in.A + in.B, nil
	}))
	mux.Signal("ping", func(ctx context.Context, s *server.Signal) {
		if err := s.Conn.Signal(ctx, "pong", s.Payload); err != nil {
			log.Println(err)
		}
	})
	srv := server.New(server.Options{Handler: &mux})
	listener := memory.Listen()
	go srv.Serve(listener)
	return listener, func() { srv.Close() }
}

package server_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"sync/atomic"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

// A server whose clients are in the same program. Over a network it is mounted as an
// http.Handler, with an Upgrader, or serves a listener of transport/stream.
func Example() {
	srv := server.New(server.Options{Hooks: server.Hooks{
		OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
			return protocol.Text(r.Name + ", " + r.Payload.Text()), nil
		},
	}})
	listener := memory.Listen()
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()

	ctx := context.Background()
	c := client.New(listener, client.Options{})
	reply, err := c.Request(ctx, "hello", protocol.Text("gopher"))
	fmt.Println(reply.Text(), err)
	c.Close()

	fmt.Println(srv.Shutdown(ctx))
	fmt.Println(<-served)
	// Output:
	// hello, gopher <nil>
	// <nil>
	// server: closed
}

func ExampleMux() {
	var mux server.Mux
	mux.Request("time", func(context.Context, *server.Request) (protocol.Payload, error) {
		return protocol.Text("half past three"), nil
	})
	mux.Request("files.*", func(_ context.Context, r *server.Request) (protocol.Payload, error) {
		return protocol.Payload{}, &protocol.Error{Code: "NO_SUCH_FILE", Message: r.Name}
	})
	mux.Use(func(next server.RequestHandler) server.RequestHandler {
		return func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
			fmt.Println("asked for", r.Name)
			return next(ctx, r)
		}
	})
	srv := server.New(server.Options{Handler: &mux})
	c, stop := over(srv)
	defer stop()

	ctx := context.Background()
	reply, err := c.Request(ctx, "time", protocol.Text("?"))
	fmt.Println(reply.Text(), err)
	_, err = c.Request(ctx, "files.readme", protocol.Text("?"))
	fmt.Println(err)
	_, err = c.Request(ctx, "weather", protocol.Text("?"))
	fmt.Println(errors.Is(err, &protocol.Error{Code: protocol.CodeNotFound}))
	// Output:
	// asked for time
	// half past three <nil>
	// asked for files.readme
	// NO_SUCH_FILE: files.readme
	// asked for weather
	// true
}

func ExampleJSON() {
	type question struct{ A, B int }
	type answer struct{ Sum int }

	var mux server.Mux
	mux.Request("add", server.JSON(func(_ context.Context, _ *server.Request, q question) (answer, error) {
		return answer{q.A + q.B}, nil
	}))
	srv := server.New(server.Options{Handler: &mux})
	c, stop := over(srv)
	defer stop()

	ctx := context.Background()
	reply, err := client.Call[answer](ctx, c, "add", question{1, 2})
	fmt.Println(reply.Sum, err)
	_, err = c.Request(ctx, "add", protocol.Text("one and two"))
	fmt.Println(errors.Is(err, &protocol.Error{Code: protocol.CodeBadRequest}))
	// Output:
	// 3 <nil>
	// true
}

func ExampleBroadcast() {
	srv := server.New(server.Options{Hooks: server.Hooks{
		OnRequest: func(context.Context, *server.Request) (protocol.Payload, error) {
			return protocol.Text("welcome"), nil
		},
	}})
	heard := make(chan string)
	listener := memory.Listen()
	go srv.Serve(listener)
	defer srv.Close()

	ctx := context.Background()
	for range 3 {
		c := client.New(listener, client.Options{Hooks: client.Hooks{
			OnServerSignal: func(_ context.Context, s *client.Signal) { heard <- s.Name + ": " + s.Payload.Text() },
		}})
		defer c.Close()
		if _, err := c.Request(ctx, "join", protocol.Text("please")); err != nil {
			log.Fatal(err)
		}
	}
	sent, err := server.Broadcast(srv.Conns(), "news", protocol.Text("the server says hello"))
	fmt.Println(sent, err)
	for range 3 {
		fmt.Println(<-heard)
	}
	// Output:
	// 3 <nil>
	// news: the server says hello
	// news: the server says hello
	// news: the server says hello
}

// What a handler says to the client, and what only the log learns.
func ExampleRequestHandler() {
	srv := server.New(server.Options{
		Logger: discard,
		Hooks: server.Hooks{OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
			if r.Payload.Text() == "" {
				return protocol.Payload{}, &protocol.Error{Code: "EMPTY", Message: "say something"}
			}
			return protocol.Payload{}, errors.New("database at 10.0.0.7 is down")
		}},
	})
	c, stop := over(srv)
	defer stop()

	_, err := c.Request(context.Background(), "say", protocol.Text("hello"))
	fmt.Println(err, errors.Is(err, protocol.ErrInternal))
	// Output: protocol: internal error of the server true
}

// A guest gets a number as long as the connection lasts, and no more than two are let in.
// Status 4501 is final: the client of the third does not try again.
func ExampleConn_SetValue() {
	var guests atomic.Int64
	var mux server.Mux
	mux.Request("number", func(_ context.Context, r *server.Request) (protocol.Payload, error) {
		return protocol.JSON(r.Conn.Value())
	})
	srv := server.New(server.Options{
		Handler: &mux,
		Hooks: server.Hooks{OnClientConnected: func(_ context.Context, c *server.Conn) error {
			n := guests.Add(1)
			if n > 2 {
				return &transport.CloseError{Status: 4501, Reason: "the house is full"}
			}
			c.SetValue(n)
			return nil
		}},
	})
	listener := memory.Listen()
	go srv.Serve(listener)
	defer srv.Close()

	for range 3 {
		c := client.New(listener, client.Options{})
		defer c.Close()
		number, err := c.Request(context.Background(), "number", protocol.Text("?"))
		var closed *transport.CloseError
		if errors.As(err, &closed) {
			fmt.Println(closed.Status, closed.Reason)
		} else {
			fmt.Println(number.Text(), err)
		}
	}
	// Output:
	// 1 <nil>
	// 2 <nil>
	// 4501 the house is full
}

// All connections of a session get the change.
func ExampleConn_UpdateSession() {
	type cart struct{ Items []string }
	srv := server.New(server.Options{Hooks: server.Hooks{
		OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
			s, ok := r.Conn.Session()
			if !ok {
				_, err := r.Conn.CreateSession(ctx, cart{})
				return protocol.Payload{}, err
			}
			c, err := session.InfoAs[cart](s)
			if err != nil {
				return protocol.Payload{}, err
			}
			c.Items = append(c.Items, r.Payload.Text())
			_, err = r.Conn.UpdateSession(ctx, c)
			return protocol.Payload{}, err
		},
	}})
	c, stop := over(srv)
	defer stop()

	for _, item := range []string{"a cart", "tea", "cups"} {
		if _, err := c.Request(context.Background(), "add", protocol.Text(item)); err != nil {
			log.Fatal(err)
		}
	}
	s, _ := c.Session()
	fmt.Println(string(s.Info))
	// Output: {"Items":["tea","cups"]}
}

// over returns a client of srv in the same program.
func over(srv *server.Server) (c *client.Client, stop func()) {
	listener := memory.Listen()
	go srv.Serve(listener)
	c = client.New(listener, client.Options{})
	return c, func() {
		c.Close()
		srv.Close()
	}
}

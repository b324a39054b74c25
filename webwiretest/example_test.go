package webwiretest_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/webwiretest"
)

// newServer returns what these tests test: a server that greets, and answers a signal.
func newServer() *server.Server {
	var mux server.Mux
	mux.Request("greet", func(_ context.Context, r *server.Request) (protocol.Payload, error) {
		return protocol.Text("hello, " + r.Payload.Text()), nil
	})
	mux.Signal("hello", func(ctx context.Context, s *server.Signal) {
		_ = s.Conn.Signal(ctx, "welcome", s.Payload)
	})
	return server.New(server.Options{Handler: &mux})
}

func TestGreet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := webwiretest.Serve(t, newServer()).Client(client.Options{})
		reply, err := c.Request(t.Context(), "greet", protocol.Text("gopher"))
		if err != nil || reply.Text() != "hello, gopher" {
			t.Errorf("%q, %v", reply.Text(), err)
		}
	})
}

// A signal of the server is awaited.
func TestWelcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var signals webwiretest.Signals
		c := webwiretest.Serve(t, newServer()).Client(client.Options{Handler: &signals})
		if err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := c.Signal(t.Context(), "hello", protocol.Text("gopher")); err != nil {
			t.Fatal(err)
		}
		if s, err := signals.Next(t.Context()); err != nil || s.Name != "welcome" || s.Payload.Text() != "gopher" {
			t.Errorf("%+v, %v", s, err)
		}
	})
}

// A client is offline for an hour, which takes no time.
func TestOffline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link := webwiretest.Serve(t, newServer()).Link()
		c := link.Client(client.Options{})
		if err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		link.Offline()
		time.Sleep(time.Hour)
		if s := c.Status(); s != client.Connecting {
			t.Errorf("offline for an hour, the client is %v", s)
		}
		link.Online()
		if err := c.Connect(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Connections break while requests are made: the client goes on, and each request has an outcome.
func TestStormOfRequests(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := webwiretest.Serve(t, newServer())
				c := network.Client(client.Options{})
				go network.Storm(t.Context(), seed, 10*time.Second)
				for i := range 50 {
					name := fmt.Sprint("gopher ", i)
					reply, err := c.Request(t.Context(), "greet", protocol.Text(name))
					if err != nil || reply.Text() != "hello, "+name {
						t.Errorf("%s: %q, %v", name, reply.Text(), err)
					}
					time.Sleep(time.Second)
				}
				if c.Stats().Resumes == 0 {
					t.Error("no connection broke")
				}
			})
		})
	}
}

func ExampleUntil() {
	var ready atomic.Bool
	time.AfterFunc(10*time.Millisecond, func() { ready.Store(true) })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	fmt.Println(webwiretest.Until(ctx, ready.Load))

	ctx, cancel = context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	err := webwiretest.Until(ctx, func() bool { return false })
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output:
	// <nil>
	// true
}

package frameworks

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/memory"
)

// limiters holds the rate limiter of each connection.
type limiters struct {
	perSecond rate.Limit
	burst     int
	conns     sync.Map // *rate.Limiter by *server.Conn
}

// limit is middleware for server.Mux.Use: it answers requests above the rate with an error.
func (l *limiters) limit(next server.RequestHandler) server.RequestHandler {
	return func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
		limiter, ok := l.conns.Load(r.Conn)
		if !ok {
			limiter, _ = l.conns.LoadOrStore(r.Conn, rate.NewLimiter(l.perSecond, l.burst))
		}
		if !limiter.(*rate.Limiter).Allow() {
			return protocol.Payload{}, &protocol.Error{Code: "RATE_LIMIT", Message: "too many requests, try again later"}
		}
		return next(ctx, r)
	}
}

// forget is the hook OnClientDisconnected.
func (l *limiters) forget(c *server.Conn, _ error) { l.conns.Delete(c) }

// A limit on the requests of each connection.
func Example_rateLimit() {
	limits := &limiters{perSecond: 10, burst: 3}
	var mux server.Mux
	mux.Use(limits.limit)
	mux.Request("echo", func(_ context.Context, r *server.Request) (protocol.Payload, error) { return r.Payload, nil })
	srv := server.New(server.Options{Handler: &mux, Hooks: server.Hooks{OnClientDisconnected: limits.forget}})
	ln := memory.Listen()
	go srv.Serve(ln)
	defer srv.Close()

	c := client.New(ln, client.Options{})
	defer c.Close()
	for range 4 {
		_, err := c.Request(context.Background(), "echo", protocol.Text("hello"))
		fmt.Println(err)
	}
	// Output:
	// <nil>
	// <nil>
	// <nil>
	// RATE_LIMIT: too many requests, try again later
}

// Requests above the rate get the error, those within it are served, and each connection
// has a limit of its own, which goes with it.
func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := &limiters{perSecond: 100, burst: 10}
		var mux server.Mux
		mux.Use(limits.limit)
		mux.Request("echo", func(_ context.Context, r *server.Request) (protocol.Payload, error) { return r.Payload, nil })
		srv := server.New(server.Options{Handler: &mux, ResumeWindow: -1, Hooks: server.Hooks{OnClientDisconnected: limits.forget}})
		ln := memory.Listen()
		served := make(chan error, 1)
		go func() { served <- srv.Serve(ln) }()
		greedy, modest := client.New(ln, client.Options{}), client.New(ln, client.Options{})
		ok, refused := 0, 0
		began := time.Now()
		for time.Since(began) < 10*time.Second { // 1000 a second
			_, err := greedy.Request(t.Context(), "echo", protocol.Text("x"))
			var e *protocol.Error
			switch {
			case err == nil:
				ok++
			case errors.As(err, &e) && e.Code == "RATE_LIMIT":
				refused++
			default:
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		fmt.Printf("figure: request rate per connection = %d of %d requests served in 10 s, %d answered with the error (bar excess answered with an application error)\n", ok, ok+refused, refused)
		if ok < 1000 || ok > 1011 {
			t.Errorf("%d requests were served at 100 a second in 10 s, and 10 at once", ok)
		}
		for range 10 {
			if _, err := modest.Request(t.Context(), "echo", protocol.Text("x")); err != nil {
				t.Errorf("another connection: %v", err)
			}
		}
		greedy.Close()
		modest.Close()
		srv.Shutdown(t.Context())
		<-served
		limits.conns.Range(func(c, _ any) bool {
			t.Error("the limiter of a connection that has ended is kept")
			return true
		})
	})
}

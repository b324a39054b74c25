package client_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// asked returns a connected client whose handler is running, and the server's end of the
// connection. The requests before that are quick, so that the goroutine that reads may run
// the handler itself.
func asked(t *testing.T, before int, opts client.Options, handler client.RequestHandler) (*client.Client, *server.Conn) {
	t.Helper()
	conns := make(chan *server.Conn, 10)
	_, ln := serve(t, server.Options{Logger: discard, ResumeWindow: -1, Hooks: server.Hooks{
		OnRequest:         echo,
		OnClientConnected: func(_ context.Context, c *server.Conn) error { conns <- c; return nil },
	}})
	var mux client.Mux
	mux.Request("quick", func(context.Context, *client.Request) (p protocol.Payload, err error) { return p, nil })
	mux.Request("slow", handler)
	opts.Logger, opts.Handler = discard, &mux
	c := dial(t, ln, opts)
	if err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn := <-conns
	for range before {
		if _, err := conn.Request(t.Context(), "quick", text("x")); err != nil {
			t.Fatal(err)
		}
	}
	go conn.Request(context.Background(), "slow", text("x"))
	synctest.Wait()
	return c, conn
}

// A handler that runs on after its connection was lost does not keep the client from the
// next one, which it may need itself.
func TestHandlerOutlivesConnection(t *testing.T) {
	for _, before := range []int{0, 1000} {
		bubble(t, func(t *testing.T) {
			start := time.Now()
			var lost, again time.Duration
			replied := make(chan error, 1)
			c, conn := asked(t, before, client.Options{Hooks: client.Hooks{
				OnConnected:    func(context.Context) { again = time.Since(start) },
				OnDisconnected: func(context.Context, error) { lost = time.Since(start) },
			}}, func(ctx context.Context, r *client.Request) (protocol.Payload, error) {
				<-ctx.Done()
				p, err := r.Client.Request(after(t, 10*time.Minute), "echo", text("x"))
				if err == nil {
					time.Sleep(time.Hour)
				}
				replied <- err
				return p, err
			})
			time.Sleep(time.Second)
			conn.Abort()
			time.Sleep(time.Minute)
			if s := c.Status(); s != client.Connected || lost != time.Second || again <= lost {
				t.Errorf("%v; lost after %v, connected again after %v", s, lost, again)
			}
			if err := <-replied; err != nil {
				t.Errorf("the handler's own request: %v", err)
			}
			if s := c.Stats(); s.Connects != 2 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// Close and Shutdown may be called by handlers of the server's requests.
func TestCloseInHandler(t *testing.T) {
	for _, before := range []int{0, 1000} {
		for name, end := range map[string]func(*client.Client) error{
			"Close":    (*client.Client).Close,
			"Shutdown": func(c *client.Client) error { return c.Shutdown(context.Background()) },
		} {
			bubble(t, func(t *testing.T) {
				start, closed := time.Now(), make(chan error, 1)
				c, _ := asked(t, before, client.Options{}, func(_ context.Context, r *client.Request) (p protocol.Payload, err error) {
					closed <- end(r.Client)
					return p, nil
				})
				if err := <-closed; err != nil || c.Status() != client.Closed {
					t.Errorf("%s: %v, the client is %v", name, err, c.Status())
				}
				took(t, name, start, 0, 5*time.Second)
			})
		}
	}
}

// Close ends the contexts of handlers and does not wait for them.
func TestCloseDoesNotAwaitHandlers(t *testing.T) {
	for _, before := range []int{0, 1000} {
		bubble(t, func(t *testing.T) {
			start, cancelled := time.Now(), make(chan struct{})
			c, _ := asked(t, before, client.Options{}, func(ctx context.Context, _ *client.Request) (p protocol.Payload, err error) {
				<-ctx.Done()
				close(cancelled)
				time.Sleep(time.Hour)
				return p, nil
			})
			c.Close()
			took(t, "Close", start, 0, 5*time.Second)
			<-cancelled
			time.Sleep(2 * time.Hour) // until the handler has returned
		})
	}
}

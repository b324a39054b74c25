package client_test

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/transporttest"
)

func TestConnectsWhenUsed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		n.serve(server.Options{})
		c := n.client(client.Options{})
		synctest.Wait()
		if s := c.Status(); s != client.Disconnected || len(n.dialled()) != 0 {
			t.Errorf("an unused client is %v after %d dials", s, len(n.dialled()))
		}
		request(t, c)
		request(t, c)
		if s := c.Status(); s != client.Connected || len(n.dialled()) != 1 {
			t.Errorf("a used client is %v after %d dials", s, len(n.dialled()))
		}
	})
}

func TestRequestWaitsForTheConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		c := n.client(client.Options{})

		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if _, err := c.Request(ctx, "echo", text("x")); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Request with a deadline: %v", err)
		}
		took(t, "Request with a deadline", start, 3*time.Second, 3*time.Second)

		start = time.Now()
		_, err := c.Request(context.Background(), "echo", text("x"))
		var late *client.TimeoutError
		if !errors.As(err, &late) || late.After != time.Minute || !errors.Is(err, context.DeadlineExceeded) ||
			!errors.Is(err, syscall.ECONNREFUSED) || !strings.Contains(err.Error(), "within 1m0s") {
			t.Errorf("Request without a deadline: %v", err)
		}
		took(t, "Request without a deadline", start, time.Minute, time.Minute)

		time.AfterFunc(20*time.Second, func() { n.serve(server.Options{}) })
		start = time.Now()
		request(t, c)
		took(t, "Request before the server was there", start, 20*time.Second, 30*time.Second)

		for name, call := range waiting {
			n.away()
			n.near().Cut()
			synctest.Wait()
			time.AfterFunc(2*time.Second, func() { n.serve(server.Options{}) })
			if err := call(c); errors.Is(err, client.ErrDisconnected) || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s did not wait: %v", name, err)
			}
		}
	})
}

// waiting are the calls that wait for a connection.
var waiting = map[string]func(*client.Client) error{
	"Request": func(c *client.Client) error {
		_, err := c.Request(context.Background(), "echo", text("x"))
		return err
	},
	"Call": func(c *client.Client) error {
		_, err := client.Call[string](context.Background(), c, "echo", "x")
		return err
	},
	"RestoreSession": func(c *client.Client) error { return c.RestoreSession(context.Background(), "key") },
}

func TestSignalDoesNotWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		n.serve(server.Options{})
		c := n.client(client.Options{})
		start := time.Now()
		if err := c.Signal(t.Context(), "s", text("x")); !errors.Is(err, client.ErrDisconnected) {
			t.Errorf("Signal: %v", err)
		}
		took(t, "Signal", start, 0, 0)
		synctest.Wait()
		if s := c.Status(); s != client.Connected {
			t.Errorf("after a Signal the client is %v", s)
		}
		if err := c.Signal(t.Context(), "s", text("x")); err != nil {
			t.Errorf("second Signal: %v", err)
		}
	})
}

func TestDisableAutoconnect(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		c := n.client(client.Options{DisableAutoconnect: true})
		refuses := func(when string) {
			t.Helper()
			before, start := len(n.dialled()), time.Now()
			for name, call := range waiting {
				if err := call(c); !errors.Is(err, client.ErrDisconnected) {
					t.Errorf("%s: %s: %v", when, name, err)
				}
			}
			if err := c.Signal(t.Context(), "s", text("x")); !errors.Is(err, client.ErrDisconnected) {
				t.Errorf("%s: Signal: %v", when, err)
			}
			time.Sleep(time.Hour)
			took(t, when, start, time.Hour, time.Hour)
			if s := c.Status(); s != client.Disconnected || len(n.dialled()) != before {
				t.Errorf("%s: the client is %v after %d dials", when, s, len(n.dialled())-before)
			}
		}
		refuses("never connected")
		if err := c.Connect(t.Context()); !errors.Is(err, syscall.ECONNREFUSED) || len(n.dialled()) != 1 {
			t.Errorf("Connect: %v after %d dials", err, len(n.dialled()))
		}
		refuses("failed to connect")
		n.serve(server.Options{})
		connect(t, c)
		request(t, c)
		n.near().Cut()
		synctest.Wait()
		refuses("lost the connection")
	})
}

// Every attempt to connect is bounded, whatever it hangs at.
func TestDialIsBounded(t *testing.T) {
	for _, c := range []struct {
		name string
		dial func(ctx context.Context) (transport.Conn, error)
	}{
		{"dialling", func(ctx context.Context) (transport.Conn, error) {
			return nil, transporttest.Hanging(ctx)
		}},
		{"agreeing", func(context.Context) (transport.Conn, error) { return deaf(), nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var dials []time.Time
				cl := closeAtEnd(t, client.New(dialerFunc(func(ctx context.Context, _ transport.DialOptions) (transport.Conn, error) {
					dials = append(dials, time.Now())
					return c.dial(ctx)
				}), client.Options{Versions: []protocol.Version{protocol.V2_0}, DialTimeout: 3 * time.Second, MinBackoff: 1, MaxBackoff: 1}))
				ctx, cancel := context.WithTimeout(t.Context(), 31*time.Second)
				defer cancel()
				if err := cl.Connect(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Connect: %v", err)
				}
				cl.Close()
				if len(dials) != 11 {
					t.Errorf("%d attempts of 3s within 31s", len(dials))
				}
			})
		})
	}
}

// A session whose restoring is not answered costs the connection, in time.
func TestRestoringIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		store := &session.MemoryStore{}
		n.serve(server.Options{Sessions: store, Hooks: server.Hooks{OnRequest: login}})
		c := n.client(client.Options{DialTimeout: 3 * time.Second})
		if _, err := c.Request(t.Context(), "login", text("x")); err != nil {
			t.Fatal(err)
		}
		before := len(n.dialled())
		silent := true
		n.away()
		n.near().Cut()
		n.serve(server.Options{Sessions: store, Hooks: server.Hooks{OnSessionLookup: hangWhile(&silent)}})
		time.Sleep(time.Minute)
		if tries := len(n.dialled()) - before; tries < 5 || tries > 40 || c.Status() != client.Connecting {
			t.Errorf("%d attempts within a minute, the client is %v", tries, c.Status())
		}
	})
}

// A server that shuts down says so, and its clients come back when there is one again.
func TestServerIsReplaced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		srv := n.serve(server.Options{})
		reasons := make(chan error, 1)
		c := n.client(client.Options{Hooks: client.Hooks{OnDisconnected: func(_ context.Context, reason error) {
			select {
			case reasons <- reason:
			default: // the end of the test
			}
		}}})
		connect(t, c)
		if err := srv.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		var closed *transport.CloseError
		err := <-reasons
		if !errors.Is(err, protocol.ErrShutdown) && (!errors.As(err, &closed) || closed.Status != transport.StatusGoingAway) {
			t.Errorf("OnDisconnected was told %v", err)
		}
		time.Sleep(5 * time.Second)
		n.serve(server.Options{})
		start := time.Now()
		request(t, c)
		took(t, "coming back", start, 0, 10*time.Second)
	})
}

package client_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/transporttest"
)

var refusedForGood = transporttest.Answering(410, 0)

func TestStatusCanBeWatched(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		n.serve(server.Options{})
		c := n.client(client.Options{})
		seen := make(chan []client.Status, 1)
		before := c.Status()
		go func() {
			var all []client.Status
			for s := before; s != client.Closed; {
				var err error
				if s, err = c.AwaitChange(t.Context(), s); err != nil {
					t.Errorf("AwaitChange: %v", err)
				}
				all = append(all, s)
			}
			seen <- all
		}()
		connect(t, c)
		synctest.Wait()
		n.near().Cut()
		time.Sleep(time.Minute)
		c.Close()
		// A dial over this network takes no time, so that Connecting may be missed
		// the first time.
		all := <-seen
		want := []client.Status{client.Connecting, client.Connected, client.Connecting, client.Connected, client.Closed}
		if !slices.Equal(all, want) && !slices.Equal(all, want[1:]) {
			t.Errorf("%v, want %v", all, want)
		}

		if s, err := c.AwaitChange(t.Context(), client.Closed); s != client.Closed || err != client.ErrClosed {
			t.Errorf("AwaitChange from Closed: %v, %v", s, err)
		}
		if s, err := c.AwaitChange(t.Context(), client.Connected); s != client.Closed || err != nil {
			t.Errorf("AwaitChange after the fact: %v, %v", s, err)
		}
	})
}

// Close may come at any moment, from many at once, and ends everything.
func TestCloseAtAnyMoment(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(t *testing.T, n *network) *client.Client
		took time.Duration
	}{
		{"unused", func(t *testing.T, n *network) *client.Client {
			return n.client(client.Options{})
		}, 0},
		{"dialling", func(t *testing.T, n *network) *client.Client {
			n.faults.Refuse(transporttest.Hanging)
			return n.client(client.Options{})
		}, 0},
		{"agreeing", func(t *testing.T, n *network) *client.Client {
			return closeAtEnd(t, client.New(dialerFunc(func(context.Context, transport.DialOptions) (transport.Conn, error) {
				return deaf(), nil
			}), client.Options{Versions: []protocol.Version{protocol.V2_0}}))
		}, 0},
		{"backing off", func(t *testing.T, n *network) *client.Client {
			n.faults.Refuse(transporttest.Unavailable(time.Hour))
			return n.client(client.Options{})
		}, 0},
		{"connected", func(t *testing.T, n *network) *client.Client {
			c := n.client(client.Options{})
			connect(t, c)
			return c
		}, 0},
		{"connected to nobody", func(t *testing.T, n *network) *client.Client {
			c := n.client(client.Options{})
			connect(t, c)
			n.dialling().Vanish(true, true)
			return c
		}, 4 * time.Second},
		{"gave up", func(t *testing.T, n *network) *client.Client {
			n.faults.Refuse(refusedForGood)
			c := n.client(client.Options{})
			if err := c.Connect(t.Context()); err == nil {
				t.Error("connected")
			}
			return c
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				n := newNetwork(t)
				n.serve(server.Options{Hooks: server.Hooks{OnRequest: signals(0)}})
				cl := c.make(t, n)
				waiting := make(chan error, 10)
				if c.name != "unused" && c.name != "gave up" {
					for range 3 {
						go func() {
							_, err := cl.Request(context.Background(), "echo", text("x"))
							if c.name == "connected" && err == nil {
								err = client.ErrClosed
							}
							waiting <- err
						}()
					}
				} else {
					for range 3 {
						waiting <- client.ErrClosed
					}
				}
				synctest.Wait()
				start := time.Now()
				var closing sync.WaitGroup
				for range 4 {
					closing.Go(func() {
						if err := cl.Close(); err != nil {
							t.Errorf("Close: %v", err)
						}
					})
				}
				closing.Wait()
				took(t, "Close", start, 0, c.took)
				for range 3 {
					if err := <-waiting; !errors.Is(err, client.ErrClosed) {
						t.Errorf("a request that waited: %v", err)
					}
				}
				if _, err := cl.Request(t.Context(), "echo", text("x")); err != client.ErrClosed {
					t.Errorf("Request after Close: %v", err)
				}
				if err := cl.Signal(t.Context(), "s", text("x")); err != client.ErrClosed {
					t.Errorf("Signal after Close: %v", err)
				}
				if err := cl.Connect(t.Context()); err != client.ErrClosed {
					t.Errorf("Connect after Close: %v", err)
				}
				if err := cl.CloseSession(t.Context()); err != client.ErrClosed {
					t.Errorf("CloseSession after Close: %v", err)
				}
				if s := cl.Status(); s != client.Closed || cl.Stats().PendingRequests != 0 {
					t.Errorf("the client is %v, %d requests are pending", s, cl.Stats().PendingRequests)
				}
			})
		})
	}
}

// Both sides count the same.
func TestStats(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		srv := n.serve(server.Options{Hooks: server.Hooks{OnRequest: signals(3)}})
		c := n.client(client.Options{})
		for range 2 {
			for _, name := range []string{"signals", "login", "logout", "echo"} {
				if _, err := c.Request(t.Context(), name, text("x")); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			if err := c.Signal(t.Context(), "s", text("x")); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			n.near().Cut()
			synctest.Wait()
		}
		connect(t, c)
		synctest.Wait()
		near, far := c.Stats(), srv.Stats()
		if near.Sent != far.Received || near.Received != far.Sent ||
			near.BytesSent != far.BytesReceived || near.BytesReceived != far.BytesSent {
			t.Errorf("client %+v, server %+v", near, far)
		}
		if near.Connects != 3 || near.Attempts != 3 || far.Accepted != 3 || far.Open != 1 || far.Sessions != 0 || far.InFlight != 0 {
			t.Errorf("client %+v, server %+v", near, far)
		}
		if near.Dropped != 6 || far.Dropped != 2 { // signals without hooks
			t.Errorf("dropped %d and %d", near.Dropped, far.Dropped)
		}
	})
}

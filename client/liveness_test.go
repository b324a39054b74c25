package client_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// A peer that is gone is noticed on both sides within the read timeout and an
// eighth, whichever direction is lost, with nothing to do and with much.
func TestSilentPeerIsNoticed(t *testing.T) {
	const usual = 30 * time.Second
	for _, c := range []struct {
		name    string
		in, out bool
		timeout time.Duration // zero: the default
		load    func(ctx context.Context, c *client.Client, srv *server.Server)
	}{
		{"idle", true, true, 0, nil},
		{"idle, nothing arrives", true, false, 0, nil},
		{"idle, nothing leaves", false, true, 0, nil},
		{"idle, short timeout", true, true, 4 * time.Second, nil},
		{"writing", true, true, 0, write},
		{"writing, nothing arrives", true, false, 0, write},
		{"writing, nothing leaves", false, true, 0, write},
		{"writing, short timeout", true, true, 4 * time.Second, write},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				n := newNetwork(t)
				limit := c.timeout
				if limit == 0 {
					limit = usual
				}
				limit += limit / 8
				type end struct {
					who    string
					reason error
					at     time.Time
				}
				ends := make(chan end, 10)
				srv := n.serve(server.Options{ReadTimeout: c.timeout, Hooks: server.Hooks{
					OnClientDisconnected: func(_ *server.Conn, reason error) { ends <- end{"server", reason, time.Now()} },
				}})
				cl := n.client(client.Options{ReadTimeout: c.timeout, DisableAutoconnect: true, Hooks: client.Hooks{
					OnDisconnected: func(_ context.Context, reason error) { ends <- end{"client", reason, time.Now()} },
				}})
				connect(t, cl)
				time.Sleep(time.Hour + 7*time.Second)
				if len(ends) > 0 {
					t.Fatalf("lost before anything happened: %v", <-ends)
				}
				n.dialling().Vanish(c.in, c.out)
				start := time.Now()
				ctx, stop := context.WithCancel(t.Context())
				var loading sync.WaitGroup
				defer loading.Wait()
				defer stop()
				if c.load != nil {
					loading.Go(func() { c.load(ctx, cl, srv) })
				}
				timeouts := 0
				for range 2 {
					e := <-ends
					if d := e.at.Sub(start); d > limit {
						t.Errorf("the %s noticed after %v, the limit is %v: %v", e.who, d, limit, e.reason)
					}
					if errors.Is(e.reason, os.ErrDeadlineExceeded) {
						timeouts++
					}
				}
				if timeouts == 0 {
					t.Error("nobody noticed by itself")
				}
			})
		})
	}
}

// write keeps both sides busy.
func write(ctx context.Context, c *client.Client, srv *server.Server) {
	for ctx.Err() == nil {
		go c.Request(ctx, "echo", text("x"))
		_ = c.Signal(ctx, "s", text("x"))
		for conn := range srv.Conns() {
			_ = conn.Signal(ctx, "s", text("x"))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// The requests of a connection that fell silent learn of it in time.
func TestRequestOverSilentConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		n.serve(server.Options{})
		c := n.client(client.Options{})
		connect(t, c)
		n.dialling().Vanish(true, true)
		out := <-begin(context.Background(), c, "echo", "x")
		wantLost(t, "the request", out, true, os.ErrDeadlineExceeded)
		if out.took > 33750*time.Millisecond {
			t.Errorf("it took %v", out.took)
		}
		request(t, c) // over a new connection
	})
}

// A connection that is not used lives for ever, whatever version is spoken, and
// whatever the two sides' timeouts are.
func TestIdleConnectionLives(t *testing.T) {
	for _, v := range protocol.Versions() {
		all := [][2]time.Duration{{0, 0}}
		if v == protocol.V1_2 || v == protocol.V2_0 {
			all = append(all, [2]time.Duration{5 * time.Second, 0}, [2]time.Duration{0, 5 * time.Second})
		}
		for _, timeouts := range all {
			t.Run(fmt.Sprint(v, timeouts), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					n := newNetwork(t)
					srv := n.serve(server.Options{Version: v, ReadTimeout: timeouts[0]})
					c := n.client(client.Options{Versions: []protocol.Version{v}, ReadTimeout: timeouts[1]})
					connect(t, c)
					time.Sleep(time.Hour)
					request(t, c)
					if s := srv.Stats(); s.Accepted != 1 || s.Open != 1 || c.Stats().Connects != 1 {
						t.Errorf("%+v, %+v", s, c.Stats())
					}
					synctest.Wait()
				})
			})
		}
	}
}

package handover_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
)

// hooks note what a node does.
func (b *book) hooks(i int) server.Hooks {
	return server.Hooks{
		OnClientConnected: func(_ context.Context, c *server.Conn) error {
			b.note("%d: connected", i)
			c.SetValue("mine")
			return nil
		},
		OnClientBack: func(_ context.Context, c *server.Conn) error {
			b.note("%d: back, moved %t, value %v", i, c.Info().Moved, c.Value())
			c.SetValue("mine again")
			return nil
		},
		OnClientAway:         func(*server.Conn, error) { b.note("%d: away", i) },
		OnClientDisconnected: func(_ *server.Conn, reason error) { b.note("%d: disconnected: %v", i, reason) },
		OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
			b.note("%d: %s %s", i, r.Name, r.Payload.Text())
			takes := map[string]time.Duration{"slow": 5 * time.Second, "long": 30 * time.Second}
			if err := sleep(ctx, takes[r.Name]); err != nil {
				return protocol.Payload{}, err
			}
			return text(fmt.Sprintf("%s from %d", r.Payload.Text(), i)), nil
		},
		OnSignal: func(_ context.Context, s *server.Signal) { b.note("%d: signal %s", i, s.Name) },
	}
}

func (b *book) signals() client.Hooks {
	return client.Hooks{
		OnServerSignal: func(_ context.Context, s *client.Signal) { b.note("client: signal %s", s.Name) },
		OnGap:          func(_ context.Context, g client.Gap) { b.note("client: gap %+v", g) },
		OnDisconnected: func(context.Context, error) { b.note("client: disconnected") },
	}
}

func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// A connection goes on at the node to which its client comes back: what was in flight in
// both directions arrives once, and the hooks of both nodes know.
func TestMove(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := new(book)
		c := newCluster(t, 2, func(i int) server.Options { return server.Options{Hooks: b.hooks(i)} })
		m := c.join(0, client.Options{Hooks: b.signals()})
		if a := <-m.ask(t.Context(), "quick", "x"); a.String() != "x from 0" {
			t.Error(a)
		}
		b.want(t, "0: connected", "0: quick x")
		m.route.goTo(1)
		m.route.cut()
		synctest.Wait()
		for conn := range c.node(0).Conns() {
			if err := conn.Signal(t.Context(), "missed", text("x")); err != nil {
				t.Error(err)
			}
		}
		if err := m.Signal(t.Context(), "sent", text("x")); err != nil {
			t.Error(err)
		}
		asked := m.ask(t.Context(), "quick", "y")
		m.connect(t)
		if a := <-asked; a.String() != "y from 1" {
			t.Error(a)
		}
		b.want(t, "0: away", "1: back, moved true, value <nil>", "0: disconnected: server: the connection has moved to another node",
			"client: signal missed", "1: signal sent", "1: quick y")
		if s := m.Stats(); s.Resumes != 1 || s.Connects != 1 {
			t.Errorf("%d resumes, %d connections", s.Resumes, s.Connects)
		}
		// And back again.
		m.move(t, 0)
		if a := <-m.ask(t.Context(), "quick", "z"); a.String() != "z from 0" {
			t.Error(a)
		}
		b.want(t, "1: away", "0: back, moved true, value <nil>", "1: disconnected: server: the connection has moved to another node", "0: quick z")
		for i := range 2 {
			if n := c.node(i).Stats().Open; n != 1-i {
				t.Errorf("node %d has %d connections", i, n)
			}
		}
	})
}

// The reply of a handler that runs when its connection moves arrives, however often the
// connection moves.
func TestHandlerOfBefore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := new(book)
		c := newCluster(t, 3, func(i int) server.Options { return server.Options{Hooks: b.hooks(i)} })
		m := c.join(0, client.Options{Hooks: b.signals()})
		asked := m.ask(t.Context(), "slow", "x")
		synctest.Wait()
		m.move(t, 1)
		m.move(t, 2)
		if a := <-m.ask(t.Context(), "quick", "y"); a.String() != "y from 2" {
			t.Error(a)
		}
		if a := <-asked; a.String() != "x from 0" {
			t.Error(a)
		}
		b.want(t, "0: connected", "0: slow x",
			"0: away", "1: back, moved true, value <nil>",
			"1: away", "2: back, moved true, value <nil>", "1: disconnected: server: the connection has moved to another node",
			"2: quick y", "0: disconnected: server: the connection has moved to another node")
	})
}

// A handler that runs at the node before can go on to use its connection: it sends signals
// and asks the client, the client cancels it, and reads its stream.
func TestHandlerOfBeforeUsesTheConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := new(book)
		var mux server.Mux
		mux.Request("work", func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
			if err := sleep(ctx, 3*time.Second); err != nil {
				return protocol.Payload{}, err
			}
			if err := r.Conn.Signal(ctx, "progress", text("x")); err != nil {
				return protocol.Payload{}, err
			}
			return r.Conn.Request(ctx, "which", text("?"))
		})
		mux.Request("forever", func(ctx context.Context, _ *server.Request) (protocol.Payload, error) {
			<-ctx.Done()
			b.note("cancelled: %v", context.Cause(ctx))
			return protocol.Payload{}, ctx.Err()
		})
		mux.Stream("tail", func(ctx context.Context, r *server.Request, send func(protocol.Payload) error) error {
			for i := range 100 {
				if err := send(text(fmt.Sprint(i) + strings.Repeat("-", 2000))); err != nil {
					return err
				}
				if err := sleep(ctx, 50*time.Millisecond); err != nil {
					return err
				}
			}
			return nil
		})
		c := newCluster(t, 2, func(int) server.Options { return server.Options{Handler: &mux} })
		var own client.Mux
		own.Request("which", func(context.Context, *client.Request) (protocol.Payload, error) { return text("this"), nil })
		m := c.join(0, client.Options{Hooks: b.signals(), Handler: &own})
		asked := m.ask(t.Context(), "work", "")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		forever := m.ask(ctx, "forever", "")
		items := make(chan int)
		go func() {
			n := 0
			for p, err := range m.Stream(t.Context(), "tail", text("x")) {
				if err != nil || !strings.HasPrefix(p.Text(), fmt.Sprint(n)+"-") {
					t.Errorf("item %d: %q, %v", n, p.Text(), err)
					break
				}
				n++
			}
			items <- n
		}()
		time.Sleep(time.Second)
		m.move(t, 1)
		cancel()
		if a := <-forever; !errors.Is(a.err, context.Canceled) {
			t.Error(a)
		}
		b.want(t, "cancelled: webwire: the requester gave up")
		if a := <-asked; a.String() != "this" {
			t.Error(a)
		}
		b.want(t, "client: signal progress")
		if n := <-items; n != 100 {
			t.Errorf("%d items", n)
		}
		synctest.Wait()
		if n := c.node(0).Stats().Open; n != 0 {
			t.Errorf("node 0 has %d connections", n)
		}
	})
}

// What waits for its turn is executed once, at one of the nodes.
func TestQueuedRequests(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := new(book)
		c := newCluster(t, 2, func(i int) server.Options { return server.Options{Hooks: b.hooks(i), Concurrency: 1} })
		m := c.join(0, client.Options{Hooks: b.signals()})
		var asked []<-chan answer
		for i, name := range []string{"slow", "quick", "quick"} {
			asked = append(asked, m.ask(t.Context(), name, fmt.Sprint(i)))
			synctest.Wait()
		}
		b.want(t, "0: connected", "0: slow 0")
		m.move(t, 1)
		for i, want := range []string{"0 from 0", "1 from 1", "2 from 1"} {
			if a := <-asked[i]; a.String() != want {
				t.Errorf("%v, want %s", a, want)
			}
		}
		b.want(t, "0: away", "1: back, moved true, value <nil>", "1: quick 1", "1: quick 2",
			"0: disconnected: server: the connection has moved to another node")
	})
}

// The session moves with its connection.
func TestSessionMoves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mux server.Mux
		mux.Request("login", func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
			_, err := r.Conn.CreateSession(ctx, map[string]string{"name": r.Payload.Text()})
			return protocol.Payload{}, err
		})
		mux.Request("who", func(_ context.Context, r *server.Request) (protocol.Payload, error) {
			s, _ := r.Conn.Session()
			return text(string(s.Info)), nil
		})
		c := newCluster(t, 2, func(int) server.Options { return server.Options{Handler: &mux} })
		m := c.join(0, client.Options{})
		if a := <-m.ask(t.Context(), "login", "ann"); a.err != nil {
			t.Fatal(a)
		}
		before, _ := m.Session()
		key := before.Key
		m.move(t, 1)
		if a := <-m.ask(t.Context(), "who", ""); a.String() != `{"name":"ann"}` {
			t.Error(a)
		}
		for i := range 2 {
			n := 0
			for range c.node(i).SessionConns(key) {
				n++
			}
			if n != i {
				t.Errorf("%d connections of node %d have the session", n, i)
			}
		}
		// It is closed while the connection is on its way.
		m.route.goTo(0)
		m.route.cut()
		synctest.Wait()
		if err := c.engine.Sessions.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		m.connect(t)
		synctest.Wait()
		if s, ok := m.Session(); ok {
			t.Errorf("the client has the session %v", s)
		}
	})
}

// What ends with the credentials ends at the node to which the connection has moved.
func TestExpiryMoves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := new(book)
		c := newCluster(t, 2, func(i int) server.Options {
			return server.Options{Hooks: server.Hooks{
				OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
					r.Conn.ExpiresAt(time.Now().Add(10 * time.Second))
					return protocol.Payload{}, nil
				},
				OnClientDisconnected: func(_ *server.Conn, reason error) { b.note("%d: disconnected: %v", i, reason) },
			}}
		})
		m := c.join(0, client.Options{})
		if a := <-m.ask(t.Context(), "sign in", ""); a.err != nil {
			t.Fatal(a)
		}
		m.move(t, 1)
		time.Sleep(8 * time.Second)
		b.want(t, "0: disconnected: server: the connection has moved to another node")
		time.Sleep(2 * time.Second)
		b.want(t, "1: disconnected: server: credentials expired")
	})
}

// A handler that runs at the node before closes the connection, or lets it expire, where it is.
func TestHandlerOfBeforeEndsTheConnection(t *testing.T) {
	for name, want := range map[string]string{
		"close":  "1: disconnected: server: connection closed (4500): banned",
		"abort":  "1: disconnected: server: connection closed",
		"expire": "1: disconnected: server: credentials expired",
	} {
		bubble(t, func(t *testing.T) {
			b := new(book)
			statuses := make(chan error, 10)
			c := newCluster(t, 2, func(i int) server.Options {
				return server.Options{Hooks: server.Hooks{
					OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
						if err := sleep(ctx, 5*time.Second); err != nil {
							return protocol.Payload{}, err
						}
						switch r.Name {
						case "close":
							r.Conn.Close(4500, "banned")
						case "abort":
							r.Conn.Abort()
						case "expire":
							r.Conn.ExpiresAt(time.Now())
						}
						return text("done"), nil
					},
					OnClientDisconnected: func(_ *server.Conn, reason error) {
						if i == 1 {
							b.note("%d: disconnected: %v", i, reason)
						}
					},
				}}
			})
			m := c.join(0, client.Options{Hooks: client.Hooks{
				OnDisconnected: func(_ context.Context, err error) { statuses <- err },
			}})
			asked := m.ask(t.Context(), name, "")
			synctest.Wait()
			m.move(t, 1)
			<-asked
			err := <-statuses
			var closed *transport.CloseError
			if name == "close" && (!errors.As(err, &closed) || closed.Status != 4500 || closed.Reason != "banned") {
				t.Errorf("the client is disconnected by %v", err)
			}
			b.want(t, want)
		})
	}
}

func TestDeadlineOfWaitingRequest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC))) // processes are older than deadlines
		b := new(book)
		c := newCluster(t, 2, func(i int) server.Options { return server.Options{Hooks: b.hooks(i), Concurrency: 1} })
		m := c.join(0, client.Options{Hooks: b.signals()})
		asked := m.ask(t.Context(), "long", "x")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		waits := m.ask(ctx, "slow", "y")
		synctest.Wait()
		m.move(t, 1)
		if a := <-waits; a.String() != "y from 1" {
			t.Error(a)
		}
		if a := <-asked; a.String() != "x from 0" {
			t.Error(a)
		}
	})
}

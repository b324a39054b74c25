package natsengine_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// move has the client of the connection that is chosen come back at once, to another node.
func (ns *nodes) move(chosen func(*server.Conn) bool) {
	ns.t.Helper()
	for i := range ns.servers {
		for conn := range ns.server(i).Conns() {
			if chosen(conn) {
				conn.ExpiresAt(time.Now())
				return // the next node may have it already
			}
		}
	}
	ns.t.Fatal("no node has the connection")
}

// A connection moves from node to node over NATS, and back, with all that belongs to it: a
// handler that runs, whose reply is longer than a message of NATS, a session, a subscription.
func TestHandover(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var executed atomic.Int32
	large := strings.Repeat("large ", 400_000)
	ns := shared(3).serve(t, 2, server.Options{
		Topics: func(string) server.TopicOptions { return server.TopicOptions{History: true} },
		Hooks: server.Hooks{
			OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
				switch r.Name {
				case "sign in":
					return signIn(ctx, r)
				case "slow":
					executed.Add(1)
					select {
					case <-release:
						return protocol.Text(large), nil
					case <-ctx.Done():
						return protocol.Payload{}, context.Cause(ctx)
					}
				}
				s, _ := r.Conn.Session()
				return protocol.Text(string(s.Info)), nil
			},
			OnClientConnected: func(context.Context, *server.Conn) error { return nil },
			OnClientBack:      func(context.Context, *server.Conn) error { return nil },
		},
	})
	c := ns.client(ns, client.Options{MaxMessageSize: 16 << 20, Hooks: client.Hooks{
		OnGap: func(_ context.Context, g client.Gap) { t.Errorf("gap %+v", g) },
	}})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	request := func(name, payload string) (string, error) {
		reply, err := c.Request(ctx, name, protocol.Text(payload))
		return reply.Text(), err
	}
	if _, err := request("sign in", "ann"); err != nil {
		t.Fatal(err)
	}
	room := subscribe(t, c, "room")
	slow := make(chan error, 1)
	go func() {
		reply, err := request("slow", "")
		if err == nil && reply != large {
			err = errors.New("another reply")
		}
		slow <- err
	}()
	eventually(t, 20*time.Second, "the handler", func() bool { return executed.Load() == 1 })
	for move := range 3 {
		ns.publish(0, "room", "before")
		ns.move(func(*server.Conn) bool { return true })
		ns.publish(1, "room", "after")
		eventually(t, 20*time.Second, "the client to be back", func() bool { return c.Stats().Resumes > uint64(move) })
		if info, err := request("who", ""); err != nil || info != `{"name":"ann"}` {
			t.Errorf("after move %d: %q, %v", move+1, info, err)
		}
	}
	close(release)
	if err := <-slow; err != nil {
		t.Error(err)
	}
	if got := strings.Join(room.all(t, 6), " "); got != "before after before after before after" {
		t.Errorf("got %s", got)
	}
	if s := c.Stats(); s.Connects != 1 || executed.Load() != 1 {
		t.Errorf("%d connections, executed %d times", s.Connects, executed.Load())
	}
	eventually(t, 20*time.Second, "one connection to be left", func() bool {
		return ns.server(0).Stats().Open+ns.server(1).Stats().Open == 1
	})
}

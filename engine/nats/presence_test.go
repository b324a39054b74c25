package natsengine_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// presenceOf notes which presence events a client gets of a topic until the test ends.
func presenceOf(t *testing.T, c *client.Client, topic string) (events func() []client.PresenceEvent) {
	t.Helper()
	var mu sync.Mutex
	var got []client.PresenceEvent
	sub, err := c.Subscribe(context.Background(), topic, client.SubscribeOptions{Presence: func(e client.PresenceEvent) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, e)
	}})
	if err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		for _, err := range sub.Messages(context.Background()) {
			if err != nil {
				return // it is closed
			}
		}
	})
	t.Cleanup(func() {
		sub.Close()
		reading.Wait()
	})
	return func() []client.PresenceEvent {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(got)
	}
}

// A member whose connection moves from node to node stays a member, with the same id: neither
// the others nor it itself are told anything.
func TestPresenceMoves(t *testing.T) {
	t.Parallel()
	ns := shared(3).serve(t, 3, server.Options{
		Topics: func(string) server.TopicOptions { return server.TopicOptions{History: true, Presence: true} },
		Hooks: server.Hooks{
			OnRequest:    signIn,
			OnClientBack: func(context.Context, *server.Conn) error { return nil }, // else new credentials are needed
		},
	})
	watcher, mover := ns.client(at{ns, 2}, client.Options{}), ns.client(ns, client.Options{})
	if _, err := mover.Request(t.Context(), "sign in", protocol.Text("ben")); err != nil {
		t.Fatal(err)
	}
	views := []func() []client.PresenceEvent{presenceOf(t, watcher, "room"), presenceOf(t, mover, "room")}
	eventually(t, 20*time.Second, "that both know both", func() bool {
		return len(views[0]()) == 2 && len(views[1]()) == 2
	})
	for move := range 4 {
		ns.move(func(c *server.Conn) bool {
			_, ok := c.Session()
			return ok
		})
		eventually(t, 20*time.Second, "the client to be back", func() bool { return mover.Stats().Resumes > uint64(move) })
	}
	for i := range ns.servers {
		eventually(t, 20*time.Second, "two members", func() bool {
			n, err := ns.server(i).Topic("room").Count(t.Context())
			return n == 2 && err == nil
		})
	}
	mover.Close()
	eventually(t, 20*time.Second, "the end of a member", func() bool { return len(views[0]()) > 2 })
	got := views[0]()
	if len(got) != 3 || got[2].Op != protocol.PresenceLeave || got[2].ID != got[0].ID && got[2].ID != got[1].ID {
		t.Errorf("the watcher was told %+v", got)
	}
	if got := views[1](); len(got) != 2 {
		t.Errorf("the member that moved was told %+v", got)
	}
	if s := mover.Stats(); s.Connects != 1 {
		t.Errorf("%d connections", s.Connects)
	}
}

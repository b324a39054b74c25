package client_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/webwiretest"
)

func TestPresenceThatWasNotAskedFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, p := welcomed(t, client.Options{Logger: discard}, 0)
		got := make(chan *client.Subscription, 1)
		go func() {
			s, err := c.Subscribe(context.Background(), "t", client.SubscribeOptions{})
			if err != nil {
				t.Error(err)
			}
			got <- s
		}()
		var m protocol.Message
		for m.Kind != protocol.Subscribe {
			m = p.receive()
		}
		p.send(protocol.Message{Kind: protocol.Reply, ID: m.ID, Payload: protocol.Payload{Data: make([]byte, 16)}})
		s := <-got
		p.send(protocol.PresenceBody{Ref: m.Ref, Op: protocol.PresenceEnter, Data: []byte(`{"id":"a"}`)}.Message())
		p.send(protocol.Message{Kind: protocol.Publication, Ref: m.Ref, Name: "n", Payload: protocol.Text("x")})
		synctest.Wait()
		defer func() {
			if r := recover(); r != nil {
				t.Errorf("Messages panicked: %v", r)
			}
		}()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for m, err := range s.Messages(ctx) {
			if err != nil && !errors.Is(err, client.ErrDisconnected) {
				t.Error(err)
			}
			if m.Name != "n" {
				t.Errorf("%+v", m)
			}
			break
		}
	})
}

func TestPresenceOfACrowd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const members = 900 // each with 500 bytes: the snapshot is longer than a quarter of InboxSize
		opts := topical(server.TopicOptions{Presence: true})
		opts.Logger = discard
		opts.ResumeWindow = -1
		var subscribed atomic.Int64
		opts.Hooks.OnSubscribe = func(context.Context, *server.Conn, string) (any, error) {
			subscribed.Add(1)
			return strings.Repeat("x", 500), nil
		}
		n := webwiretest.Serve(t, server.New(opts))
		crowd := n.Client(client.Options{Logger: discard})
		for range members {
			subscribe(t, crowd, client.SubscribeOptions{})
		}
		l := n.Link()
		c := l.Client(client.Options{Logger: discard})
		here, gaps := 0, 0
		s := subscribe(t, c, client.SubscribeOptions{
			Presence: func(e client.PresenceEvent) {
				if e.Op == protocol.PresenceEnter {
					here++
				}
			},
			OnGap: func(*client.GapError) { gaps++; time.Sleep(100 * time.Millisecond) }, // it loads the state anew
		})
		l.Cut()
		time.Sleep(10 * time.Second)
		before := subscribed.Load()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for _, err := range s.Messages(ctx) {
			if err != ctx.Err() {
				t.Fatal(err)
			}
		}
		t.Logf("%d members are known, %d gaps, subscribed %d times more", here, gaps, subscribed.Load()-before)
		if here < members || gaps > 3 {
			t.Errorf("after a minute %d members are known, and there were %d gaps; subscribed %d times more", here, gaps, subscribed.Load()-before)
		}
	})
}

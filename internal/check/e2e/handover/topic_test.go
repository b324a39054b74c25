package handover_test

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/server"
)

// subscribing are the options of nodes at which clients can subscribe.
func subscribing(topics func(string) server.TopicOptions) func(int) server.Options {
	return func(int) server.Options {
		return server.Options{
			Topics: topics,
			Hooks: server.Hooks{
				OnSubscribe: func(context.Context, *server.Conn, string) (any, error) { return nil, nil },
			},
		}
	}
}

// A subscription moves with its connection: nothing is lost, doubled or out of order,
// whenever it is published.
func TestSubscriptionMoves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3, subscribing(history))
		m := c.join(0, client.Options{Hooks: client.Hooks{
			OnGap: func(_ context.Context, g client.Gap) { t.Errorf("gap %+v", g) },
		}})
		sub, err := m.Subscribe(t.Context(), "room", client.SubscribeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		const count = 300
		over := make(chan struct{})
		go func() {
			defer close(over)
			n := 0
			for msg, err := range sub.Messages(t.Context()) {
				if err != nil || msg.Name != fmt.Sprint(n) {
					t.Errorf("publication %d is %q, %v", n, msg.Name, err)
					return
				}
				if n++; n == count {
					return
				}
			}
		}()
		go func() {
			for i := range count {
				if _, err := c.node(2).Topic("room").Publish(t.Context(), fmt.Sprint(i), text("x")); err != nil {
					t.Error(err)
				}
				time.Sleep(10 * time.Millisecond)
			}
		}()
		for i := range 6 {
			time.Sleep(333 * time.Millisecond)
			m.move(t, (i+1)%2)
		}
		<-over
		if s := m.Stats(); s.Connects != 1 || s.Resumes != 6 {
			t.Errorf("%d connections, %d resumes", s.Connects, s.Resumes)
		}
		sub.Close()
	})
}

// A member by Topic.Join stays one.
func TestMembershipMoves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := new(book)
		c := newCluster(t, 2, subscribing(history))
		m := c.join(0, client.Options{Hooks: b.signals()})
		for conn := range c.node(0).Conns() {
			if err := c.node(0).Topic("room").Join(t.Context(), conn); err != nil {
				t.Fatal(err)
			}
		}
		publish := func(names ...string) {
			for _, name := range names {
				if _, err := c.node(1).Topic("room").Publish(t.Context(), name, text("x")); err != nil {
					t.Error(err)
				}
			}
			synctest.Wait()
		}
		publish("1")
		m.route.goTo(1)
		m.route.cut()
		publish("2", "3")
		m.connect(t)
		synctest.Wait()
		publish("4")
		b.want(t, "client: signal 1", "client: signal 2", "client: signal 3", "client: signal 4")
		members := func(node int) (n int) {
			for range c.node(node).Topic("room").Conns() {
				n++
			}
			return n
		}
		if members(0) != 0 || members(1) != 1 {
			t.Errorf("%d members at node 0, %d at node 1", members(0), members(1))
		}
	})
}

// Without a history nobody knows what was published while the connection was on its way:
// the gap is told, and the subscription goes on.
func TestSubscriptionWithoutHistoryMoves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2, subscribing(nil))
		m := c.join(0, client.Options{})
		b := new(book)
		sub, err := m.Subscribe(t.Context(), "room", client.SubscribeOptions{
			OnGap: func(*client.GapError) { b.note("gap") },
		})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for msg, err := range sub.Messages(t.Context()) {
				if err != nil {
					return // the subscription is closed
				}
				b.note("got %s", msg.Name)
			}
		}()
		m.move(t, 1)
		if _, err := c.node(0).Topic("room").Publish(t.Context(), "1", text("x")); err != nil {
			t.Error(err)
		}
		b.want(t, "gap", "got 1")
		sub.Close()
	})
}

// Options.Topics that panics at the node that a subscription comes to ends nothing: the
// node asks it again.
func TestTopicsPanicsWhereASubscriptionComesTo(t *testing.T) {
	for how, end := range map[string]func(){"panic": func() { panic("no such topic") }, "Goexit": runtime.Goexit} {
		t.Run(how, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var fails atomic.Bool
				c := newCluster(t, 2, func(i int) server.Options {
					return subscribing(func(string) server.TopicOptions {
						if i == 1 && fails.Load() {
							end()
						}
						return server.TopicOptions{History: true}
					})(i)
				})
				m := c.join(0, client.Options{})
				sub, err := m.Subscribe(t.Context(), "room", client.SubscribeOptions{})
				if err != nil {
					t.Fatal(err)
				}
				fails.Store(true)
				m.move(t, 1)
				time.Sleep(10 * time.Second)
				if _, err := c.node(0).Topic("room").Publish(t.Context(), "meanwhile", text("x")); err != nil {
					t.Fatal(err)
				}
				fails.Store(false)
				time.Sleep(10 * time.Second)
				if _, err := c.node(0).Topic("room").Publish(t.Context(), "later", text("x")); err != nil {
					t.Fatal(err)
				}
				for _, want := range []string{"meanwhile", "later"} {
					for msg, err := range sub.Messages(t.Context()) {
						if err != nil || msg.Name != want {
							t.Errorf("%q, %v, want %q", msg.Name, err, want)
						}
						break
					}
				}
				if s := m.Stats(); s.Connects != 1 {
					t.Errorf("%d connections", s.Connects)
				}
			})
		})
	}
}

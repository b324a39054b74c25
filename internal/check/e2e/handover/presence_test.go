package handover_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/engine/enginetest"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
)

// withPresence are nodes whose topics have presence.
func withPresence(int) server.Options {
	return server.Options{
		Topics: func(string) server.TopicOptions { return server.TopicOptions{History: true, Presence: true} },
		Hooks: server.Hooks{
			OnSubscribe: func(context.Context, *server.Conn, string) (any, error) { return "member", nil },
		},
	}
}

// enter returns a client that has subscribed to the room, and notes who comes and goes.
func (c *cluster) enter(i int, name string, b *book) *member {
	c.t.Helper()
	m := c.join(i, client.Options{MinBackoff: 10 * time.Millisecond, MaxBackoff: 100 * time.Millisecond})
	sub, err := m.Subscribe(c.t.Context(), "room", client.SubscribeOptions{Presence: func(e client.PresenceEvent) {
		what := map[protocol.PresenceOp]string{protocol.PresenceEnter: "enter", protocol.PresenceLeave: "leave"}[e.Op]
		b.note("%s: %s", name, what)
	}})
	if err != nil {
		c.t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		for _, err := range sub.Messages(c.t.Context()) {
			if err != nil {
				return // it is closed
			}
		}
	})
	c.t.Cleanup(func() {
		sub.Close()
		reading.Wait()
	})
	time.Sleep(time.Second) // until everybody knows
	return m
}

// members returns the ids of the members of the room as a node knows them.
func (c *cluster) members(i int) (ids []string) {
	c.t.Helper()
	for m, err := range c.node(i).Topic("room").Members(c.t.Context()) {
		if err != nil {
			c.t.Error(err)
			break
		}
		ids = append(ids, m.ID)
	}
	slices.Sort(ids)
	return ids
}

// constantly checks, until stop is called, that all of these nodes know the same members.
func (c *cluster) constantly(nodes ...int) (stop func()) {
	c.t.Helper()
	want := c.members(nodes[0])
	over := make(chan struct{})
	var checking sync.WaitGroup
	checking.Go(func() {
		for {
			select {
			case <-over:
				return
			case <-time.After(11 * time.Millisecond):
			}
			for _, i := range nodes {
				n, err := c.node(i).Topic("room").Count(c.t.Context())
				if got := c.members(i); err != nil || n != len(want) || !slices.Equal(got, want) {
					c.t.Errorf("node %d knows %d members, %q, %v; want %q", i, n, got, err, want)
					return
				}
			}
		}
	})
	return func() {
		close(over)
		checking.Wait()
	}
}

// wantEvents fails the test unless this is all that was noticed since the last call.
func (b *book) wantEvents(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	got := b.entries
	b.entries = nil
	slices.Sort(got)
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("what happened is %q, want %q", got, want)
	}
}

// stubborn is the fault of an engine that is slow, and does what it was asked for also if that
// is not wanted any more.
func stubborn(d time.Duration) enginetest.Fault {
	return func(ctx context.Context, next func(context.Context) error) error {
		time.Sleep(d)
		return next(context.WithoutCancel(ctx))
	}
}

// A member whose connection moves is there all the time, with the same id, and neither the
// others nor it itself are told anything.
func TestPresenceMoves(t *testing.T) {
	for _, slow := range []bool{false, true} {
		t.Run(fmt.Sprintf("slow=%t", slow), func(t *testing.T) { testPresenceMoves(t, slow) })
	}
}

func testPresenceMoves(t *testing.T, slow bool) {
	bubble(t, func(t *testing.T) {
		b := new(book)
		var memory engine.Memory
		c := newCluster(t, 3, func(i int) server.Options {
			o := withPresence(i)
			o.Engine = memory.Node()
			if slow {
				f := enginetest.NewFaulty(o.Engine)
				f.Break(enginetest.Put, enginetest.Delay(300*time.Millisecond))
				f.Break(enginetest.Subscribe, stubborn(200*time.Millisecond))
				f.Break(enginetest.Tops, stubborn(0))
				f.Break(enginetest.Read, enginetest.Delay(100*time.Millisecond))
				delays := []time.Duration{50 * time.Millisecond, 3 * time.Second, 0}
				f.Break(enginetest.Publish, enginetest.Delay(delays[i])) // what node 1 tells comes late
				o.Engine = f.Engine()
			}
			return o
		})
		c.enter(2, "ann", b)
		mover := c.enter(0, "ben", b)
		b.wantEvents(t, "ann: enter", "ann: enter", "ben: enter", "ben: enter")
		for _, to := range []int{1, 0, 1, 2} {
			stop := c.constantly(0, 1, 2)
			mover.move(t, to)
			time.Sleep(3 * time.Second)
			stop()
			time.Sleep(30 * time.Second) // until all have looked again who is there
			b.wantEvents(t)
		}
		stop := c.constantly(0, 1, 2)
		for _, to := range []int{1, 0, 2, 1} {
			mover.move(t, to) // before the nodes have put what they know
		}
		time.Sleep(3 * time.Second)
		stop()
		time.Sleep(30 * time.Second)
		b.wantEvents(t)
		mover.move(t, 0)
		mover.move(t, 1)
		time.Sleep(500 * time.Millisecond) // node 1 is about to tell that it is there
		mover.move(t, 0)
		if s := mover.Stats(); s.Connects != 1 || s.Resumes != 11 {
			t.Errorf("%d connections, %d resumes", s.Connects, s.Resumes)
		}
		time.Sleep(500 * time.Millisecond)
		if err := mover.Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Second)
		b.wantEvents(t, "ann: leave")
		time.Sleep(time.Minute)
		b.wantEvents(t)
		for i := range 3 {
			if ids := c.members(i); len(ids) != 1 {
				t.Errorf("node %d knows the members %q", i, ids)
			}
		}
	})
}

// A member that moves to a node with more members than nodes list, or from there, is there all
// the time.
func TestPresenceMovesIntoACrowd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := new(book)
		c := newCluster(t, 3, withPresence)
		mover := c.enter(0, "ben", new(book))
		c.enter(2, "ann", b)
		crowd := c.join(1, client.Options{})
		const size = 1001
		for range size {
			if _, err := crowd.Subscribe(t.Context(), "room", client.SubscribeOptions{}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		b.wantEvents(t, slices.Repeat([]string{"ann: enter"}, 2+size)...)
		for _, to := range []int{1, 0, 1} {
			mover.move(t, to)
			time.Sleep(time.Minute)
			b.wantEvents(t)
		}
	})
}

// Members of a node that shuts down stay there.
func TestPresenceDuringShutdown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := new(book)
		c := newCluster(t, 3, withPresence)
		c.enter(2, "watcher", b)
		var movers []*member
		for range 10 {
			movers = append(movers, c.enter(0, "mover", new(book)))
		}
		time.Sleep(time.Minute)
		b.wantEvents(t, slices.Repeat([]string{"watcher: enter"}, 1+len(movers))...)
		for _, node := range []int{0, 1} {
			for _, m := range movers {
				m.route.goTo(1 - node)
			}
			stop := c.constantly(1-node, 2)
			if err := c.node(node).Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second)
			stop()
			c.start(node)
			time.Sleep(time.Minute)
		}
		b.wantEvents(t)
		for i, m := range movers {
			if s := m.Stats(); s.Connects != 1 || s.Resumes != 2 {
				t.Errorf("client %d: %d connections, %d resumes", i, s.Connects, s.Resumes)
			}
		}
	})
}

// A connection that another node takes and then refuses stays where it is, and its member does
// too. If it ends on the way the others are told, once.
func TestPresenceOfARefusedMove(t *testing.T) {
	for _, ends := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			b := new(book)
			var refused bool
			var asked []*server.Conn
			var mu sync.Mutex
			c := newCluster(t, 3, func(i int) server.Options {
				o := withPresence(i)
				o.Hooks.OnClientBack = func(context.Context, *server.Conn) error {
					mu.Lock()
					defer mu.Unlock()
					if i == 1 && !refused {
						refused = true
						if ends {
							for _, conn := range asked {
								conn.Abort()
							}
						}
						return &transport.CloseError{Status: transport.StatusTryAgainLater, Reason: "not now"}
					}
					return nil
				}
				return o
			})
			c.enter(2, "ann", b)
			ben := c.enter(0, "ben", new(book))
			for conn := range c.node(0).Conns() {
				asked = append(asked, conn)
			}
			time.Sleep(time.Minute)
			b.wantEvents(t, "ann: enter", "ann: enter")
			if !ends {
				stop := c.constantly(0, 1, 2)
				ben.move(t, 1)
				time.Sleep(3 * time.Second)
				stop()
				time.Sleep(time.Minute)
				b.wantEvents(t)
				return
			}
			ben.move(t, 1)
			time.Sleep(time.Minute)
			b.wantEvents(t, "ann: leave", "ann: enter") // it has another connection
			if ids := c.members(2); len(ids) != 2 {
				t.Errorf("the members are %q", ids)
			}
		})
	}
}

package server_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// A client that subscribes to one topic after the other, each only for a moment, has the server
// keep a limited number of them.
func TestSubscribesToMoreAndMoreTopics(t *testing.T) {
	t.Run("history", func(t *testing.T) { testMoreAndMoreTopics(t, history) })
	t.Run("presence", func(t *testing.T) { testMoreAndMoreTopics(t, everything) })
}

func testMoreAndMoreTopics(t *testing.T, topics func(string) server.TopicOptions) {
	bubble(t, func(t *testing.T) {
		srv := newTopical(t, server.Options{Topics: topics})
		p := connect(t, srv, protocol.V3_0)
		p.subscribed(1, 1, "kept", nil)
		for i := range uint64(5000) {
			ref := uint32(i + 2)
			p.subscribed(i+2, ref, fmt.Sprint("topic ", i), nil)
			p.send(protocol.Message{Kind: protocol.Unsubscribe, Ref: ref})
		}
		synctest.Wait() // no time has passed
		if n := srv.Stats().Topics; n > 1100 {
			t.Errorf("%d topics are kept for a client with one subscription", n)
		}
		p.subscribed(9000, 9000, "topic 4999", nil)
		publish(t, srv, "topic 4999", "x")
		p.published(9000, "x")
		time.Sleep(time.Minute)
		if n := srv.Stats().Topics; n != 2 {
			t.Errorf("%d topics a minute later, want 2", n)
		}
		publish(t, srv, "kept", "y")
		p.published(1, "y")
	})
}

// While the engine takes no presence, a topic that its last member has left is kept until it does.
// There is a limit, too.
func TestPresenceIsNotTaken(t *testing.T) {
	const most = 8 << 10
	bubble(t, func(t *testing.T) {
		e := new(engine.Memory).Node()
		roster := &awayRoster{Roster: e.Roster}
		e.Roster = roster
		srv := newTopical(t, server.Options{Topics: everything, Engine: e})
		p := connect(t, srv, protocol.V3_0)
		p.subscribed(1, 1, "kept", nil)
		roster.away.Store(true)
		conn := only(t, srv)
		for i := range most {
			topic := srv.Topic(fmt.Sprint("topic ", i))
			if err := topic.Join(t.Context(), conn); err != nil {
				t.Fatal(err)
			}
			topic.Leave(conn)
		}
		if err := srv.Topic("one more").Join(t.Context(), conn); !errors.Is(err, engine.ErrAway) {
			t.Errorf("Join: %v", err)
		}
		p.subscribe(2, 2, "one more", nil)
		if m := p.reply(2, protocol.ReplyFailure); protocol.FailureCode(m.Payload.Data[0]) != protocol.FailureUnavailable {
			t.Errorf("got %q", m.Payload.Data)
		}
		p.subscribed(3, 3, "topic 7", nil) // it is kept
		if n := srv.Stats().Topics; n != most+1 {
			t.Errorf("%d topics, want %d", n, most+1)
		}
		roster.away.Store(false)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := srv.Stats().Topics; n != 2 {
			t.Errorf("%d topics afterwards, want 2", n)
		}
		p.subscribed(4, 4, "one more", nil)
	})
}

// awayRoster may be out of reach.
type awayRoster struct {
	engine.Roster
	away atomic.Bool
}

func (r *awayRoster) Put(ctx context.Context, topic string, members []byte) error {
	if r.away.Load() {
		return engine.ErrAway
	}
	return r.Roster.Put(ctx, topic, members)
}

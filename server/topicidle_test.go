package server_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// A client that subscribes to one topic after the other, each only for a moment, has the server
// keep a limited number of them.
func TestSubscribesToMoreAndMoreTopics(t *testing.T) {
	t.Run("history", func(t *testing.T) { testMoreAndMoreTopics(t, history, 0) })
	t.Run("presence", func(t *testing.T) { testMoreAndMoreTopics(t, everything, 600*time.Millisecond) })
}

// told is how long it takes until the presence is told.
func testMoreAndMoreTopics(t *testing.T, topics func(string) server.TopicOptions, told time.Duration) {
	bubble(t, func(t *testing.T) {
		srv := newTopical(t, server.Options{Topics: topics})
		p := connect(t, srv, protocol.V3_0)
		p.subscribed(1, 1, "kept", nil)
		for i := range uint64(5000) {
			ref := uint32(i + 2)
			p.subscribed(i+2, ref, fmt.Sprint("topic ", i), nil)
			p.send(protocol.Message{Kind: protocol.Unsubscribe, Ref: ref})
		}
		synctest.Wait()
		time.Sleep(told)
		synctest.Wait()
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

package fire_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/webwire-go/webwire/internal/check/e2e/load"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// A flood of subscriptions to ever other topics, each of which ends again, has an effect each
// time, so it is not cut: it makes the server keep a limited number of topics.
func TestFloodOfSubscribes(t *testing.T) {
	for _, c := range []struct {
		name string
		opts server.TopicOptions
		one  bool // the same topic each time
	}{
		{"other topics", server.TopicOptions{}, false},
		{"other topics with history", server.TopicOptions{History: true}, false},
		{"other topics with presence", server.TopicOptions{Presence: true}, false},
		{"one topic with presence, watched", server.TopicOptions{Presence: true}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := load.Start(t, server.Options{ResumeWindow: -1,
				Topics: func(string) server.TopicOptions { return c.opts },
				Hooks:  server.Hooks{OnSubscribe: func(context.Context, *server.Conn, string) (any, error) { return nil, nil }},
			}, load.Site{})
			if c.one {
				w := mustDial(t, srv.Addr, protocol.V3_0)
				go discard(w)
				_ = w.Write(encode(protocol.SubscribeBody{ID: protocol.NewID(1), Ref: 1, Topic: "t", Presence: true}.Message()))
			}
			conn := mustDial(t, srv.Addr, protocol.V3_0)
			var reading sync.WaitGroup
			reading.Go(func() { _ = discard(conn) })
			time.Sleep(50 * time.Millisecond)
			first := load.Heap()
			n, most := 0, 0
			began := time.Now()
			for time.Since(began) < load.Either(10*time.Second, 300*time.Millisecond) {
				var batch [][]byte
				for range 100 {
					n++
					topic := "t"
					if !c.one {
						topic = fmt.Sprint("a topic with a rather long name ", n)
					}
					ref := uint32(n)
					batch = append(batch, encode(protocol.SubscribeBody{ID: protocol.NewID(uint64(n)), Ref: ref, Topic: topic}.Message()))
					if n > 200 {
						batch = append(batch, encode(protocol.Message{Kind: protocol.Unsubscribe, Ref: ref - 150}))
					}
				}
				if conn.Write(batch...) != nil {
					break
				}
				most = max(most, srv.Stats().Topics)
			}
			took := time.Since(began)
			growth := load.Heap() - first
			load.Figure("flood of subscribes, "+c.name, "at most 1,024 topics nobody has, + 16 MiB",
				"%d in %v, at most %d topics, heap %+d KiB", n, took.Round(time.Millisecond), most, growth>>10)
			if most > 1024+10*200 { // so many that it has, at most, and what the server has yet to read
				t.Errorf("%d topics are held", most)
			}
			if growth > 16<<20 {
				t.Errorf("the heap grew by %d bytes", growth)
			}
			_ = conn.Abort()
			reading.Wait()
		})
	}
}

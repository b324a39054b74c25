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
	"github.com/webwire-go/webwire/transport"
)

// A flood of subscriptions to ever other topics, each of which ends again, has an effect each
// time, so it is not cut: it makes the server keep a limited number of topics.
func TestFloodOfSubscribes(t *testing.T) {
	for _, c := range []struct {
		name string
		opts server.TopicOptions
		one  bool // the same topic each time
		wait bool // for the answer, before it ends again
	}{
		{"other topics", server.TopicOptions{}, false, false},
		{"other topics with history", server.TopicOptions{History: true}, false, false},
		{"other topics with presence", server.TopicOptions{Presence: true}, false, false},
		{"other topics with presence, answered", server.TopicOptions{Presence: true}, false, true},
		{"one topic with presence, watched", server.TopicOptions{Presence: true}, true, false},
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
			answers := make(chan uint32, 1000) // refs
			var reading sync.WaitGroup
			reading.Go(func() { _ = readAnswers(conn, answers, c.wait) })
			time.Sleep(50 * time.Millisecond)
			first := load.Heap()
			n, most := 0, 0
			subscribe := func() []byte {
				n++
				topic := "t"
				if !c.one {
					topic = fmt.Sprint("a topic with a rather long name ", n)
				}
				return encode(protocol.SubscribeBody{ID: protocol.NewID(uint64(n)), Ref: uint32(n), Topic: topic}.Message())
			}
			unsubscribe := func(ref uint32) []byte { return encode(protocol.Message{Kind: protocol.Unsubscribe, Ref: ref}) }
			began := time.Now()
			for time.Since(began) < load.Either(10*time.Second, 300*time.Millisecond) {
				var batch [][]byte
				for len(batch) < 100 {
					batch = append(batch, subscribe())
					switch {
					case n <= 200:
					case c.wait:
						ref, ok := <-answers
						if !ok {
							t.Fatal("a subscribe has failed, or the connection has ended")
						}
						batch = append(batch, unsubscribe(ref))
					default:
						batch = append(batch, unsubscribe(uint32(n)-150))
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
			if growth > load.Either[int64](16<<20, 32<<20) { // goroutines take more with the race detector
				t.Errorf("the heap grew by %d bytes", growth)
			}
			_ = conn.Abort()
			reading.Wait()
		})
	}
}

// readAnswers reads until the connection ends, and sends the refs of subscribes that are answered if
// they are wanted; then it ends with one that fails, too.
func readAnswers(conn transport.Conn, refs chan<- uint32, wanted bool) error {
	defer close(refs)
	if !wanted {
		return discard(conn)
	}
	var buf []byte
	for {
		var err error
		if buf, err = conn.Read(buf[:0]); err != nil {
			return err
		}
		m, err := protocol.V3_0.Parse(buf)
		if err != nil {
			return err
		}
		switch m.Kind {
		case protocol.Reply:
			refs <- uint32(m.ID.Uint64())
		case protocol.ReplyFailure:
			return m.Err()
		}
	}
}

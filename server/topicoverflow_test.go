package server_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
)

// A member that does not read is disconnected, or misses publications, and learns how many.
// Others get everything.
func TestTopicOverflow(t *testing.T) {
	for _, overflow := range []server.Overflow{server.Disconnect, server.DropOldest, server.LatestPerKey} {
		t.Run(fmt.Sprint(overflow), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				srv := newTopical(t, server.Options{OutboxSize: 20_000, WriteTimeout: time.Hour, ReadTimeout: 24 * time.Hour, ResumeWindow: -1,
					Topics: func(string) server.TopicOptions { return server.TopicOptions{History: true, Overflow: overflow} }})
				slow := connectDeaf(t, context.Background(), srv, protocol.V3_0)
				quick := connect(t, srv, protocol.V3_0)
				slow.subscribe(1, 1, "room", nil)
				quick.subscribed(1, 1, "room", nil)
				synctest.Wait()
				const n, keys = 1000, 10
				text := func(i int) string { return fmt.Sprintf("%01000d", i) }
				for i := range n {
					_, err := srv.Topic("room").Publish(t.Context(), fmt.Sprint(i%keys), protocol.Text(text(i)))
					if err != nil {
						t.Fatal(err)
					}
					quick.published(1, text(i))
				}
				if overflow == server.Disconnect {
					if err := slow.wait(); err != server.ErrSlowConsumer {
						t.Errorf("ServeConn returned %v", err)
					}
					return
				}
				slow.listen()
				slow.reply(1, protocol.Reply)
				got, lost := 0, 0
				latest, offset := -1, uint64(0)
				last := make(map[string]int)
				for latest < n-1 {
					m := slow.receive()
					if m.Kind == protocol.Gap {
						g, err := m.Gap()
						if err != nil || g.Ref != 1 || g.Lost == 0 {
							t.Fatalf("got %+v, %v", g, err)
						}
						lost += int(g.Lost)
						continue
					}
					if m.Kind != protocol.Publication || m.Number <= offset {
						t.Fatalf("got %+v after %d", m, offset)
					}
					got++
					offset = m.Number
					latest, _ = strconv.Atoi(m.Payload.Text()) // 0 if it is not a number
					last[m.Name] = latest
				}
				slow.quiet()
				if got+lost != n || lost == 0 || uint64(lost) != srv.Stats().DroppedPublications {
					t.Errorf("%d came, %d are lost, of %d; %d counted", got, lost, n, srv.Stats().DroppedPublications)
				}
				if overflow == server.LatestPerKey {
					for i := n - keys; i < n; i++ {
						if last[fmt.Sprint(i%keys)] != i {
							t.Errorf("the latest of key %d is %d, want %d", i%keys, last[fmt.Sprint(i%keys)], i)
						}
					}
				}
				publish(t, srv, "room", "live")
				slow.published(1, "live")
			})
		})
	}
}

// A publication that is too long for a client is a gap for it, however far behind it is,
// and nothing for those that did not subscribe.
func TestTopicTooBig(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := newTopical(t, server.Options{Topics: history})
		p := attachSmall(t, srv, 2000)
		begin := p.subscribed(1, 1, "room", nil)
		big := publishBig(t, srv)
		if g := p.gap(1); g.Lost != 1 || g.Next != *wire(big) {
			t.Errorf("got %+v, want %+v", g, big)
		}
		publish(t, srv, "room", "a")
		p.published(1, "a")
		p.subscribe(2, 2, "room", &begin)
		p.reply(2, protocol.Reply)
		if g := p.gap(2); g.Lost != 1 || g.Next != *wire(big) {
			t.Errorf("got %+v, want %+v", g, big)
		}
		p.published(2, "a")
		p.quiet()
		if n := srv.Stats().DroppedPublications; n != 2 {
			t.Errorf("%d dropped", n)
		}
	})
}

// attachSmall is connect for a client that takes messages of at most size bytes.
func attachSmall(t *testing.T, srv *server.Server, size int) *peer {
	t.Helper()
	accept := srv.AcceptOptions()
	accept.Limits.MaxMessageSize = size // in hello
	p := attach(t, protocol.V3_0, transport.Limits{}, accept, func(conn transport.Conn) error {
		return srv.ServeConn(context.Background(), conn)
	})
	p.listen()
	return p
}

func publishBig(t *testing.T, srv *server.Server) engine.Position {
	t.Helper()
	at, err := srv.Topic("room").Publish(t.Context(), "m", protocol.Bytes(make([]byte, 3000)))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

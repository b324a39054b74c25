package server_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
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

// What a member that does not read gets before the latest is little, with an outbox of any
// size: what is dropped is dropped early. Nobody waits for it meanwhile.
func TestTopicOverflowIsEarly(t *testing.T) {
	for _, overflow := range []server.Overflow{server.DropOldest, server.LatestPerKey} {
		t.Run(fmt.Sprint(overflow), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				srv := newTopical(t, server.Options{WriteTimeout: time.Hour, ReadTimeout: 24 * time.Hour, ResumeWindow: -1,
					Topics: func(string) server.TopicOptions { return server.TopicOptions{Overflow: overflow} }})
				slow := connectDeaf(t, context.Background(), srv, protocol.V3_0)
				const topics, n = 6, 2400 // a page with six plots, 20 points a second, two minutes
				for i := range topics {
					slow.subscribe(uint64(i+1), uint32(i+1), fmt.Sprint(i), nil)
				}
				synctest.Wait()
				goroutines := runtime.NumGoroutine()
				for point := range n {
					for i := range topics {
						publish(t, srv, fmt.Sprint(i), fmt.Sprintf(`{"T":%d,"V":12.345678}`, 1700000000000+point))
					}
					synctest.Wait()
				}
				if more := runtime.NumGoroutine() - goroutines; more >= topics { // one writes
					t.Errorf("%d goroutines more", more)
				}
				dropped := int(srv.Stats().DroppedPublications)
				slow.listen()
				synctest.Wait()
				got, latest := 0, 0
				for len(slow.got) > 0 {
					m := slow.receive()
					if m.Kind != protocol.Publication {
						continue
					}
					got++
					if strings.Contains(m.Payload.Text(), fmt.Sprint(1700000000000+n-1)) {
						latest++
					}
				}
				kept := 1
				if overflow == server.DropOldest {
					kept = 64
				}
				t.Logf("%d of %d dropped, %d came", dropped, topics*n, got)
				if got+dropped != topics*n || got > topics*kept+3000 || latest != topics {
					t.Errorf("%d came, %d are dropped, of %d; the latest of %d topics", got, dropped, topics*n, latest)
				}
			})
		})
	}
}

// Options.Topics.Key is called once for each publication, whoever is behind, and with no lock:
// it may ask for the members. If it panics, or ends its goroutine, the name is the key.
func TestTopicKey(t *testing.T) {
	for how, end := range map[string]func(){"panic": func() { panic("no key") }, "Goexit": runtime.Goexit} {
		t.Run(how, func(t *testing.T) { testTopicKey(t, end) })
	}
}

func testTopicKey(t *testing.T, end func()) {
	bubble(t, func(t *testing.T) {
		var calls atomic.Int64
		var srv *server.Server
		var log record
		opts := server.TopicOptions{Overflow: server.LatestPerKey, Presence: true, Key: func(name string, p protocol.Payload) string {
			calls.Add(1)
			if len(slices.Collect(srv.Topic("room").Conns())) != 2 {
				t.Error("two connections are members")
			}
			for range srv.Topic("room").Members(context.Background()) {
			}
			if name == "panics" {
				end()
			}
			return p.Text()[:1]
		}}
		srv = newTopical(t, server.Options{OutboxSize: 5000, WriteTimeout: time.Hour, ReadTimeout: 24 * time.Hour, ResumeWindow: -1,
			Topics: func(string) server.TopicOptions { return opts }, Logger: log.logger()})
		var slow [2]*peer
		for i := range slow {
			slow[i] = connectDeaf(t, context.Background(), srv, protocol.V3_0)
			slow[i].subscribe(1, 1, "room", nil)
		}
		synctest.Wait()
		last := make(map[string]string) // text by key
		publish := func(name, key, text string) {
			t.Helper()
			text += strings.Repeat(".", 1000)
			last[key] = text
			if _, err := srv.Topic("room").Publish(t.Context(), name, protocol.Text(text)); err != nil {
				t.Fatal(err)
			}
		}
		const n = 300 // what the network holds too
		for i := range n {
			if i%3 == 2 {
				publish("panics", "panics", fmt.Sprint(i))
			} else {
				publish(fmt.Sprint(i), "ab"[i%3:][:1], fmt.Sprint("ab"[i%3:][:1], i))
			}
		}
		synctest.Wait()
		if c := calls.Load(); c != n {
			t.Errorf("%d calls for %d publications", c, n)
		}
		if !strings.Contains(log.take(), `msg="webwire: TopicOptions.Key panicked" topic=room panic=`) {
			t.Error("the panic is not logged")
		}
		for _, p := range slow {
			p.listen()
			p.reply(1, protocol.Reply)
			latest := make(map[string]bool)
			for range n {
				synctest.Wait()
				if len(p.got) == 0 {
					break
				}
				if m := p.receive(); m.Kind == protocol.Publication {
					latest[m.Payload.Text()] = true
				}
			}
			for key, text := range last {
				if !latest[text] {
					t.Errorf("the latest of key %s is missing", key)
				}
			}
		}
		if srv.Stats().DroppedPublications == 0 {
			t.Error("nothing is dropped")
		}
	})
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

package server_test

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/engine/enginetest"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// Members of all nodes are known to all nodes, and watchers learn who comes and goes.
func TestTopicPresence(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var memory engine.Memory
		names := make(chan string, 1)
		opts := func() server.Options {
			return server.Options{Engine: memory.Node(), Topics: everything, ResumeWindow: -1, Hooks: server.Hooks{
				OnSubscribe: func(context.Context, *server.Conn, string) (any, error) { return <-names, nil },
			}}
		}
		a, b := newTopical(t, opts()), newTopical(t, opts())
		enter := func(srv *server.Server, name string, presence bool) *peer {
			names <- name
			p := connect(t, srv, protocol.V3_0)
			p.send(protocol.SubscribeBody{ID: protocol.NewID(1), Ref: 3, Topic: "room", Presence: presence}.Message())
			p.reply(1, protocol.Reply)
			return p
		}
		ann := enter(a, "ann", false)
		time.Sleep(time.Second)
		ben := enter(b, "ben", true)
		time.Sleep(time.Second)

		var here []string
		type who struct {
			ID   string
			Data string
		}
		watch := func(p *peer) {
			synctest.Wait()
			for len(p.got) > 0 {
				m := p.receive()
				body, err := m.Presence()
				if err != nil || body.Ref != 3 {
					t.Fatalf("got %+v, %v", m, err)
				}
				var some []who
				var one who
				switch body.Op {
				case protocol.PresencePart, protocol.PresenceEnd:
					err = json.Unmarshal(body.Data, &some)
				default:
					err = json.Unmarshal(body.Data, &one)
				}
				if err != nil {
					t.Fatalf("%q: %v", body.Data, err)
				}
				for _, w := range append(some, one) {
					switch {
					case w.ID == "":
					case body.Op == protocol.PresenceLeave:
						here = slices.DeleteFunc(here, func(name string) bool { return name == w.Data })
					case !slices.Contains(here, w.Data):
						here = append(here, w.Data)
					}
				}
			}
			slices.Sort(here)
		}
		expect := func(want ...string) {
			t.Helper()
			watch(ben)
			if !slices.Equal(here, want) {
				t.Errorf("ben sees %q, want %q", here, want)
			}
			for _, srv := range []*server.Server{a, b} {
				if n, err := srv.Topic("room").Count(t.Context()); n != len(want) || err != nil {
					t.Errorf("Count is %d, %v, want %d", n, err, len(want))
				}
				var got []string
				for m, err := range srv.Topic("room").Members(t.Context()) {
					if err != nil {
						t.Fatal(err)
					}
					var name string
					if err := json.Unmarshal(m.Info, &name); err != nil {
						t.Fatal(err)
					}
					got = append(got, name)
				}
				if slices.Sort(got); !slices.Equal(got, want) {
					t.Errorf("Members are %q, want %q", got, want)
				}
			}
		}
		expect("ann", "ben")
		cat := enter(a, "cat", false)
		time.Sleep(time.Second)
		expect("ann", "ben", "cat")
		ann.send(protocol.Message{Kind: protocol.Unsubscribe, Ref: 3})
		time.Sleep(time.Second)
		expect("ben", "cat")
		ann.quiet() // it does not watch
		cat.conn.Abort()
		time.Sleep(time.Second)
		expect("ben")

		// A node that crashes tells nothing.
		dan := enter(a, "dan", false)
		time.Sleep(20 * time.Second)
		expect("ben", "dan")
		a.Close()
		dan.over()
		time.Sleep(30 * time.Second)
		watch(ben)
		if !slices.Equal(here, []string{"ben"}) {
			t.Errorf("ben sees %q", here)
		}
	})
}

// When a node crashes its members are gone for all other nodes at once. Whoever watches learns
// of each within seconds, once, although nobody tells: not of those of other nodes, and not
// again when a client comes back on another node.
func TestTopicPresenceCrash(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var memory engine.Memory
		dying := memory.Node()
		f := enginetest.NewFaulty(dying)
		serve := func(e engine.Engine) *server.Server {
			return newTopical(t, server.Options{Engine: e, Topics: everything, Hooks: server.Hooks{
				OnSubscribe: func(_ context.Context, c *server.Conn, _ string) (any, error) { return c.Info().Connected, nil },
			}})
		}
		a, b := serve(f.Engine()), serve(memory.Node())
		enter := func(srv *server.Server, presence bool) *peer {
			p := connect(t, srv, protocol.V3_0)
			p.send(protocol.SubscribeBody{ID: protocol.NewID(1), Ref: 3, Topic: "room", Presence: presence}.Message())
			p.reply(1, protocol.Reply)
			return p
		}
		const there, here = 5, 2
		for range there {
			enter(a, false)
		}
		watcher := enter(b, true)
		enter(b, false)
		events := make(map[protocol.PresenceOp]int)
		watch := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
			for len(watcher.got) > 0 {
				body, err := watcher.receive().Presence()
				if err != nil {
					t.Fatal(err)
				}
				events[body.Op]++
			}
		}
		expect := func(count int) {
			t.Helper()
			n, err := b.Topic("room").Count(t.Context())
			members := 0
			for _, err := range b.Topic("room").Members(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				members++
			}
			if n != count || members != count || err != nil {
				t.Errorf("Count is %d, %v, and there are %d members, want %d", n, err, members, count)
			}
		}
		watch(30 * time.Second)
		expect(there + here)
		clear(events)

		f.Cut() // the node goes on, and reaches nobody
		if err := dying.Bus.Close(); err != nil {
			t.Fatal(err)
		}
		expect(here)
		enter(b, false) // a client of the node that crashed
		watch(20 * time.Second)
		if events[protocol.PresenceLeave] != there || events[protocol.PresenceEnter] != 1 {
			t.Errorf("%d left and %d came, want %d and 1", events[protocol.PresenceLeave], events[protocol.PresenceEnter], there)
		}
		expect(here + 1)
		watch(10 * time.Minute)
		if n := events[protocol.PresenceLeave] + events[protocol.PresenceEnter]; n != there+1 {
			t.Errorf("%d events, want %d", n, there+1)
		}
	})
}

// To ask for presence where there is none is refused.
func TestTopicPresenceOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := newTopical(t, server.Options{})
		p := connect(t, srv, protocol.V3_0)
		p.send(protocol.SubscribeBody{ID: protocol.NewID(1), Ref: 3, Topic: "room", Presence: true}.Message())
		m := p.reply(1, protocol.ReplyFailure)
		if protocol.FailureCode(m.Payload.Data[0]) != protocol.FailureUnsupported {
			t.Errorf("got %v", m.Err())
		}
	})
}

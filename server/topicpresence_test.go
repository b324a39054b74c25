package server_test

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/engine"
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

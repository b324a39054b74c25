package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/webwiretest"
)

func TestPresenceOfACrowd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const members = 900 // each with 500 bytes: the snapshot is longer than a quarter of InboxSize
		opts := topical(server.TopicOptions{Presence: true})
		opts.Logger = discard
		opts.ResumeWindow = -1
		var subscribed atomic.Int64
		opts.Hooks.OnSubscribe = func(context.Context, *server.Conn, string) (any, error) {
			subscribed.Add(1)
			return strings.Repeat("x", 500), nil
		}
		n := webwiretest.Serve(t, server.New(opts))
		crowd := n.Client(client.Options{Logger: discard})
		for range members {
			subscribe(t, crowd, client.SubscribeOptions{})
		}
		l := n.Link()
		c := l.Client(client.Options{Logger: discard})
		here, gaps := 0, 0
		s := subscribe(t, c, client.SubscribeOptions{
			Presence: func(e client.PresenceEvent) {
				if e.Op == protocol.PresenceEnter {
					here++
				}
			},
			OnGap: func(*client.GapError) { gaps++; time.Sleep(100 * time.Millisecond) }, // it loads the state anew
		})
		l.Cut()
		time.Sleep(10 * time.Second)
		before := subscribed.Load()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for _, err := range s.Messages(ctx) {
			if err != ctx.Err() {
				t.Fatal(err)
			}
		}
		t.Logf("%d members are known, %d gaps, subscribed %d times more", here, gaps, subscribed.Load()-before)
		if here < members || gaps > 3 {
			t.Errorf("after a minute %d members are known, and there were %d gaps; subscribed %d times more", here, gaps, subscribed.Load()-before)
		}
	})
}

// lobby is a topic that a client has subscribed to with presence, and its server, which the
// test plays.
type lobby struct {
	t      *testing.T
	client *client.Client
	peer   *peer
	ref    uint32
	sub    *client.Subscription
	ended  chan error  // gets how Messages ended
	left   chan uint32 // gets refs that the client has unsubscribed
	events map[protocol.PresenceOp]int
	here   map[string]string
}

func newLobby(t *testing.T) *lobby {
	t.Helper()
	c, p := welcomed(t, client.Options{}, 0)
	s := &lobby{
		t: t, client: c, peer: p, ended: make(chan error, 1), left: make(chan uint32, 10),
		events: make(map[protocol.PresenceOp]int), here: make(map[string]string),
	}
	subscribed := make(chan error, 1)
	go func() {
		var err error
		s.sub, err = c.Subscribe(t.Context(), "lobby", client.SubscribeOptions{Presence: s.see})
		subscribed <- err
	}()
	for s.ref == 0 {
		if m := p.receive(); m.Kind == protocol.Subscribe {
			body, err := m.Subscribe()
			if err != nil {
				t.Fatal(err)
			}
			s.ref = body.Ref
			p.send(protocol.Message{Kind: protocol.Reply, ID: m.ID, Payload: protocol.Position{}.Payload()})
		}
	}
	if err := <-subscribed; err != nil {
		t.Fatal(err)
	}
	go s.loop()
	go s.read()
	return s
}

func (s *lobby) see(e client.PresenceEvent) {
	s.events[e.Op]++
	if e.Op == protocol.PresenceLeave {
		delete(s.here, e.ID)
	} else {
		s.here[e.ID] = string(e.Info)
	}
}

func (s *lobby) loop() {
	for _, err := range s.sub.Messages(s.t.Context()) {
		s.ended <- err
	}
}

// read reads what the client sends, and answers requests.
func (s *lobby) read() {
	for {
		b, err := s.peer.conn.Read(nil)
		if err != nil {
			return
		}
		m, err := s.peer.version.Parse(b)
		switch {
		case err != nil:
			s.t.Error(err)
		case m.Kind == protocol.Unsubscribe:
			s.left <- m.Ref
		case m.Kind == protocol.Request:
			s.peer.reply(m.ID, "x")
		}
	}
}

type lobbyMember struct {
	ID   string `json:"id"`
	Data any    `json:"data,omitempty"`
}

// say tells the client of presence, and waits until it has seen that.
func (s *lobby) say(op protocol.PresenceOp, what any) {
	s.t.Helper()
	data, err := json.Marshal(what)
	if err != nil {
		s.t.Fatal(err)
	}
	s.peer.send(protocol.PresenceBody{Ref: s.ref, Op: op, Data: data}.Message())
	synctest.Wait()
}

// snapshot tells of all members, 500 at a time.
func (s *lobby) snapshot(n int, member func(i int) lobbyMember) {
	s.t.Helper()
	var part []lobbyMember
	for i := range n {
		if part = append(part, member(i)); len(part) == 500 {
			s.say(protocol.PresencePart, part)
			part = nil
		}
	}
	s.say(protocol.PresenceEnd, part)
}

func (s *lobby) over() bool { return len(s.ended) > 0 }

func (s *lobby) want(enter, update, leave, here int) {
	s.t.Helper()
	if s.over() {
		s.t.Fatalf("the subscription has ended: %v", <-s.ended)
	}
	got := []int{s.events[protocol.PresenceEnter], s.events[protocol.PresenceUpdate], s.events[protocol.PresenceLeave], len(s.here)}
	if want := []int{enter, update, leave, here}; fmt.Sprint(got) != fmt.Sprint(want) {
		s.t.Errorf("%d members have come, %[2]d have changed, %[3]d have left, %[4]d are there; want %[5]d", got[0], got[1], got[2], got[3], want)
	}
	clear(s.events)
}

// A server that tells of ever more members ends the subscription, and nothing else.
func TestTooManyMembers(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	for name, attack := range map[string]func(s *lobby, i int){
		"members that enter": func(s *lobby, i int) {
			s.say(protocol.PresenceEnter, lobbyMember{fmt.Sprint(i), long})
		},
		"members with long ids": func(s *lobby, i int) {
			s.say(protocol.PresenceEnter, lobbyMember{ID: fmt.Sprint(i, long)})
		},
		"infos that grow": func(s *lobby, i int) {
			s.say(protocol.PresenceUpdate, lobbyMember{fmt.Sprint(i % 10), strings.Repeat(long, 1+i/10*59)})
		},
		"a snapshot that does not end": func(s *lobby, i int) {
			s.say(protocol.PresencePart, []lobbyMember{{fmt.Sprint(i), long}})
		},
		"a snapshot of members without anything": func(s *lobby, i int) {
			part := make([]lobbyMember, 500)
			for j := range part {
				part[j].ID = fmt.Sprint(i, j)
			}
			s.say(protocol.PresencePart, part)
		},
		"a snapshot in one message": func(s *lobby, i int) {
			part := make([]lobbyMember, 60_000)
			for j := range part {
				part[j].ID = fmt.Sprint(i, j)
			}
			s.say(protocol.PresenceEnd, part)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newLobby(t)
				i := 0
				for ; !s.over(); i++ {
					if i > 1000 {
						t.Fatal("the subscription goes on")
					}
					attack(s, i)
				}
				if err := <-s.ended; !errors.Is(err, client.ErrTooManyMembers) {
					t.Errorf("the subscription has ended: %v", err)
				}
				if ref := <-s.left; ref != s.ref {
					t.Errorf("the client has unsubscribed %d, want %d", ref, s.ref)
				}
				events := fmt.Sprint(s.events)
				attack(s, i)
				s.say(protocol.PresenceEnter, lobbyMember{ID: "late"})
				for _, err := range s.sub.Messages(t.Context()) {
					if !errors.Is(err, client.ErrTooManyMembers) {
						t.Errorf("another Messages: %v", err)
					}
				}
				if after := fmt.Sprint(s.events); after != events {
					t.Errorf("events %s after the end, %s before", after, events)
				}
				if _, err := s.client.Request(t.Context(), "r", protocol.Text("x")); err != nil {
					t.Errorf("a request on the connection: %v", err)
				}
				if n := s.client.Stats().Connects; n != 1 {
					t.Errorf("%d connections", n)
				}
			})
		})
	}
}

// 20,000 members are no attack, even if all of them are replaced, as after a restart of their
// server, and however many come and go.
func TestManyMembers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const n = 20_000
		s := newLobby(t)
		member := func(i int) lobbyMember {
			return lobbyMember{fmt.Sprintf("%032d", i), map[string]string{"name": fmt.Sprintf("somebody with the number %d", i)}}
		}
		s.snapshot(n, member)
		s.want(n, 0, 0, n)
		s.snapshot(n, member)
		s.want(0, 0, 0, n)
		s.snapshot(n, func(i int) lobbyMember { return member(n + i) })
		s.want(n, 0, n, n)
		const many = 3000 // of whom not all would fit
		long := strings.Repeat("x", 2000)
		for i := range many {
			s.say(protocol.PresenceEnter, lobbyMember{fmt.Sprint(i), long})
			s.say(protocol.PresenceEnter, lobbyMember{fmt.Sprint(i), long})
			s.say(protocol.PresenceLeave, lobbyMember{ID: fmt.Sprint(i)})
		}
		s.want(many, 0, many, n)
		for i := range many {
			s.say(protocol.PresenceUpdate, lobbyMember{member(n).ID, fmt.Sprint(i, long)})
		}
		s.want(0, many, 0, n)
		s.say(protocol.PresenceEnd, []lobbyMember{{"a", "b"}})
		s.want(1, 0, n, 1)
		if s.here["a"] != `"b"` {
			t.Errorf("there are %v", s.here)
		}
	})
}

// What cannot be read is ignored.
func TestPresenceThatCannotBeRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newLobby(t)
		for _, op := range []protocol.PresenceOp{protocol.PresencePart, protocol.PresenceEnter, protocol.PresenceLeave, protocol.PresenceUpdate} {
			for _, data := range []string{"", "x", "1", "[", `[{"id":"cut`, `{"id":`, `"text"`} {
				s.peer.send(protocol.PresenceBody{Ref: s.ref, Op: op, Data: []byte(data)}.Message())
			}
		}
		synctest.Wait()
		s.want(0, 0, 0, 0)
		s.say(protocol.PresenceEnd, []any{1, "x", lobbyMember{ID: "a"}, map[string]any{"id": 1}, lobbyMember{"b", nil}})
		s.want(2, 0, 0, 2)
		s.peer.send(protocol.PresenceBody{Ref: s.ref, Op: protocol.PresenceEnd}.Message()) // nobody
		synctest.Wait()
		s.want(0, 0, 2, 0)
	})
}

// Presence that the client did not ask for is dropped.
func TestPresenceNotAskedFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, p := welcomed(t, client.Options{}, 0)
		go func() {
			for {
				m := p.receive()
				if m.Kind != protocol.Subscribe {
					continue
				}
				body, err := m.Subscribe()
				if err != nil {
					t.Error(err)
				}
				p.send(protocol.Message{Kind: protocol.Reply, ID: m.ID, Payload: protocol.Position{}.Payload()})
				p.send(protocol.PresenceBody{Ref: body.Ref, Op: protocol.PresenceEnter, Data: []byte(`{"id":"a"}`)}.Message())
				p.send(protocol.Message{Kind: protocol.Publication, Ref: body.Ref, Name: "m", Payload: protocol.Text("x")})
				return
			}
		}()
		wantTaken(t, subscribe(t, c, client.SubscribeOptions{}), 1, "m ")
		if n := c.Stats().Dropped; n != 1 {
			t.Errorf("%d messages were dropped", n)
		}
	})
}

package server_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/engine/enginetest"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// history and everything are Options.Topics.
func history(string) server.TopicOptions { return server.TopicOptions{History: true} }

func everything(string) server.TopicOptions {
	return server.TopicOptions{History: true, Presence: true}
}

// anybody is Hooks.OnSubscribe.
func anybody(context.Context, *server.Conn, string) (any, error) { return nil, nil }

func newTopical(t *testing.T, opts server.Options) *server.Server {
	t.Helper()
	opts.Version = protocol.V3_0
	if opts.Hooks.OnSubscribe == nil {
		opts.Hooks.OnSubscribe = anybody
	}
	if opts.Logger == nil {
		opts.Logger = discard
	}
	srv := server.New(opts)
	t.Cleanup(func() { srv.Close() })
	return srv
}

func (p *peer) subscribe(id uint64, ref uint32, topic string, since *protocol.Position) {
	p.t.Helper()
	p.send(protocol.SubscribeBody{ID: protocol.NewID(id), Ref: ref, Topic: topic, Since: since}.Message())
}

// subscribed subscribes and returns the position in the reply.
func (p *peer) subscribed(id uint64, ref uint32, topic string, since *protocol.Position) protocol.Position {
	p.t.Helper()
	p.subscribe(id, ref, topic, since)
	at, err := p.reply(id, protocol.Reply).Payload.Position()
	if err != nil {
		p.t.Fatal(err)
	}
	return at
}

// published returns the next message, which must be a publication.
func (p *peer) published(ref uint32, text string) protocol.Message {
	p.t.Helper()
	m := p.receive()
	if m.Kind != protocol.Publication || m.Ref != ref || m.Payload.Text() != text {
		p.t.Fatalf("got %v %d %q, want publication %d %q", m.Kind, m.Ref, m.Payload.Text(), ref, text)
	}
	return m
}

// gap returns the next message, which must be a gap.
func (p *peer) gap(ref uint32) protocol.GapBody {
	p.t.Helper()
	m := p.receive()
	g, err := m.Gap()
	if err != nil || g.Ref != ref {
		p.t.Fatalf("got %v %d, want gap of %d", m.Kind, m.Ref, ref)
	}
	return g
}

func publish(t *testing.T, srv *server.Server, topic, text string) engine.Position {
	t.Helper()
	at, err := srv.Topic(topic).Publish(t.Context(), "m", protocol.Text(text))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// Members of every version get what is published, subscribers as publications and others
// as signals.
func TestTopic(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := newTopical(t, server.Options{})
		topic := srv.Topic("room")
		var peers []*peer
		for _, v := range protocol.Versions() {
			peers = append(peers, connectEndpoint(t, srv, v))
		}
		for c := range srv.Conns() {
			if err := topic.Join(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if err := topic.Join(t.Context(), c); err != nil { // again
				t.Fatal(err)
			}
		}
		subscriber := connect(t, srv, protocol.V3_0)
		subscriber.subscribed(1, 7, "room", nil)
		if n := len(slices.Collect(topic.Conns())); n != len(peers)+1 {
			t.Errorf("%d members", n)
		}
		publish(t, srv, "room", "hello")
		for _, p := range peers {
			if m := p.receive(); m.Kind != protocol.Signal || m.Name != "m" || m.Payload.Text() != "hello" {
				t.Errorf("%v: got %+v", p.version, m)
			}
		}
		if m := subscriber.published(7, "hello"); m.Name != "m" || m.Number != 0 {
			t.Errorf("got %+v", m)
		}
		subscriber.send(protocol.Message{Kind: protocol.Unsubscribe, Ref: 7})
		synctest.Wait()
		for c := range topic.Conns() {
			topic.Leave(c)
		}
		publish(t, srv, "room", "nobody")
		for _, p := range append(peers, subscriber) {
			p.quiet()
		}
		if n := srv.Stats().Topics; n != 1 {
			t.Errorf("%d topics right after the last has left", n)
		}
		time.Sleep(3 * time.Second)
		if n := srv.Stats().Topics; n != 0 {
			t.Errorf("%d topics later", n)
		}
	})
}

// A subscriber that comes back gets what it missed, from the node and from the log, or
// learns that it cannot.
func TestTopicRecovery(t *testing.T) {
	for _, n := range []int{0, 1, 16, 17, 99, 100, 101, 300, 999} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				memory := &engine.Memory{History: 500}
				srv := newTopical(t, server.Options{Engine: memory.Node(), Topics: history})
				p := connect(t, srv, protocol.V3_0)
				begin := p.subscribed(1, 1, "room", nil)
				for i := range n {
					publish(t, srv, "room", fmt.Sprint(i))
					p.published(1, fmt.Sprint(i))
				}
				p.subscribe(2, 2, "room", &begin)
				first := 0
				if n > 500 {
					first = n - 500
					if g := p.gap(2); g.Next.Epoch != begin.Epoch || g.Next.Offset != begin.Offset+uint64(first) || g.Lost != 0 {
						t.Errorf("gap %+v after %+v", g, begin)
					}
				}
				at, err := p.reply(2, protocol.Reply).Payload.Position()
				if err != nil || at.Offset != begin.Offset+uint64(first) || at.Epoch != begin.Epoch {
					t.Errorf("goes on at %v, %v, after %v", at, err, begin)
				}
				for i := first; i < n; i++ {
					m := p.published(2, fmt.Sprint(i))
					if m.Number <= at.Offset {
						t.Fatalf("offset %d after %d", m.Number, at.Offset)
					}
					at.Offset = m.Number
				}
				publish(t, srv, "room", "live")
				p.published(1, "live")
				p.published(2, "live")
				p.quiet()
			})
		})
	}
}

// Positions of another epoch, and from the future, are gaps.
func TestTopicSinceNonsense(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := newTopical(t, server.Options{Topics: history})
		at := publish(t, srv, "room", "a")
		p := connect(t, srv, protocol.V3_0)
		for i, since := range []protocol.Position{{}, {Epoch: 5, Offset: 5}, {Epoch: at.Epoch, Offset: 1 << 50}} {
			ref := uint32(i + 1)
			p.subscribe(uint64(ref), ref, "room", &since)
			if since != (protocol.Position{}) {
				p.gap(ref)
			}
			p.reply(uint64(ref), protocol.Reply)
			p.published(ref, "a")
		}
		p.quiet()
	})
}

// Without history nothing can be recovered, and the client learns that.
func TestTopicSinceWithoutHistory(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := newTopical(t, server.Options{})
		p := connect(t, srv, protocol.V3_0)
		p.subscribe(1, 1, "room", &protocol.Position{Epoch: 1, Offset: 1})
		if g := p.gap(1); g.Next != (protocol.Position{}) {
			t.Errorf("got %+v", g)
		}
		p.reply(1, protocol.Reply)
		for _, err := range srv.Topic("room").History(t.Context(), engine.Position{}, 10) {
			if !errors.Is(err, protocol.ErrUnsupported) {
				t.Errorf("History: %v", err)
			}
		}
		if _, err := srv.Topic("room").Count(t.Context()); !errors.Is(err, protocol.ErrUnsupported) {
			t.Errorf("Count: %v", err)
		}
	})
}

func TestTopicHistory(t *testing.T) {
	bubble(t, func(t *testing.T) {
		memory := &engine.Memory{History: 5}
		srv := newTopical(t, server.Options{Engine: memory.Node(), Topics: history})
		first := publish(t, srv, "room", "0")
		for i := range 9 {
			publish(t, srv, "room", fmt.Sprint(i+1))
		}
		var got []string
		for m, err := range srv.Topic("room").History(t.Context(), first, 3) {
			if err != nil {
				got = append(got, err.Error())
				continue
			}
			got = append(got, m.Payload.Text())
		}
		if want := []string{server.ErrHistoryGap.Error(), "5", "6", "7"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// Lost deliveries are read from the log: when the next one comes, and by the check.
func TestTopicLostDeliveries(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var memory engine.Memory
		f := enginetest.NewFaulty(memory.Node())
		srv := newTopical(t, server.Options{Engine: f.Engine(), Topics: history})
		p := connect(t, srv, protocol.V3_0)
		p.subscribed(1, 1, "room", nil)

		f.Lose(1) // before the first check, which comes after a second
		publish(t, srv, "room", "a")
		p.published(1, "a")

		f.Lose(2)
		publish(t, srv, "room", "b")
		publish(t, srv, "room", "c")
		p.quiet()
		publish(t, srv, "room", "d")
		for _, text := range []string{"b", "c", "d"} {
			p.published(1, text)
		}

		f.Lose(1)
		publish(t, srv, "room", "e")
		began := time.Now()
		p.published(1, "e")
		if took := time.Since(began); took > 48*time.Second {
			t.Errorf("found after %v", took)
		}
		p.quiet()
	})
}

// The engine goes away: publishing fails, subscribing is answered with failure 14, and
// what others published meanwhile arrives after its return.
func TestTopicEngineAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var memory engine.Memory
		var rec record
		f := enginetest.NewFaulty(memory.Node())
		srv := newTopical(t, server.Options{Engine: f.Engine(), Topics: history, Logger: rec.logger()})
		other := newTopical(t, server.Options{Engine: memory.Node(), Topics: history})
		p := connect(t, srv, protocol.V3_0)
		p.subscribed(1, 1, "room", nil)
		f.Cut()
		if _, err := srv.Topic("room").Publish(t.Context(), "m", protocol.Text("x")); !errors.Is(err, engine.ErrAway) {
			t.Errorf("Publish: %v", err)
		}
		p.subscribe(2, 2, "other", nil)
		if m := p.reply(2, protocol.ReplyFailure); protocol.FailureCode(m.Payload.Data[0]) != protocol.FailureUnavailable {
			t.Errorf("subscribe is answered %v", m.Err())
		}
		publish(t, other, "room", "a")
		publish(t, other, "room", "b")
		p.quiet()
		if srv.Stats().EngineErrors < 2 || rec.take() == "" {
			t.Error("nobody learns of it")
		}
		f.Heal()
		p.published(1, "a")
		p.published(1, "b")
		p.quiet()
		p.subscribed(3, 2, "other", nil) // a ref is free after a refusal
	})
}

// A topic without history cannot find out what was lost while the engine was away: its
// members are told of a gap, also those that are behind, which get the latest all the same.
// Those of a topic with history learn of nothing.
func TestTopicEngineAwayWithoutHistory(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var memory engine.Memory
		f := enginetest.NewFaulty(memory.Node())
		opts := server.Options{Engine: f.Engine(), OutboxSize: 5000, WriteTimeout: time.Hour, ReadTimeout: 24 * time.Hour, ResumeWindow: -1,
			Topics: func(name string) server.TopicOptions {
				return server.TopicOptions{History: name == "kept", Overflow: server.LatestPerKey}
			}}
		srv := newTopical(t, opts)
		opts.Engine = memory.Node()
		other := newTopical(t, opts)
		p := connect(t, srv, protocol.V3_0)
		p.subscribed(1, 1, "room", nil)
		p.subscribed(2, 2, "kept", nil)
		slow := connectDeaf(t, context.Background(), srv, protocol.V3_0)
		slow.subscribe(1, 1, "room", nil)
		synctest.Wait()
		latest := ""
		for i := range 300 {
			latest = fmt.Sprintf("%01000d", i)
			publish(t, other, "room", latest)
			p.published(1, latest)
		}
		f.Cut()
		publish(t, other, "room", "lost")
		p.quiet()
		f.Heal()
		if g := p.gap(1); g.Lost != 0 || g.Next != (protocol.Position{}) {
			t.Errorf("got %+v", g)
		}
		p.quiet()
		if n := srv.Stats().TopicGaps; n != 1 {
			t.Errorf("%d gaps are counted", n)
		}
		slow.listen()
		slow.reply(1, protocol.Reply)
		told := false
		for text := ""; text != latest; {
			m := slow.receive()
			text = m.Payload.Text()
			if m.Kind == protocol.Gap {
				g, _ := m.Gap()
				told = told || g.Lost == 0
			}
		}
		if !told {
			t.Error("a member that is behind learns of no loss")
		}
		publish(t, other, "room", "live")
		p.published(1, "live")
		slow.published(1, "live")
	})
}

// The log loses everything: members learn of it, and get what follows.
func TestTopicRestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var memory, next engine.Memory
		f := enginetest.NewFaulty(memory.Node())
		srv := newTopical(t, server.Options{Engine: f.Engine(), Topics: history})
		p := connect(t, srv, protocol.V3_0)
		at := p.subscribed(1, 1, "room", nil)
		publish(t, srv, "room", "a")
		p.published(1, "a")
		if err := f.Restart(t.Context(), next.Node()); err != nil {
			t.Fatal(err)
		}
		if g := p.gap(1); g.Next.Epoch == at.Epoch || g.Next.Epoch == 0 {
			t.Errorf("got %+v after %+v", g, at)
		}
		publish(t, srv, "room", "b")
		p.published(1, "b")
		p.quiet()
	})
}

func wire(at engine.Position) *protocol.Position {
	p := protocol.Position(at)
	return &p
}

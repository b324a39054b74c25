package server_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/engine/enginetest"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// sometimes is a fault of every second operation or so.
func sometimes(err error) enginetest.Fault {
	return func(ctx context.Context, next func(context.Context) error) error {
		time.Sleep(time.Duration(rand.IntN(5)) * time.Millisecond)
		switch rand.IntN(4) {
		case 0:
			return err
		case 1: // it happens, and nobody learns
			next(ctx)
			return engine.ErrUnconfirmed
		}
		return next(ctx)
	}
}

// watched is a bus that knows what the node is subscribed to.
type watched struct {
	engine.Bus
	mu  sync.Mutex
	now map[string]bool
}

func (w *watched) Subscribe(ctx context.Context, subjects ...string) error {
	err := w.Bus.Subscribe(ctx, subjects...)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range subjects {
		w.now[s] = true // also after an error: it may have happened
	}
	return err
}

func (w *watched) Unsubscribe(subjects ...string) {
	w.Bus.Unsubscribe(subjects...)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range subjects {
		delete(w.now, s)
	}
}

// observer returns the roster of a node of its own.
func observer(t *testing.T, memory *engine.Memory) engine.Roster {
	t.Helper()
	e := memory.Node()
	if err := newTopical(t, server.Options{Engine: e}).OpenEngine(t.Context()); err != nil {
		t.Fatal(err)
	}
	return e.Roster
}

// However connections join and leave, and the engine fails, no subscription is left, and
// whoever has joined gets what is published, once.
func TestTopicStorm(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var memory engine.Memory
		roster := observer(t, &memory)
		f := enginetest.NewFaulty(memory.Node())
		e := f.Engine()
		bus := &watched{Bus: e.Bus, now: make(map[string]bool)}
		e.Bus = bus
		srv := newTopical(t, server.Options{Engine: e, Topics: everything})
		const peers, topics = 64, 8
		for range peers {
			p := connect(t, srv, protocol.V3_0)
			for c := range srv.Conns() {
				if c.Value() == nil {
					c.SetValue(p)
				}
			}
		}
		conns := slices.Collect(srv.Conns())
		for _, op := range []enginetest.Op{enginetest.Subscribe, enginetest.Tops, enginetest.Put} {
			f.Break(op, sometimes(engine.ErrAway))
		}
		var storm sync.WaitGroup
		var wanted [peers][]string // what each has published where it was a member
		for i, c := range conns {
			storm.Go(func() {
				for round := range 40 {
					topic := srv.Topic(fmt.Sprint(rand.IntN(topics)))
					err := topic.Join(t.Context(), c)
					if err != nil && !errors.Is(err, engine.ErrAway) && !errors.Is(err, engine.ErrUnconfirmed) {
						t.Errorf("Join: %v", err)
					}
					text := fmt.Sprintf("%d.%d", i, round)
					if _, err := topic.Publish(t.Context(), "m", protocol.Text(text)); err != nil {
						t.Error(err)
					} else if topic.Has(c) {
						wanted[i] = append(wanted[i], text)
					}
					time.Sleep(time.Duration(1+rand.IntN(3000)) * time.Millisecond)
					if i%8 == 0 && round == 20 {
						c.Abort() // and it goes on trying
						for err == nil || !errors.Is(err, server.ErrConnClosed) {
							<-c.Context().Done()
							err = topic.Join(t.Context(), c)
						}
						return
					}
					topic.Leave(c)
				}
			})
		}
		storm.Wait()
		for _, op := range []enginetest.Op{enginetest.Subscribe, enginetest.Tops, enginetest.Put} {
			f.Mend(op)
		}
		time.Sleep(5 * time.Second)
		bus.mu.Lock()
		if left := len(bus.now); left > 0 || srv.Stats().Topics > 0 {
			t.Errorf("%d subscriptions are left, and %d topics", left, srv.Stats().Topics)
		}
		bus.mu.Unlock()
		for i := range topics {
			if members, err := roster.List(t.Context(), fmt.Sprint(i)); err != nil || len(members) > 0 {
				t.Errorf("topic %d has members: %q, %v", i, members, err)
			}
			for _, err := range srv.Topic(fmt.Sprint(i)).Members(t.Context()) {
				t.Errorf("topic %d has a member (%v)", i, err)
			}
		}
		for i, c := range conns {
			if i%8 == 0 {
				continue
			}
			if err := srv.Topic("after").Join(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		publish(t, srv, "after", "x")
		synctest.Wait()
		for i, c := range conns {
			if i%8 == 0 {
				continue
			}
			p := c.Value().(*peer)
			got := make(map[string]int)
			for len(p.got) > 0 {
				got[p.receive().Payload.Text()]++
			}
			for _, text := range append(wanted[i], "x") {
				if got[text] != 1 {
					t.Errorf("%d got %q %d times", i, text, got[text])
				}
			}
			for text, n := range got {
				if n > 1 {
					t.Errorf("%d got %q %d times", i, text, n)
				}
			}
			if len(wanted[i]) < 10 {
				t.Errorf("%d was a member %d times", i, len(wanted[i]))
			}
		}
	})
}

// However clients subscribe and unsubscribe, before an answer comes too, and whatever the engine
// does meanwhile: afterwards each gets what is published to the topics that it has subscribed
// to, once for each subscription, and nothing is left of the others.
func TestSubscribeStorm(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var memory engine.Memory
		roster := observer(t, &memory)
		f := enginetest.NewFaulty(memory.Node())
		e := f.Engine()
		bus := &watched{Bus: e.Bus, now: make(map[string]bool)}
		e.Bus = bus
		srv := newTopical(t, server.Options{Engine: e, Topics: everything, ResumeWindow: -1})
		const peers, topics = 64, 8
		for _, op := range []enginetest.Op{enginetest.Subscribe, enginetest.Tops, enginetest.Read, enginetest.Put} {
			f.Break(op, sometimes(engine.ErrAway))
		}
		var all [peers]*peer
		for i := range all {
			all[i] = connectDeaf(t, context.Background(), srv, protocol.V3_0)
			all[i].listenFor(1 << 12)
		}
		var storm sync.WaitGroup
		for i, p := range all {
			rng := rand.New(rand.NewPCG(uint64(i), 3))
			storm.Go(func() {
				for ref := uint32(1); ref <= 30; ref++ {
					var since *protocol.Position
					if rng.IntN(2) == 0 {
						since = &protocol.Position{}
					}
					p.subscribe(uint64(ref), ref, fmt.Sprint(rng.IntN(topics)), since)
					time.Sleep(time.Duration(rng.IntN(2000)) * time.Millisecond)
					if rng.IntN(4) == 0 {
						_, err := srv.Topic(fmt.Sprint(rng.IntN(topics))).Publish(t.Context(), "m", protocol.Text("noise"))
						if err != nil {
							t.Error(err)
						}
					}
					p.send(protocol.Message{Kind: protocol.Unsubscribe, Ref: ref})
				}
				if i%8 == 0 {
					p.conn.Abort()
				}
			})
		}
		storm.Wait()
		for _, op := range []enginetest.Op{enginetest.Subscribe, enginetest.Tops, enginetest.Read, enginetest.Put} {
			f.Mend(op)
		}
		time.Sleep(30 * time.Second)
		bus.mu.Lock()
		if left := len(bus.now); left > 0 || srv.Stats().Topics > 0 {
			t.Errorf("%d subscriptions are left, and %d topics", left, srv.Stats().Topics)
		}
		bus.mu.Unlock()
		for i := range topics {
			if members, err := roster.List(t.Context(), fmt.Sprint(i)); err != nil || len(members) > 0 {
				t.Errorf("topic %d has members: %q, %v", i, members, err)
			}
		}
		for i, p := range all {
			if i%8 == 0 {
				continue
			}
			for len(p.got) > 0 {
				<-p.got
			}
			p.subscribed(100, 100, "after", nil)
			p.subscribed(101, 101, "after", nil)
		}
		publish(t, srv, "after", "x")
		for i, p := range all {
			if i%8 != 0 {
				a, b := p.receive(), p.receive()
				if a.Payload.Text() != "x" || b.Payload.Text() != "x" || a.Ref+b.Ref != 201 {
					t.Errorf("peer %d got %v of %d, %v of %d", i, a.Kind, a.Ref, b.Kind, b.Ref)
				}
				p.quiet()
			}
		}
	})
}

// A connection that joins while the engine does not answer delays no delivery, in its
// topic or another.
func TestTopicDeliveryWaitsForNoJoin(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var memory engine.Memory
		f := enginetest.NewFaulty(memory.Node())
		srv := newTopical(t, server.Options{Engine: f.Engine()})
		p, late := connect(t, srv, protocol.V3_0), connect(t, srv, protocol.V3_0)
		p.subscribed(1, 1, "room", nil)
		synctest.Wait()
		f.Break(enginetest.Subscribe, enginetest.Delay(time.Hour))
		ctx, cancel := context.WithCancel(t.Context())
		var joining sync.WaitGroup
		for i := range 100 { // of all shards
			joining.Go(func() {
				for c := range srv.Conns() {
					if err := srv.Topic(fmt.Sprint(i)).Join(ctx, c); !errors.Is(err, context.Canceled) {
						t.Errorf("Join: %v", err)
					}
				}
			})
		}
		synctest.Wait()
		began := time.Now()
		late.subscribed(1, 1, "room", nil) // the node has subscribed already
		publish(t, srv, "room", "x")
		p.published(1, "x")
		late.published(1, "x")
		if took := time.Since(began); took != 0 {
			t.Errorf("took %v", took)
		}
		cancel()
		joining.Wait()
		p.conn.Abort()
		late.conn.Abort()
	})
}

// A join on a connection that has ended fails, and leaves nothing behind.
func TestTopicJoinEnded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := newTopical(t, server.Options{ResumeWindow: -1})
		p := connect(t, srv, protocol.V3_0)
		synctest.Wait()
		c := grab(t, srv)
		room := srv.Topic("room")
		if err := room.Join(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if !room.Has(c) || srv.Topic("other").Has(c) {
			t.Error("Has does not know of the member")
		}
		room.Leave(c)
		if room.Has(c) {
			t.Error("who has left is a member")
		}
		if err := room.Join(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		p.conn.Abort()
		synctest.Wait()
		if room.Has(c) {
			t.Error("a connection that has ended is a member")
		}
		if n := len(slices.Collect(srv.Topic("room").Conns())); n != 0 {
			t.Errorf("%d members", n)
		}
		if err := srv.Topic("room").Join(t.Context(), c); !errors.Is(err, server.ErrConnClosed) {
			t.Errorf("Join: %v", err)
		}
		time.Sleep(3 * time.Second)
		if n := srv.Stats().Topics; n != 0 {
			t.Errorf("%d topics", n)
		}
	})
}

func TestTopicName(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := newTopical(t, server.Options{})
		p := connect(t, srv, protocol.V3_0)
		p.subscribe(1, 1, strings.Repeat("x", 256), nil)
		p.reply(1, protocol.ReplyError)
		for _, name := range []string{"", strings.Repeat("x", 256)} {
			if _, err := srv.Topic(name).Publish(t.Context(), "m", protocol.Text("x")); !errors.Is(err, engine.ErrName) {
				t.Errorf("Publish: %v", err)
			}
			if err := srv.Topic(name).Join(t.Context(), grab(t, srv)); !errors.Is(err, engine.ErrName) {
				t.Errorf("Join: %v", err)
			}
		}
	})
}

// OnSubscribe decides. Its error is the client's, and nothing is left of the attempt.
func TestOnSubscribe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := newTopical(t, server.Options{Hooks: server.Hooks{
			OnSubscribe: func(_ context.Context, c *server.Conn, topic string) (any, error) {
				switch topic {
				case "secret":
					return nil, &protocol.Error{Code: "NO", Message: "not for you"}
				case "panic":
					panic("x")
				}
				return nil, nil
			},
		}})
		p := connect(t, srv, protocol.V3_0)
		p.subscribe(1, 1, "secret", nil)
		if m := p.reply(1, protocol.ReplyError); m.Name != "NO" {
			t.Errorf("got %+v", m)
		}
		p.subscribe(2, 1, "panic", nil)
		p.reply(2, protocol.ReplyFailure)
		publish(t, srv, "secret", "x")
		p.quiet()
		if n := srv.Stats().Topics; n != 0 {
			t.Errorf("%d topics", n)
		}
		p.subscribed(3, 1, "open", nil)
		p.subscribe(4, 1, "open", nil) // the ref is in use
		if _, err := p.over(); err != server.ErrProtocolViolation {
			t.Errorf("got %v", err)
		}
	})
}

// A connection that several goroutines let join at once is a member when each returns.
func TestTopicJoinAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := newTopical(t, server.Options{ResumeWindow: -1})
		p := connect(t, srv, protocol.V3_0)
		c := grab(t, srv)
		room := srv.Topic("room")
		for range 10_000 {
			var joining sync.WaitGroup
			for range 4 {
				joining.Go(func() {
					if err := room.Join(t.Context(), c); err != nil || !slices.Contains(slices.Collect(room.Conns()), c) {
						t.Errorf("%v, and it is not a member", err)
					}
				})
			}
			joining.Wait()
			room.Leave(c)
		}
		p.conn.Abort()
	})
}

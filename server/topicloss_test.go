package server_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/engine/enginetest"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// shortened is an engine whose log can lose its end, and stay in its epoch: that happens
// when servers lose what they had not written to the disk.
type shortened struct {
	engine.Bus
	engine.Log
	inlet engine.Inlet
	end   atomic.Uint64 // the offset of the last entry that is left; zero: nothing is lost
}

func (s *shortened) Open(ctx context.Context, self engine.NodeID, in engine.Inlet) error {
	s.inlet = in
	return s.Bus.Open(ctx, self, in)
}

func (s *shortened) Tops(ctx context.Context, topics []string) ([]engine.Top, error) {
	tops, err := s.Log.Tops(ctx, topics)
	if end := s.end.Load(); end > 0 {
		for i := range tops {
			tops[i].Now.Offset = end
			tops[i].Last = tops[i].Now
		}
	}
	return tops, err
}

func (s *shortened) Read(ctx context.Context, topic string, after engine.Position, most int) (engine.Page, error) {
	end := s.end.Load()
	if end > 0 && after.Offset > end {
		page, err := s.Log.Read(ctx, topic, engine.Position{}, int(end))
		page.Now.Offset, page.More, page.Complete = end, false, false
		return page, err
	}
	return s.Log.Read(ctx, topic, after, most)
}

// A log that has lost its end goes on at a position that members had already seen: they
// learn of that, and get what follows.
func TestTopicLogLosesItsEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var memory engine.Memory
		e := memory.Node()
		s := &shortened{Bus: e.Bus, Log: e.Log}
		srv := newTopical(t, server.Options{Engine: engine.Engine{Bus: s, Log: s}, Topics: history})
		p := connect(t, srv, protocol.V3_0)
		p.subscribed(1, 1, "room", nil)
		texts := []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"}
		var at []engine.Position
		for _, text := range texts {
			at = append(at, publish(t, srv, "room", text))
			p.published(1, text)
		}
		s.end.Store(5)
		s.inlet.Lost(nil, engine.ErrAway)
		if g := p.gap(1); g.Next.Epoch != at[0].Epoch || g.Next.Offset >= 5 {
			t.Errorf("got %+v", g)
		}
		for _, text := range texts[:5] { // nobody knows whether these are the same
			p.published(1, text)
		}
		page, err := e.Log.Read(t.Context(), "room", at[0], 1)
		if err != nil {
			t.Fatal(err)
		}
		s.end.Store(6)
		s.inlet.Deliver("room", engine.Delivery{At: at[5], Prev: at[4], Data: page.Entries[0].Data})
		p.published(1, "2")
		p.quiet()
	})
}

// A publication that arrives before the node knows where the log ends does not show that
// nothing was published before: that may have expired.
func TestTopicExpiredBeforeSubscribing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		memory := engine.Memory{MaxAge: time.Minute}
		f := enginetest.NewFaulty(memory.Node())
		srv := newTopical(t, server.Options{Engine: f.Engine(), Topics: history})
		other := newTopical(t, server.Options{Engine: memory.Node(), Topics: history})
		since := publish(t, other, "room", "seen")
		publish(t, other, "room", "missed")
		time.Sleep(2 * time.Minute)
		goOn := make(chan struct{})
		f.Break(enginetest.Tops, func(ctx context.Context, next func(context.Context) error) error {
			<-goOn
			return next(ctx)
		})
		first, second := connect(t, srv, protocol.V3_0), connect(t, srv, protocol.V3_0)
		first.subscribe(1, 1, "room", wire(since))
		synctest.Wait()
		publish(t, other, "room", "new")
		synctest.Wait()
		close(goOn)
		second.subscribe(1, 1, "room", wire(since))
		for _, p := range []*peer{first, second} {
			p.gap(1)
			p.reply(1, protocol.Reply)
			p.published(1, "new")
			p.quiet()
		}
	})
}

// What is lost while a topic reads what it missed before is read too.
func TestTopicLosesMoreWhileReading(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var memory engine.Memory
		f := enginetest.NewFaulty(memory.Node())
		srv := newTopical(t, server.Options{Engine: f.Engine(), Topics: history})
		other := newTopical(t, server.Options{Engine: memory.Node(), Topics: history})
		p := connect(t, srv, protocol.V3_0)
		p.subscribed(1, 1, "room", nil)
		time.Sleep(5 * time.Second) // the first check is over
		goOn := make(chan struct{})
		f.Break(enginetest.Read, func(ctx context.Context, next func(context.Context) error) error {
			err := next(ctx)
			<-goOn
			return err
		})
		f.Lose(1)
		publish(t, other, "room", "a")
		publish(t, other, "room", "b")
		synctest.Wait()
		f.Cut()
		publish(t, other, "room", "c")
		synctest.Wait()
		f.Heal()
		synctest.Wait()
		began := time.Now()
		close(goOn)
		for _, text := range []string{"a", "b", "c"} {
			p.published(1, text)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("found after %v", took)
		}
		p.quiet()
	})
}

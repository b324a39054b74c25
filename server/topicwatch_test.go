package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/engine/enginetest"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// crowded returns a server whose members have an info.
func crowded(t *testing.T, e engine.Engine, info string) *server.Server {
	t.Helper()
	return newTopical(t, server.Options{Engine: e, Topics: everything, ResumeWindow: -1, Hooks: server.Hooks{
		OnSubscribe: func(context.Context, *server.Conn, string) (any, error) { return info, nil },
	}})
}

// crowd makes n members of the room, with the refs 1 to n.
func crowd(t *testing.T, srv *server.Server, n int) *peer {
	t.Helper()
	p := connect(t, srv, protocol.V3_0)
	for i := range n {
		p.subscribed(uint64(i+1), uint32(i+1), "room", nil)
	}
	return p
}

func (p *peer) unsubscribe(ref int) {
	p.t.Helper()
	p.send(protocol.Message{Kind: protocol.Unsubscribe, Ref: uint32(ref)})
}

// watcher is a peer with a subscription to the room, ref 1, that knows who is there.
type watcher struct {
	*peer
	here      map[string]string // infos by id
	loading   map[string]string
	snapshots int
	enters    int
	leaves    int
	published int
}

func watch(p *peer) *watcher {
	p.t.Helper()
	p.send(protocol.SubscribeBody{ID: protocol.NewID(1), Ref: 1, Topic: "room", Presence: true}.Message())
	return &watcher{peer: p}
}

// look handles what has arrived.
func (w *watcher) look() {
	w.t.Helper()
	synctest.Wait()
	for len(w.got) > 0 {
		m := w.receive()
		switch m.Kind {
		case protocol.Reply:
			continue
		case protocol.Publication:
			w.published++
			continue
		}
		body, err := m.Presence()
		if err != nil {
			w.t.Fatalf("got %v: %v", m.Kind, err)
		}
		type who struct {
			ID   string
			Data string
		}
		var one who
		var some []who
		to := any(&one)
		if body.Op <= protocol.PresenceEnd {
			to = &some
		}
		if err := json.Unmarshal(body.Data, to); err != nil {
			w.t.Fatalf("%.100q: %v", body.Data, err)
		}
		switch body.Op {
		case protocol.PresencePart, protocol.PresenceEnd:
			if w.loading == nil {
				w.loading = make(map[string]string)
			}
			for _, one := range some {
				w.loading[one.ID] = one.Data
			}
			if body.Op == protocol.PresenceEnd {
				w.here, w.loading = w.loading, nil
				w.snapshots++
			}
		case protocol.PresenceEnter:
			w.enters++
			w.here[one.ID] = one.Data
		case protocol.PresenceLeave:
			w.leaves++
			delete(w.here, one.ID)
		}
	}
	select {
	case err := <-w.ended:
		w.t.Fatalf("the connection of the watcher ended: %v", err)
	default:
	}
}

// Above the number of members that a node lists, nobody is said to have left who is there, and
// those who leave are.
func TestPresenceAboveTheList(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var memory engine.Memory
		a, b := crowded(t, memory.Node(), "x"), crowded(t, memory.Node(), "x")
		watchers := []*watcher{watch(connect(t, a, protocol.V3_0)), watch(connect(t, b, protocol.V3_0))}
		all := crowd(t, b, 1005)
		expect := func(here, left int) {
			t.Helper()
			time.Sleep(time.Minute)
			for i, w := range watchers {
				if w.look(); len(w.here) != here || w.leaves != left {
					t.Errorf("watcher %d knows %d members and has seen %d leave, want %d and %d", i, len(w.here), w.leaves, here, left)
				}
			}
		}
		expect(1007, 0)
		for ref := range 3 {
			all.unsubscribe(ref + 1)
		}
		expect(1004, 3)
		for ref := range 10 {
			all.unsubscribe(ref + 4)
		}
		expect(994, 13) // all are listed again
		all.unsubscribe(1000)
		expect(993, 14)
		for i := range 100 {
			all.subscribed(uint64(2000+i), uint32(2000+i), "room", nil)
		}
		expect(1093, 14)
		b.Close() // all of its members are gone
		watchers = watchers[:1]
		expect(1, 14+1092)
	})
}

// small is a roster that takes records of at most so many bytes.
type small struct {
	engine.Roster
	most int
	puts atomic.Int64
}

func (s *small) Put(ctx context.Context, topic string, members []byte) error {
	s.puts.Add(1)
	if len(members) > s.most {
		return fmt.Errorf("%w: %d bytes", engine.ErrTooBig, len(members))
	}
	return s.Roster.Put(ctx, topic, members)
}

// If the engine takes no record of all members, the others learn their number; that is tried no
// more than once, and logged once. A member can still be asked.
func TestPresenceRecordTooBig(t *testing.T) {
	for _, most := range []int{5000, 1 << 20} { // the second is that of NATS, of which nodes know
		bubble(t, func(t *testing.T) {
			var memory engine.Memory
			var log record
			e := memory.Node()
			roster := &small{Roster: e.Roster, most: most}
			e.Roster = roster
			a := newTopical(t, server.Options{Engine: e, Topics: everything, Logger: log.logger(), Hooks: server.Hooks{
				OnSubscribe: func(context.Context, *server.Conn, string) (any, error) { return strings.Repeat("x", most/10), nil },
			}})
			b := crowded(t, memory.Node(), "x")
			all := crowd(t, a, 5)
			w := watch(connect(t, b, protocol.V3_0))
			expect := func(n, here int) {
				t.Helper()
				time.Sleep(30 * time.Second)
				got, err := b.Topic("room").Count(t.Context())
				if w.look(); got != n || len(w.here) != here || err != nil {
					t.Errorf("%d members, %v, of whom %d are known, want %d and %d", got, err, len(w.here), n, here)
				}
			}
			expect(6, 6)
			for ref := 6; ref <= 12; ref++ {
				all.subscribed(uint64(ref), uint32(ref), "room", nil)
			}
			expect(13, 13)
			puts := roster.puts.Load()
			time.Sleep(time.Hour)
			if n := roster.puts.Load(); n != puts {
				t.Errorf("%d records are put while nothing changes", n-puts)
			}
			for ref := 13; ref <= 16; ref++ {
				all.subscribed(uint64(ref), uint32(ref), "room", nil)
				time.Sleep(time.Second)
			}
			if n := roster.puts.Load() - puts; n != 4 {
				t.Errorf("%d records are put for 4 changes", n)
			}
			expect(17, 17)
			want := 1
			if most == 1<<20 {
				want = 0
			}
			if text := log.take(); strings.Count(text, "engine failed") != want || want > 0 && !strings.Contains(text, "counted") {
				t.Errorf("log: %q", text)
			}
			asked := make(chan error, 1)
			go func() {
				_, err := b.Topic("room").Request(t.Context(), "ping", protocol.Payload{})
				asked <- err
			}()
			m := w.receive() // members of the node itself come first
			w.send(protocol.Message{Kind: protocol.Reply, ID: m.ID})
			if err := <-asked; err != nil {
				t.Error(err)
			}
			w.conn.Abort()
			time.Sleep(10 * time.Second)
			go func() {
				_, err := b.Topic("room").Request(t.Context(), "ping", protocol.Payload{})
				asked <- err
			}()
			m = all.receive()
			all.send(protocol.Message{Kind: protocol.Reply, ID: m.ID})
			if err := <-asked; err != nil {
				t.Error(err)
			}
			for ref := 5; ref <= 16; ref++ {
				all.unsubscribe(ref)
			}
			w = watch(connect(t, b, protocol.V3_0))
			expect(5, 5) // they fit again
		})
	}
}

// A client gets the snapshot in messages that it takes; what is too long for it by itself it
// gets without its info.
func TestPresenceForASmallClient(t *testing.T) {
	bubble(t, func(t *testing.T) {
		info := make(chan string, 1)
		srv := newTopical(t, server.Options{Topics: everything, ResumeWindow: -1, Hooks: server.Hooks{
			OnSubscribe: func(context.Context, *server.Conn, string) (any, error) { return <-info, nil },
		}})
		enter := func(p *peer, ref uint32, text string) {
			t.Helper()
			info <- text
			p.subscribed(uint64(ref), ref, "room", nil)
		}
		all := connect(t, srv, protocol.V3_0)
		sizes := make(map[int]int)
		for i := range 60 {
			enter(all, uint32(i+1), strings.Repeat("x", 200+i))
			sizes[200+i]++
		}
		enter(all, 100, strings.Repeat("x", 9000))
		for n := range 100 { // one of them is just as long as a message may be
			enter(all, uint32(101+n), strings.Repeat("x", 7900+n))
		}
		time.Sleep(time.Second)
		info <- "w"
		w := watch(attachSmall(t, srv, 8000))
		time.Sleep(time.Second)
		w.look()
		if len(w.here) != 162 || w.snapshots != 1 {
			t.Errorf("%d members in %d snapshots", len(w.here), w.snapshots)
		}
		got := make(map[int]int)
		long, empty := 0, 0
		for _, info := range w.here {
			switch n := len(info); {
			case n == 0:
				empty++
			case n >= 7900:
				long = max(long, n)
			case n > 1:
				got[n]++
			}
		}
		if !maps.Equal(got, sizes) || empty+long-7899 != 101 || long < 7900 {
			t.Errorf("%d infos are missing, the longest has %d bytes: %v", empty, long, got)
		}
		enter(all, 300, strings.Repeat("x", 9000))
		time.Sleep(time.Second)
		if w.look(); len(w.here) != 163 || w.enters != 1 {
			t.Errorf("%d members, %d came", len(w.here), w.enters)
		}
		all.unsubscribe(300)
		time.Sleep(time.Second)
		if w.look(); len(w.here) != 162 || w.leaves != 1 {
			t.Errorf("%d members, %d left", len(w.here), w.leaves)
		}
	})
}

// A snapshot that is longer than the outbox is sent as the client reads, and delays nothing else.
// What happens meanwhile is told afterwards, or by another snapshot.
func TestPresenceForASlowClient(t *testing.T) {
	for _, changes := range []int{0, 20, 2400} {
		bubble(t, func(t *testing.T) {
			var memory engine.Memory
			node := func(size int) *server.Server {
				return newTopical(t, server.Options{Engine: memory.Node(), Topics: everything, ResumeWindow: -1, OutboxSize: size, Hooks: server.Hooks{
					OnSubscribe: func(context.Context, *server.Conn, string) (any, error) { return strings.Repeat("x", 900), nil },
				}})
			}
			srv, crowded := node(200_000), node(100<<20)
			all, other := crowd(t, crowded, 400), connect(t, crowded, protocol.V3_0)
			time.Sleep(5 * time.Second)
			w := watch(connectDeaf(t, context.Background(), srv, protocol.V3_0))
			time.Sleep(50 * time.Millisecond)
			for i := range changes {
				other.subscribed(uint64(i+1), uint32(i+1), "room", nil)
				if i%2 == 0 {
					other.unsubscribe(i + 1)
				}
			}
			for range 10 {
				publish(t, srv, "room", strings.Repeat("x", 1000))
			}
			time.Sleep(time.Second)
			for ref := range 10 {
				all.unsubscribe(ref + 1)
			}
			time.Sleep(time.Second)
			w.listen()
			time.Sleep(time.Minute)
			w.look()
			if want := 400 + 1 - 10 + changes/2; len(w.here) != want || w.published != 10 {
				t.Errorf("%d members, want %d; %d publications", len(w.here), want, w.published)
			}
			if again := changes > 1000; w.snapshots != 1 && !again || w.snapshots != 2 && again {
				t.Errorf("%d snapshots", w.snapshots)
			}
			before := w.enters
			connect(t, crowded, protocol.V3_0).subscribed(1, 1, "room", nil)
			time.Sleep(time.Second)
			if w.look(); w.enters != before+1 {
				t.Errorf("%d came, want 1", w.enters-before)
			}
			crowded.Close() // everybody leaves at once
			time.Sleep(time.Minute)
			if w.look(); len(w.here) != 1 {
				t.Errorf("%d members", len(w.here))
			}
		})
	}
}

// A client that unsubscribes while its snapshot is sent gets no more of it, and one that ends
// leaves nothing behind.
func TestPresenceEndsDuringSnapshot(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := newTopical(t, server.Options{Topics: everything, ResumeWindow: -1, Hooks: server.Hooks{
			OnSubscribe: func(context.Context, *server.Conn, string) (any, error) { return strings.Repeat("x", 2000), nil },
		}})
		crowd(t, srv, 400)
		time.Sleep(5 * time.Second)
		a, b := connectDeaf(t, context.Background(), srv, protocol.V3_0), connectDeaf(t, context.Background(), srv, protocol.V3_0)
		watch(a).unsubscribe(1)
		watch(b)
		time.Sleep(time.Second)
		b.conn.Abort()
		a.listen()
		time.Sleep(time.Second)
		parts := 0
		for len(a.got) > 0 {
			if m := a.receive(); m.Kind == protocol.Presence {
				parts++
			}
		}
		if parts > 20 {
			t.Errorf("%d parts", parts)
		}
		w := watch(a)
		w.loading = nil
		time.Sleep(time.Second)
		if w.look(); len(w.here) != 401 {
			t.Errorf("%d members", len(w.here))
		}
	})
}

// However many watchers come at once, a node loads once who is there.
func TestPresenceLoadsOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var memory engine.Memory
		f := enginetest.NewFaulty(memory.Node())
		f.Break(enginetest.List, func(ctx context.Context, next func(context.Context) error) error {
			err := next(ctx)
			time.Sleep(time.Second) // what it returns is old then
			return err
		})
		a, b := crowded(t, f.Engine(), "x"), crowded(t, memory.Node(), "x")
		crowd(t, b, 10)
		time.Sleep(time.Second)
		var all []*watcher
		for range 200 {
			w := watch(connect(t, a, protocol.V3_0))
			all = append(all, w)
			time.Sleep(time.Millisecond / 10)
		}
		time.Sleep(2 * time.Second)
		if n := f.Calls(enginetest.List); n != 1 {
			t.Errorf("%d calls of List", n)
		}
		for _, w := range all {
			if w.look(); len(w.here) != 210 {
				t.Errorf("%d members", len(w.here))
			}
		}

		// Whoever begins to watch while another's List is in flight misses nothing since.
		late := connect(t, b, protocol.V3_0)
		for _, w := range all {
			w.unsubscribe(1)
		}
		time.Sleep(time.Minute)
		w := watch(connect(t, a, protocol.V3_0))
		time.Sleep(50 * time.Millisecond)
		late.subscribed(1, 1, "room", nil)
		time.Sleep(time.Millisecond)
		w.unsubscribe(1)
		time.Sleep(400 * time.Millisecond)
		late.subscribed(2, 2, "room", nil)
		late.subscribed(3, 3, "room", nil)
		time.Sleep(time.Millisecond)
		w = watch(connect(t, a, protocol.V3_0))
		time.Sleep(2 * time.Second)
		if w.look(); len(w.here) != 14 {
			t.Errorf("%d members", len(w.here))
		}

		// A List that fails is repeated for whoever comes next.
		w.conn.Abort()
		time.Sleep(5 * time.Second)
		f.Break(enginetest.List, enginetest.Fail(engine.ErrAway))
		w = watch(connect(t, a, protocol.V3_0))
		time.Sleep(time.Second)
		f.Mend(enginetest.List)
		next := watch(connect(t, a, protocol.V3_0))
		time.Sleep(time.Second)
		for _, w := range []*watcher{w, next} {
			if w.look(); len(w.here) != 15 {
				t.Errorf("%d members", len(w.here))
			}
		}
	})
}

// Whoever joins while the engine is still taking the record that nobody is left is known to the
// other nodes afterwards.
func TestPresenceOfASlowPut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var memory engine.Memory
		f := enginetest.NewFaulty(memory.Node())
		a, b := crowded(t, f.Engine(), "x"), crowded(t, memory.Node(), "x")
		p := connect(t, a, protocol.V3_0)
		p.subscribed(1, 1, "room", nil)
		time.Sleep(time.Second)
		f.Break(enginetest.Put, func(ctx context.Context, next func(context.Context) error) error {
			time.Sleep(5 * time.Second)
			return next(ctx)
		})
		p.unsubscribe(1)
		synctest.Wait()
		f.Mend(enginetest.Put)
		time.Sleep(3 * time.Second)
		p.subscribed(2, 2, "room", nil)
		for range 10 {
			time.Sleep(10 * time.Second)
			if n, err := b.Topic("room").Count(t.Context()); n != 1 || err != nil {
				t.Fatalf("%d members, %v", n, err)
			}
		}
		p.unsubscribe(2)
		time.Sleep(5 * time.Second)
		if n := a.Stats().Topics; n != 0 {
			t.Errorf("%d topics", n)
		}
	})
}

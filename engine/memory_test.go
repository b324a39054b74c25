package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/engine/enginetest"
	"github.com/webwire-go/webwire/session"
)

func memoryNodes(n int) []engine.Engine {
	var memory engine.Memory
	nodes := make([]engine.Engine, n)
	for i := range nodes {
		nodes[i] = memory.Node()
	}
	return nodes
}

func TestMemory(t *testing.T) {
	enginetest.Run(t, enginetest.Harness{
		Nodes:   func(_ *testing.T, n int) []engine.Engine { return memoryNodes(n) },
		History: engine.DefaultHistory,
		Age:     func(*testing.T) { time.Sleep(engine.DefaultMaxAge) },
		Crash: func(_ *testing.T, e engine.Engine) {
			e.Bus.Close() // a node of one process does not crash alone
		},
		Bubble: true,
	})
}

// opened returns the engine of a node that is open until the test ends.
func opened(t *testing.T, memory *engine.Memory, in engine.Inlet) engine.Engine {
	t.Helper()
	e := memory.Node()
	if err := e.Bus.Open(t.Context(), engine.NewNodeID(), in); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Bus.Close() })
	return e
}

func appendTo(t *testing.T, e engine.Engine, topic string, size int) engine.Position {
	t.Helper()
	at, err := e.Log.Append(t.Context(), topic, make([]byte, size), "")
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func read(t *testing.T, e engine.Engine, topic string, after engine.Position) engine.Page {
	t.Helper()
	page, err := e.Log.Read(t.Context(), topic, after, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// All topics share the limit of bytes, and the oldest entries go first.
func TestMemoryMaxBytes(t *testing.T) {
	e := opened(t, &engine.Memory{MaxBytes: 100_000}, &enginetest.Inlet{})
	first := appendTo(t, e, "old", 1000)
	last := appendTo(t, e, "old", 1000)
	start := read(t, e, "new", engine.Position{}).Now
	for i := range 1000 {
		appendTo(t, e, fmt.Sprint("topic ", i), 900)
	}
	if page := read(t, e, "old", first); page.Complete || len(page.Entries) > 0 {
		t.Errorf("behind an evicted entry: %+v", page)
	}
	if page := read(t, e, "old", last); page.Complete {
		t.Error("the log cannot know that nothing was missed behind an entry that it has forgotten")
	}
	if page := read(t, e, "new", start); page.Complete {
		t.Error("nor that a topic never had an entry, after it has forgotten some")
	}
	kept := 0
	for i := range 1000 {
		kept += len(read(t, e, fmt.Sprint("topic ", i), engine.Position{}).Entries)
	}
	if kept < 50 || kept > 110 {
		t.Errorf("%d entries are kept in 100,000 bytes", kept)
	}
	if _, err := e.Log.Append(t.Context(), "a", make([]byte, 100_000), ""); !errors.Is(err, engine.ErrTooBig) {
		t.Errorf("an entry that is larger than all together may be: %v", err)
	}
	if page := read(t, e, "topic 999", engine.Position{}); len(page.Entries) != 1 {
		t.Error("an entry that was refused evicted another")
	}
}

// Ids are known for two minutes, and then forgotten.
func TestMemoryForgetsIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := opened(t, &engine.Memory{}, &enginetest.Inlet{})
		add := func() engine.Position {
			at, err := e.Log.Append(t.Context(), "a", nil, "id")
			if err != nil {
				t.Fatal(err)
			}
			return at
		}
		first := add()
		time.Sleep(2*time.Minute - 1)
		if at := add(); at != first {
			t.Errorf("after almost two minutes: %v, want %v", at, first)
		}
		time.Sleep(time.Nanosecond)
		if at := add(); at == first {
			t.Error("the id is never forgotten")
		}
	})
}

// A node that does not take its deliveries costs a bounded amount of memory, and
// learns what it has lost when it goes on.
func TestMemorySlowNode(t *testing.T) {
	for _, c := range []struct {
		what               string
		topics, each, size int
		want               func(lost []string) bool
	}{
		{"many", 1, 70_000, 1, func(lost []string) bool { return slices.Equal(lost, []string{"topic 0"}) }},
		{"big", 3, 50, 1 << 20, func(lost []string) bool { return slices.Equal(lost, []string{"topic 0", "topic 1", "topic 2"}) }},
		{"many topics", 70_000, 2, 1, func(lost []string) bool { return lost == nil }},
	} {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				blocked := make(chan struct{})
				var memory engine.Memory
				var mu sync.Mutex
				var told [][]string
				delivered := 0
				slow := opened(t, &memory, &enginetest.Inlet{
					OnDeliver: func(string, engine.Delivery) {
						<-blocked
						mu.Lock()
						defer mu.Unlock()
						delivered++
						if len(told) > 0 {
							t.Error("delivered after Lost, though nothing was published")
						}
					},
					OnLost: func(subjects []string, cause error) {
						mu.Lock()
						defer mu.Unlock()
						told = append(told, subjects)
					},
				})
				other := opened(t, &memory, &enginetest.Inlet{})
				for range c.each {
					for i := range c.topics {
						topic := fmt.Sprint("topic ", i)
						if err := slow.Bus.Subscribe(t.Context(), topic); err != nil {
							t.Fatal(err)
						}
						if err := other.Bus.Publish(t.Context(), topic, make([]byte, c.size)); err != nil {
							t.Fatal(err)
						}
					}
				}
				close(blocked)
				synctest.Wait()
				mu.Lock()
				defer mu.Unlock()
				if delivered == 0 || delivered >= c.topics*c.each {
					t.Errorf("%d delivered", delivered)
				}
				if len(told) != 1 || !c.want(told[0]) {
					t.Errorf("Lost was called %d times", len(told))
				}
			})
		})
	}
}

// After any number of joins and leaves at the same time nothing is left.
func TestMemoryStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var memory engine.Memory
		var in enginetest.Inlet
		e, other := opened(t, &memory, &in), opened(t, &memory, &enginetest.Inlet{})
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				for j := range 100 {
					topic := fmt.Sprint("topic ", (i+j)%8)
					if err := e.Bus.Subscribe(t.Context(), topic); err != nil {
						t.Error(err)
					}
					if _, err := other.Log.Append(t.Context(), topic, nil, ""); err != nil {
						t.Error(err)
					}
					e.Bus.Unsubscribe(topic)
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		for i := range 8 {
			topic := fmt.Sprint("topic ", i)
			before := len(in.Deliveries(topic))
			if before == 0 {
				t.Error("nothing was delivered")
			}
			appendTo(t, other, topic, 1)
			synctest.Wait()
			if len(in.Deliveries(topic)) != before {
				t.Errorf("%s is still subscribed to", topic)
			}
		}
	})
}

func TestMemoryOpensOnce(t *testing.T) {
	var memory engine.Memory
	e, id := memory.Node(), engine.NewNodeID()
	defer e.Bus.Close()
	if err := e.Bus.Open(t.Context(), id, &enginetest.Inlet{}); err != nil {
		t.Fatal(err)
	}
	if err := e.Bus.Open(t.Context(), engine.NewNodeID(), &enginetest.Inlet{}); err == nil {
		t.Error("a node was opened twice")
	}
	if err := memory.Node().Bus.Open(t.Context(), id, &enginetest.Inlet{}); err == nil {
		t.Error("two nodes have the same id")
	}
}

func TestMemorySessions(t *testing.T) {
	var memory engine.Memory
	if a, b := memory.Node().Sessions, memory.Node().Sessions; a == nil || a != b {
		t.Errorf("the nodes have the stores %v and %v", a, b)
	}
	own := &session.MemoryStore{}
	set := engine.Memory{Sessions: own}
	if set.Node().Sessions != own {
		t.Error("the store that was set is not used")
	}
}

func TestStep(t *testing.T) {
	at := func(offset uint64) engine.Position { return engine.Position{Epoch: 7, Offset: offset} }
	for _, c := range []struct {
		d    engine.Delivery
		mine engine.Position
		want engine.Step
	}{
		{engine.Delivery{}, at(5), engine.Next},
		{engine.Delivery{}, engine.Position{}, engine.Next},
		{engine.Delivery{At: at(9), Prev: at(5)}, engine.Position{}, engine.Next},
		{engine.Delivery{At: at(9), Prev: at(5)}, at(5), engine.Next},
		{engine.Delivery{At: at(9), Prev: at(5)}, at(8), engine.Next},
		{engine.Delivery{At: at(9), Prev: at(0)}, at(0), engine.Next},
		{engine.Delivery{At: at(9), Prev: at(5)}, at(4), engine.Gap},
		{engine.Delivery{At: at(9), Prev: at(5)}, at(9), engine.Seen},
		{engine.Delivery{At: at(9), Prev: at(5)}, at(10), engine.Seen},
		{engine.Delivery{At: at(9), Prev: at(5)}, engine.Position{Epoch: 6, Offset: 5}, engine.Reset},
		{engine.Delivery{At: at(9), Prev: at(5)}, engine.Position{Epoch: 8, Offset: 10}, engine.Reset},
	} {
		if got := c.d.Step(c.mine); got != c.want {
			t.Errorf("%v after %v, for a subscriber at %v: %v, want %v", c.d.At, c.d.Prev, c.mine, got, c.want)
		}
	}
}

// A node that closes after it has answered has answered.
func TestMemoryAnswersBeforeItCloses(t *testing.T) {
	for range 200 {
		var memory engine.Memory
		a, b := memory.Node(), memory.Node()
		answered := make(chan struct{})
		id := engine.NewNodeID()
		if err := a.Bus.Open(t.Context(), id, answering{answered}); err != nil {
			t.Fatal(err)
		}
		if err := b.Bus.Open(t.Context(), engine.NewNodeID(), answering{nil}); err != nil {
			t.Fatal(err)
		}
		closed := make(chan error)
		go func() {
			<-answered
			closed <- a.Bus.Close()
		}()
		if answer, err := b.Bus.Ask(t.Context(), id, nil); err != nil || string(answer) != "yes" {
			t.Fatalf("answer %q, %v", answer, err)
		}
		if err := errors.Join(<-closed, b.Bus.Close()); err != nil {
			t.Error(err)
		}
	}
}

// answering is an Inlet that tells that it has answered.
type answering struct{ answered chan struct{} }

func (answering) Deliver(string, engine.Delivery) {}
func (answering) Lost([]string, error)            {}
func (a answering) Asked(context.Context, engine.NodeID, []byte) ([]byte, error) {
	close(a.answered)
	return []byte("yes"), nil
}

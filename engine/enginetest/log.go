package enginetest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/webwire-go/webwire/engine"
)

var ofLog = []promise{
	{"Append", testAppend},
	{"AppendConcurrently", testAppendConcurrently},
	{"AppendTwice", testAppendTwice},
	{"ReadPages", testReadPages},
	{"ReadElsewhere", testReadElsewhere},
	{"Tops", testTops},
	{"Topics", testTopics},
	{"NotLogged", testNotLogged},
	{"QuietTopic", testQuietTopic},
	{"ForeignPositions", testForeignPositions},
	{"Follow", testFollow},
	{"FollowLate", testFollowLate},
}

func numbers(n int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprint(i))
	}
	return all
}

// Each delivery is linked to the one before, and has the position that Append returns.
func testAppend(t *testing.T, h Harness) {
	nodes := h.withLog(t, 2)
	connect(t, nodes, "log")
	want := numbers(10)
	var at []engine.Position
	for i, s := range want {
		at = append(at, nodes[i%2].append(t, "log", s))
		nodes[i%2].append(t, "another", s)
	}
	for _, n := range nodes {
		var before engine.Position
		for i, d := range n.awaitData(t, "log", want...) {
			if d.At != at[i] {
				t.Errorf("delivery %d is at %v, Append said %v", i, d.At, at[i])
			}
			if d.Prev.Epoch != d.At.Epoch || d.Prev.Offset != before.Offset {
				t.Errorf("delivery %d at %v follows %v, want %v", i, d.At, d.Prev, before)
			}
			if d.At.Offset <= before.Offset {
				t.Errorf("delivery %d is at %v after one at %v", i, d.At, before)
			}
			before = d.At
		}
	}
}

// All nodes see the same order, which is that of the log.
func testAppendConcurrently(t *testing.T, h Harness) {
	const each = 25
	nodes := h.withLog(t, 3)
	connect(t, nodes, "log")
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() {
			for j := range each {
				if _, err := n.Log.Append(t.Context(), "log", fmt.Appendf(nil, "%d %d", i, j), ""); err != nil {
					t.Errorf("Append: %v", err)
				}
			}
		})
	}
	wg.Wait()
	want := texts(nodes[0].read(t, "log", engine.Position{}, 1000).Entries)
	if len(want) != 3*each {
		t.Fatalf("%d entries, want %d", len(want), 3*each)
	}
	for _, n := range nodes {
		n.awaitData(t, "log", want...)
		if got := texts(n.read(t, "log", engine.Position{}, 1000).Entries); !slices.Equal(got, want) {
			t.Errorf("two nodes read different logs: %v, %v", brief(got), brief(want))
		}
	}
	var next [3]int
	for _, s := range want {
		var i, j int
		fmt.Sscan(s, &i, &j)
		if j != next[i] {
			t.Fatalf("appender %d: entry %d in the place of %d", i, j, next[i])
		}
		next[i]++
	}
}

// An id is stored once, for each topic, whoever appends.
func testAppendTwice(t *testing.T, h Harness) {
	nodes := h.withLog(t, 2)
	connect(t, nodes, "a", "b")
	add := func(n *node, topic, data, id string) engine.Position {
		t.Helper()
		at, err := n.Log.Append(t.Context(), topic, []byte(data), id)
		if err != nil {
			t.Fatalf("Append: %v", err)
		}
		return at
	}
	first := add(nodes[0], "a", "first", "id")
	for _, n := range nodes {
		if at := add(n, "a", "repeated", "id"); at != first {
			t.Errorf("Append with a known id: %v, want %v", at, first)
		}
	}
	add(nodes[1], "a", "second", "ID")
	add(nodes[0], "b", "of b", "id")
	for range 2 {
		add(nodes[0], "a", "without", "")
	}
	for _, n := range nodes {
		want := []string{"first", "second", "without", "without"}
		n.awaitData(t, "a", want...)
		n.awaitData(t, "b", "of b")
		if got := texts(n.read(t, "a", engine.Position{}, 10).Entries); !slices.Equal(got, want) {
			t.Errorf("the log has %q, want %q", got, want)
		}
	}
}

func testReadPages(t *testing.T, h Harness) {
	n := h.withLog(t, 1)[0]
	want := numbers(20)
	var at []engine.Position
	for _, s := range want {
		at = append(at, n.append(t, "log", s))
		n.append(t, "between", s)
	}
	for _, most := range []int{1, 3, 10, 19, 20, 21, 1000} {
		for from := -1; from < len(want); from += 3 {
			var position engine.Position
			if from >= 0 {
				position = at[from]
			}
			var got []string
			for {
				page := n.read(t, "log", position, most)
				if !page.Complete {
					t.Errorf("a page of %d after %v is not complete", most, position)
				}
				for _, e := range page.Entries {
					if want := at[from+1+len(got)]; e.At != want {
						t.Fatalf("entry at %v, want %v", e.At, want)
					}
					got = append(got, string(e.Data))
				}
				if page.More && (len(page.Entries) == 0 || page.Now != page.Entries[len(page.Entries)-1].At) {
					t.Fatalf("a page with more behind it ends at %v", page.Now)
				}
				if position = page.Now; !page.More {
					break
				}
				if len(got) >= len(want)-from-1 {
					t.Fatal("more is promised behind the last entry")
				}
			}
			if !slices.Equal(got, want[from+1:]) {
				t.Errorf("pages of %d after entry %d: %q", most, from, got)
			}
			if d := (engine.Delivery{At: at[len(at)-1]}); d.Step(position) != engine.Seen {
				t.Errorf("at the end the reader is at %v, before the last entry", position)
			}
			if page := n.read(t, "log", position, most); len(page.Entries) > 0 || page.More || !page.Complete {
				t.Errorf("behind the end: %+v", page)
			}
		}
	}
}

// What was appended is in the log of every node, at once.
func testReadElsewhere(t *testing.T, h Harness) {
	nodes := h.withLog(t, 3)
	var position engine.Position
	for i := range 60 {
		from, to := nodes[i%3], nodes[(i+1+i/3%2)%3]
		want := fmt.Sprint(i)
		at := from.append(t, "log", want)
		if top := to.top(t, "log"); top.Last != at {
			t.Fatalf("after an Append at %v, the top elsewhere is %v", at, top.Last)
		}
		page := to.read(t, "log", position, 10)
		if got := texts(page.Entries); !slices.Equal(got, []string{want}) || !page.Complete {
			t.Fatalf("after an Append, another node reads %q, complete: %t", got, page.Complete)
		}
		position = page.Now
	}
}

func testTops(t *testing.T, h Harness) {
	n := h.withLog(t, 1)[0]
	topics := make([]string, 50)
	last := make([]engine.Position, len(topics))
	for i := range topics {
		topics[i] = fmt.Sprint("topic ", i)
		for range i % 3 {
			last[i] = n.append(t, topics[i], "x")
		}
	}
	topics = append(topics, topics[1])
	last = append(last, last[1])
	tops, err := n.Log.Tops(t.Context(), topics)
	if err != nil || len(tops) != len(topics) {
		t.Fatalf("Tops: %d, %v", len(tops), err)
	}
	for i, top := range tops {
		if top.Last != last[i] {
			t.Errorf("the last entry of topic %d is at %v, want %v", i, top.Last, last[i])
		}
		if top.Now.Epoch == 0 || top.Now.Offset < top.Last.Offset || !last[i].IsZero() && top.Now.Epoch != top.Last.Epoch {
			t.Errorf("topic %d ends at %v, with an entry at %v", i, top.Now, top.Last)
		}
		if page := n.read(t, topics[i], top.Now, 10); len(page.Entries) > 0 || !page.Complete {
			t.Errorf("behind the end of topic %d: %+v", i, page)
		}
	}
	if tops, err := n.Log.Tops(t.Context(), nil); err != nil || len(tops) != 0 {
		t.Errorf("Tops of nothing: %v, %v", tops, err)
	}
}

// Topics with similar names do not see one another.
func testTopics(t *testing.T, h Harness) {
	n := h.withLog(t, 1)[0]
	similar := []string{"a", "A", "a ", "a.", "a.*", "*", ">", "a.>", "aa", "=61", "a\x00"}
	for range 3 {
		for _, topic := range similar {
			n.append(t, topic, topic)
		}
	}
	for _, topic := range similar {
		if got := texts(n.read(t, topic, engine.Position{}, 100).Entries); !slices.Equal(got, []string{topic, topic, topic}) {
			t.Errorf("the log of %q has %q", topic, got)
		}
	}
}

// What is only published is not in the log, and has no place in the order of it.
func testNotLogged(t *testing.T, h Harness) {
	nodes := h.withLog(t, 2)
	connect(t, nodes, "mixed")
	first := nodes[0].append(t, "mixed", "logged")
	nodes[1].awaitData(t, "mixed", "logged")
	nodes[0].publish(t, "mixed", "not logged")
	nodes[1].awaitData(t, "mixed", "logged", "not logged")
	nodes[0].append(t, "mixed", "logged too")
	got := nodes[1].awaitData(t, "mixed", "logged", "not logged", "logged too")
	if !got[1].At.IsZero() || !got[1].Prev.IsZero() || got[2].Prev != first {
		t.Errorf("positions %+v", got)
	}
	if got := texts(nodes[1].read(t, "mixed", engine.Position{}, 10).Entries); !slices.Equal(got, []string{"logged", "logged too"}) {
		t.Errorf("the log has %q", got)
	}
}

// The end of a topic without entries is a position from which nothing is missed.
func testQuietTopic(t *testing.T, h Harness) {
	n := h.withLog(t, 1)[0]
	n.append(t, "other", "x")
	start := n.top(t, "quiet").Now
	page := n.read(t, "quiet", engine.Position{}, 10)
	if len(page.Entries) > 0 || page.More || !page.Complete {
		t.Errorf("a topic without entries: %+v", page)
	}
	n.append(t, "other", "y")
	for _, position := range []engine.Position{start, page.Now} {
		if page := n.read(t, "quiet", position, 10); len(page.Entries) > 0 || !page.Complete {
			t.Errorf("still without entries: %+v", page)
		}
	}
	n.append(t, "quiet", "first")
	n.append(t, "quiet", "second")
	for _, position := range []engine.Position{start, page.Now} {
		page := n.read(t, "quiet", position, 10)
		if got := texts(page.Entries); !slices.Equal(got, []string{"first", "second"}) || !page.Complete {
			t.Errorf("from the position before the first entry: %q, complete: %t", got, page.Complete)
		}
	}
}

// Positions that the log did not give are never said to be complete.
func testForeignPositions(t *testing.T, h Harness) {
	n := h.withLog(t, 1)[0]
	for _, s := range numbers(5) {
		n.append(t, "log", s)
	}
	now := n.top(t, "log").Now
	for what, position := range map[string]engine.Position{
		"of an epoch before": {Epoch: now.Epoch - 1, Offset: 1},
		"of an epoch after":  {Epoch: now.Epoch + 1, Offset: now.Offset},
		"without an epoch":   {Offset: 1},
		"behind the end":     {Epoch: now.Epoch, Offset: now.Offset + 1_000_000},
		"at infinity":        {Epoch: now.Epoch, Offset: 1<<64 - 1},
	} {
		page := n.read(t, "log", position, 10)
		if page.Complete || !slices.Equal(texts(page.Entries), numbers(5)) {
			t.Errorf("after a position %s: %q, complete: %t", what, texts(page.Entries), page.Complete)
		}
	}
}

// Whoever subscribes first and reads then misses nothing, whatever is appended at
// that time.
func testFollow(t *testing.T, h Harness) {
	const each = 30
	nodes := h.withLog(t, 2)
	for round := range 20 {
		topic := fmt.Sprint("round ", round)
		start := nodes[1].top(t, topic).Now
		var wg sync.WaitGroup
		wg.Go(func() {
			for _, s := range numbers(each) {
				if _, err := nodes[0].Log.Append(t.Context(), topic, []byte(s), ""); err != nil {
					t.Errorf("Append: %v", err)
				}
			}
		})
		f, err := nodes[1].followers.Follow(nodes[1].Engine, topic, start, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		poll(t, patience+h.Slack, "everything", func() bool { return f.Len() >= each })
		f.Stop()
		if err := f.Verify(numbers(each)); err != nil || f.Gaps() > 0 {
			t.Fatalf("round %d: %v, %d gaps", round, err, f.Gaps())
		}
	}
}

// A subscriber that comes back gets what it missed.
func testFollowLate(t *testing.T, h Harness) {
	nodes := h.withLog(t, 2)
	var since engine.Position
	var seen []string
	for round := range 5 {
		f, err := nodes[1].followers.Follow(nodes[1].Engine, "log", since, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		nodes[0].append(t, "log", fmt.Sprint(2*round))
		poll(t, patience+h.Slack, "what was missed", func() bool { return len(seen)+f.Len() >= 2*round+1 })
		f.Stop()
		if f.Gaps() > 0 {
			t.Errorf("round %d: %d gaps", round, f.Gaps())
		}
		since = f.Position()
		seen = append(seen, f.Seen()...)
		nodes[1].Bus.Unsubscribe("log")
		nodes[0].append(t, "log", fmt.Sprint(2*round+1))
	}
	if !slices.Equal(seen, numbers(9)) {
		t.Errorf("seen: %q", seen)
	}
}

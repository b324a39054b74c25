package enginetest

import (
	"slices"
	"testing"

	"github.com/webwire-go/webwire/engine"
)

var ofHistory = []promise{
	{"Evict", testEvict},
	{"EvictAndFollow", testEvictAndFollow},
	{"Age", testAge},
	{"Restart", testRestart},
}

// The latest entries are kept, the others are gone, and readers learn which is which.
func testEvict(t *testing.T, h Harness) {
	nodes := h.withLog(t, 2)
	if h.History == 0 {
		t.Skip("Harness.History is zero")
	}
	n := nodes[0]
	count := 2*h.History + 10
	before := n.top(t, "log").Now
	other := n.append(t, "other", "kept")
	want := numbers(count)
	at := make([]engine.Position, count)
	for i, s := range want {
		at[i] = nodes[i%2].append(t, "log", s)
	}
	page := n.read(t, "log", engine.Position{}, 2*count)
	kept := texts(page.Entries)
	if len(kept) < h.History || len(kept) > count-5 || !slices.Equal(kept, want[count-len(kept):]) {
		t.Fatalf("%d of %d entries are kept: %v; want the last %d", len(kept), count, brief(kept), h.History)
	}
	if !page.Complete {
		t.Error("a reader without a position misses nothing")
	}
	check := func(i int, position engine.Position) {
		t.Helper()
		page := n.read(t, "log", position, 2*count)
		evicted := count - len(kept)
		first := max(i+1, evicted)
		if !slices.Equal(texts(page.Entries), want[first:]) {
			t.Errorf("after entry %d: %v, want those from %d on", i, brief(texts(page.Entries)), first)
		}
		if page.Complete && i+1 < evicted {
			t.Errorf("after entry %d, of which entry %d is evicted: complete", i, i+1)
		}
		if !page.Complete && i >= evicted {
			t.Errorf("after entry %d, which is kept: not complete", i)
		}
	}
	check(-1, before)
	for _, i := range []int{0, 1, count - h.History - 3, count - h.History - 2, count - h.History - 1, count - h.History, count - 2, count - 1} {
		check(i, at[i])
	}
	// In small pages only the first one has a gap before it.
	page = n.read(t, "log", at[0], 3)
	if page.Complete || !page.More {
		t.Errorf("the first page after an evicted entry: %+v", page)
	}
	if page = n.read(t, "log", page.Now, 3); !page.Complete {
		t.Error("the second page is not complete")
	}
	if page := n.read(t, "other", other, 10); !page.Complete || len(page.Entries) > 0 {
		t.Errorf("another topic is affected: %+v", page)
	}
}

// A subscriber that was away for too long is told, and goes on.
func testEvictAndFollow(t *testing.T, h Harness) {
	nodes := h.withLog(t, 2)
	if h.History == 0 {
		t.Skip("Harness.History is zero")
	}
	count := 2*h.History + 10
	since := nodes[0].append(t, "log", "0")
	want := numbers(count + 1)
	for _, s := range want[1:count] {
		nodes[0].append(t, "log", s)
	}
	f, err := nodes[1].followers.Follow(nodes[1].Engine, "log", since, patience+h.Slack)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Stop()
	poll(t, patience+h.Slack, "what is kept", func() bool { return f.Len() >= h.History })
	nodes[0].append(t, "log", want[count])
	poll(t, patience+h.Slack, "what comes then", func() bool { s := f.Seen(); return s[len(s)-1] == want[count] })
	if err := f.Verify(want[1:]); err != nil || f.Gaps() != 1 {
		t.Errorf("%v, %d gaps", err, f.Gaps())
	}
}

// Entries expire; what had not been seen is told, and positions go on.
func testAge(t *testing.T, h Harness) {
	if h.Age == nil {
		t.Skip("Harness.Age is nil")
	}
	n := h.withLog(t, 1)[0]
	first := n.append(t, "log", "first")
	last := n.append(t, "log", "last")
	unseen := n.top(t, "new").Now
	h.Age(t)
	n.append(t, "other", "x") // also topics that others append to
	for what, position := range map[string]engine.Position{"the last but one": first, "none": {}} {
		page := n.read(t, "log", position, 10)
		if len(page.Entries) > 0 || page.More || page.Complete != position.IsZero() {
			t.Errorf("after %s: %+v", what, page)
		}
	}
	top := n.top(t, "log")
	if !top.Last.IsZero() || top.Now.Epoch != last.Epoch || top.Now.Offset < last.Offset {
		t.Errorf("after everything expired the top is %+v, the last entry was at %v", top, last)
	}
	if page := n.read(t, "log", top.Now, 10); !page.Complete {
		t.Error("from the end, nothing is missing")
	}
	at := n.append(t, "log", "next")
	if at.Epoch != last.Epoch || at.Offset <= last.Offset {
		t.Errorf("the entry after all others had expired is at %v, the last was at %v", at, last)
	}
	if page := n.read(t, "log", top.Now, 10); !page.Complete || len(page.Entries) != 1 {
		t.Errorf("behind the end of before: %+v", page)
	}
	if page := n.read(t, "log", first, 10); page.Complete || len(page.Entries) != 1 {
		t.Errorf("behind an entry that expired, with others behind it: %+v", page)
	}
	if page := n.read(t, "new", unseen, 10); len(page.Entries) > 0 {
		t.Errorf("a topic without entries has some: %+v", page)
	}
}

// When the log is lost another epoch begins, and subscribers are told.
func testRestart(t *testing.T, h Harness) {
	if h.Restart == nil {
		t.Skip("Harness.Restart is nil")
	}
	nodes := h.withLog(t, 2)
	connect(t, nodes, "log")
	var at engine.Position
	for _, s := range numbers(5) {
		at = nodes[0].append(t, "log", s)
	}
	f, err := nodes[1].followers.Follow(nodes[1].Engine, "log", at, patience+h.Slack)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Stop()
	h.Restart(t, []engine.Engine{nodes[0].Engine, nodes[1].Engine})
	// The engine may be away for a time, and may take some to notice.
	var next engine.Position
	poll(t, patience+h.Slack, "another epoch", func() bool {
		next, err = nodes[0].Log.Append(t.Context(), "log", []byte("after"), "the only one")
		return err == nil && next.Epoch != at.Epoch
	})
	poll(t, patience+h.Slack, "the end of the old epoch", func() bool {
		page, err := nodes[1].Log.Read(t.Context(), "log", at, 10)
		return err == nil && !page.Complete && slices.Contains(texts(page.Entries), "after")
	})
	poll(t, patience+h.Slack, "a follower's return", func() bool { return slices.Contains(f.Seen(), "after") })
	if f.Gaps() == 0 {
		t.Error("the follower was told no gap")
	}
	if position := f.Position(); position.Epoch != next.Epoch {
		t.Errorf("the follower is at %v, the log at %v", position, next)
	}
}

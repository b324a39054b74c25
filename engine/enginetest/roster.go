package enginetest

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/webwire-go/webwire/engine"
)

var ofRoster = []promise{
	{"Nodes", testNodes},
	{"Put", testPut},
	{"CloseLeavesTheRoster", testCloseLeaves},
	{"CrashLeavesTheRoster", testCrashLeaves},
}

func (h Harness) withRoster(t *testing.T, n int) []*node {
	t.Helper()
	nodes := h.open(t, n)
	if nodes[0].Roster == nil {
		t.Skip("the engine has no roster")
	}
	return nodes
}

// sees waits until n knows exactly these nodes.
func (n *node) sees(t *testing.T, limit time.Duration, want ...*node) {
	t.Helper()
	var ids []engine.NodeID
	for _, w := range want {
		ids = append(ids, w.id)
	}
	byID := func(a, b engine.NodeID) int { return bytes.Compare(a[:], b[:]) }
	slices.SortFunc(ids, byID)
	poll(t, limit, "the right nodes", func() bool {
		return slices.Equal(slices.SortedFunc(n.Roster.Nodes(), byID), ids)
	})
}

// lists waits until n lists exactly these records of a topic, which nodes have put in
// this order.
func (n *node) lists(t *testing.T, limit time.Duration, topic string, nodes []*node, want ...string) {
	t.Helper()
	poll(t, limit, "the right members of "+topic, func() bool {
		list, err := n.Roster.List(t.Context(), topic)
		if err != nil || len(list) != len(want) {
			return false
		}
		for i := range want {
			if !slices.ContainsFunc(list, func(m engine.Members) bool {
				return m.Node == nodes[i].id && string(m.Data) == want[i]
			}) {
				return false
			}
		}
		return true
	})
}

func testNodes(t *testing.T, h Harness) {
	nodes := h.withRoster(t, 3)
	nodes[0].sees(t, 2*time.Second+h.Slack, nodes...)
	nodes[1].sees(t, 2*time.Second+h.Slack, nodes...)
	nodes[2].sees(t, 2*time.Second+h.Slack, nodes...)
	for range nodes[0].Roster.Nodes() {
		break // a sequence may be left early
	}
}

func testPut(t *testing.T, h Harness) {
	nodes := h.withRoster(t, 2)
	put := func(n *node, topic, members string) {
		t.Helper()
		if err := n.Roster.Put(t.Context(), topic, []byte(members)); err != nil {
			t.Fatalf("Put: %v", err)
		}
	}
	long := strings.Repeat("member", 10_000)
	put(nodes[0], "room", "ann")
	put(nodes[0], "other", "ann, too")
	put(nodes[0], "room", long)
	nodes[0].lists(t, 0, "room", nodes, long) // its own, at once
	put(nodes[1], "room", "bob")
	nodes[1].sees(t, 2*time.Second+h.Slack, nodes...)
	nodes[0].sees(t, 2*time.Second+h.Slack, nodes...)
	for _, n := range nodes {
		n.lists(t, 2*time.Second+h.Slack, "room", nodes, long, "bob")
		n.lists(t, 2*time.Second+h.Slack, "other", nodes, "ann, too")
		n.lists(t, 0, "nobody's", nodes)
	}
	put(nodes[0], "room", "")
	put(nodes[0], "room", "")
	for _, n := range nodes {
		n.lists(t, 2*time.Second+h.Slack, "room", nodes[1:], "bob")
	}
	put(nodes[0], "room", "ann again")
	for _, n := range nodes {
		n.lists(t, 2*time.Second+h.Slack, "room", nodes, "ann again", "bob")
	}
}

func testCloseLeaves(t *testing.T, h Harness) {
	nodes := h.withRoster(t, 2)
	nodes[0].sees(t, 2*time.Second+h.Slack, nodes...)
	for _, n := range nodes {
		if err := n.Roster.Put(t.Context(), "room", []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	nodes[0].lists(t, 2*time.Second+h.Slack, "room", nodes, "x", "x")
	if err := nodes[1].Bus.Close(); err != nil {
		t.Error(err)
	}
	nodes[0].sees(t, 2*time.Second+h.Slack, nodes[0])
	nodes[0].lists(t, 2*time.Second+h.Slack, "room", nodes, "x")
}

func testCrashLeaves(t *testing.T, h Harness) {
	if h.Crash == nil {
		t.Skip("Harness.Crash is nil")
	}
	nodes := h.withRoster(t, 3)
	nodes[0].sees(t, 2*time.Second+h.Slack, nodes...)
	for _, n := range nodes {
		if err := n.Roster.Put(t.Context(), "room", []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	nodes[0].lists(t, 2*time.Second+h.Slack, "room", nodes, "x", "x", "x")
	h.Crash(t, nodes[2].Engine)
	nodes[0].sees(t, 10*time.Second+h.Slack, nodes[:2]...)
	nodes[0].lists(t, 10*time.Second+h.Slack, "room", nodes, "x", "x")
	nodes[1].sees(t, 10*time.Second+h.Slack, nodes[:2]...)
}

// Package enginetest tests implementations of package engine: it has a suite that all of
// them run, and an engine that fails on demand, for the tests of its users.
//
// An engine tells the suite how to make nodes, and the suite does the rest:
//
//	func TestEngine(t *testing.T) {
//		enginetest.Run(t, enginetest.Harness{
//			Nodes: func(t *testing.T, n int) []engine.Engine {
//				var memory engine.Memory
//				nodes := make([]engine.Engine, n)
//				for i := range nodes {
//					nodes[i] = memory.Node()
//				}
//				return nodes
//			},
//			History: engine.DefaultHistory,
//			Bubble:  true,
//		})
//	}
//
// Session stores have a suite of their own, session/sessiontest. A [Faulty] wraps an
// engine to test how its user behaves when acknowledgements or deliveries are lost, or
// the engine is slow, cannot be reached, or restarts. A [Follower] is a simple subscriber
// that does everything a subscriber has to do.
package enginetest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/engine"
)

// Harness tells the suite how to get at the engine. Only Nodes is required.
type Harness struct {
	// Nodes returns the engines of n nodes that share everything and are not open.
	// Each call returns nodes that share nothing with those of other calls. The suite
	// closes their buses; what else has to be closed is left to t.Cleanup.
	Nodes func(t *testing.T, n int) []engine.Engine

	// History is how many entries of a topic are kept at least. The suite appends
	// more than twice as many to see some evicted. Zero: eviction is not tested.
	History int

	// Disconnect separates a node from the engine until reconnect is called; when
	// that returns the node need not be connected yet. Nil: not tested.
	Disconnect func(t *testing.T, node engine.Engine) (reconnect func())

	// Restart has the engine lose the logs of nodes that Nodes returned and opened,
	// as a restart without its storage would. Nil: not tested.
	Restart func(t *testing.T, nodes []engine.Engine)

	// Crash ends an open node without a word to the others. Nil: not tested.
	Crash func(t *testing.T, node engine.Engine)

	// Age lets everything expire that is in the logs. Nil: not tested.
	Age func(t *testing.T)

	// Bubble runs each test in a bubble of testing/synctest, where time is virtual
	// and a goroutine that is left behind fails the test.
	Bubble bool

	// Slack is how much longer than promised things may take, for tests in real time on
	// machines that have other work. Zero: no longer.
	Slack time.Duration

	// AtOnce is how many tests run at the same time; the functions above are then
	// called concurrently, each with the t of its test. Zero: one.
	AtOnce int
}

type promise struct {
	name string
	test func(*testing.T, Harness)
}

// Run tests that the engine keeps the promises of package engine, each in a subtest.
// Parts that an engine does not have are not tested.
func Run(t *testing.T, h Harness) {
	if h.Nodes == nil {
		t.Fatal("enginetest: the harness has no Nodes")
	}
	// The longest come first. Not t.Parallel, which also limits tests that only wait to
	// GOMAXPROCS.
	turn := make(chan struct{}, max(h.AtOnce, 1))
	var running sync.WaitGroup
	for _, p := range slices.Concat(ofFailure, ofBus, ofAsk, ofLog, ofHistory, ofRoster) {
		turn <- struct{}{}
		running.Go(func() {
			defer func() { <-turn }()
			t.Run(p.name, func(t *testing.T) {
				if h.Bubble {
					synctest.Test(t, func(t *testing.T) { p.test(t, h) })
					return
				}
				p.test(t, h)
			})
		})
	}
	running.Wait()
}

// node is an open node.
type node struct {
	engine.Engine
	id        engine.NodeID
	in        *Inlet
	followers *Followers
}

// open opens n nodes, which are closed when the test ends.
func (h Harness) open(t *testing.T, n int) []*node {
	t.Helper()
	var nodes []*node
	for _, e := range h.Nodes(t, n) {
		nodes = append(nodes, h.openNode(t, e, &Inlet{}))
	}
	return nodes
}

func (h Harness) openNode(t *testing.T, e engine.Engine, in *Inlet) *node {
	t.Helper()
	in.slack = h.Slack
	n := &node{Engine: e, id: engine.NewNodeID(), in: in, followers: &Followers{}}
	if in.OnDeliver == nil {
		n.followers.Attach(in)
	}
	if err := n.Bus.Open(t.Context(), n.id, in); err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := n.Bus.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return n
}

func (h Harness) withLog(t *testing.T, n int) []*node {
	t.Helper()
	nodes := h.open(t, n)
	if nodes[0].Log == nil {
		t.Skip("the engine has no log")
	}
	return nodes
}

func (n *node) subscribe(t *testing.T, subjects ...string) {
	t.Helper()
	if err := n.Bus.Subscribe(t.Context(), subjects...); err != nil {
		t.Fatalf("Subscribe: %v", err)
	}
}

func (n *node) publish(t *testing.T, subject, data string) {
	t.Helper()
	if err := n.Bus.Publish(t.Context(), subject, []byte(data)); err != nil {
		t.Fatalf("Publish: %v", err)
	}
}

func (n *node) append(t *testing.T, topic, data string) engine.Position {
	t.Helper()
	at, err := n.Log.Append(t.Context(), topic, []byte(data), "")
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	wantPosition(t, "Append", at)
	return at
}

func (n *node) read(t *testing.T, topic string, after engine.Position, most int) engine.Page {
	t.Helper()
	page, err := n.Log.Read(t.Context(), topic, after, most)
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	if len(page.Entries) > most {
		t.Fatalf("Read returns %d entries, at most %d were asked for", len(page.Entries), most)
	}
	wantPosition(t, "Read", page.Now)
	return page
}

func (n *node) top(t *testing.T, topic string) engine.Top {
	t.Helper()
	tops, err := n.Log.Tops(t.Context(), []string{topic})
	if err != nil || len(tops) != 1 {
		t.Fatalf("Tops: %v, %v", tops, err)
	}
	wantPosition(t, "Tops", tops[0].Now)
	return tops[0]
}

// wantPosition fails the test unless an operation returned a position, of numbers that
// are exact in JavaScript.
func wantPosition(t *testing.T, op string, p engine.Position) {
	t.Helper()
	if p.IsZero() || p.Epoch >= 1<<53 || p.Offset >= 1<<53 {
		t.Fatalf("%s returns the position %v", op, p)
	}
}

// awaitData waits until a subject has delivered as many as want, and fails the test
// unless it is these.
func (n *node) awaitData(t *testing.T, subject string, want ...string) []engine.Delivery {
	t.Helper()
	n.in.await(t, "deliveries of "+subject, func() bool { return len(n.deliveries(subject)) >= len(want) })
	got := n.deliveries(subject)
	if !slices.Equal(data(got), want) {
		t.Fatalf("%.20q delivered %s, want %s", subject, brief(data(got)), brief(want))
	}
	return got
}

// deliveries returns what was delivered of a subject, without probes.
func (n *node) deliveries(subject string) []engine.Delivery {
	return slices.DeleteFunc(n.in.Deliveries(subject), func(d engine.Delivery) bool { return string(d.Data) == probe })
}

const probe = "probe of a subscription"

// connect publishes to a subject from each node until each of the others has it:
// between nodes Subscribe alone makes nothing sure.
func connect(t *testing.T, nodes []*node, subjects ...string) {
	t.Helper()
	for _, to := range nodes {
		to.subscribe(t, subjects...)
	}
	for _, subject := range subjects {
		for _, from := range nodes {
			for _, to := range nodes {
				before := len(to.in.Deliveries(subject))
				poll(t, patience+to.in.slack, "the first delivery of "+subject, func() bool {
					from.publish(t, subject, probe)
					return len(to.in.Deliveries(subject)) > before
				})
			}
		}
	}
}

func data(ds []engine.Delivery) []string {
	texts := make([]string, len(ds))
	for i, d := range ds {
		texts[i] = string(d.Data)
	}
	return texts
}

func texts(es []engine.Entry) []string {
	texts := make([]string, len(es))
	for i, e := range es {
		texts[i] = string(e.Data)
	}
	return texts
}

func brief(texts []string) []string {
	const most = 12
	short := make([]string, 0, most)
	for i, s := range texts {
		if i == most {
			return append(short, "...")
		}
		short = append(short, s[:min(len(s), 20)])
	}
	return short
}

// within fails the test if do takes longer than limit.
func within(t *testing.T, limit time.Duration, what string, do func(ctx context.Context)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit+patience)
	defer cancel()
	start := time.Now()
	do(ctx)
	if took := time.Since(start); took > limit {
		t.Errorf("%s took %v, at most %v is right", what, took, limit)
	}
}

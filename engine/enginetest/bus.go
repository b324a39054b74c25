package enginetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/webwire-go/webwire/engine"
)

var ofBus = []promise{
	{"Deliver", testDeliver},
	{"Contents", testContents},
	{"Order", testOrder},
	{"Confirmed", testConfirmed},
	{"SubscribeAgain", testSubscribeAgain},
	{"SubscribeAllOrNone", testSubscribeAllOrNone},
	{"Unsubscribe", testUnsubscribe},
	{"Names", testNames},
	{"Aliasing", testAliasing},
	{"Context", testContext},
	{"NotOpen", testNotOpen},
	{"Closed", testClosed},
	{"CloseIsFinal", testCloseIsFinal},
	{"CloseWhileBusy", testCloseWhileBusy},
	{"SlowNode", testSlowNode},
}

// All nodes that subscribed get a publication, the publisher included, and no others.
func testDeliver(t *testing.T, h Harness) {
	nodes := h.open(t, 3)
	connect(t, nodes, "all", "end")
	connect(t, nodes[:2], "some")
	for i, n := range nodes {
		n.publish(t, "some", fmt.Sprint(i))
		n.publish(t, "nobody's", "lost")
		if n != nodes[2] {
			nodes[0].in.await(t, "delivery", func() bool { return len(nodes[0].deliveries("some")) == i+1 })
			nodes[1].in.await(t, "delivery", func() bool { return len(nodes[1].deliveries("some")) == i+1 })
		}
	}
	nodes[2].publish(t, "end", "")
	for i, n := range nodes {
		n.awaitData(t, "end", "")
		if n == nodes[2] {
			if got := n.in.Deliveries("some"); len(got) > 0 {
				t.Errorf("a node that did not subscribe got %d deliveries", len(got))
			}
			continue
		}
		for _, d := range n.awaitData(t, "some", "0", "1", "2") {
			if !d.At.IsZero() || !d.Prev.IsZero() {
				t.Errorf("node %d: a publication that was not logged has position %v after %v", i, d.At, d.Prev)
			}
		}
		if got := n.in.Deliveries("nobody's"); len(got) > 0 {
			t.Errorf("node %d got %d deliveries of a subject it did not subscribe to", i, len(got))
		}
	}
}

func testContents(t *testing.T, h Harness) {
	nodes := h.open(t, 2)
	connect(t, nodes, "contents")
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	want := []string{"", "x", string(all), "\r\n", "MSG a 1 1\r\n", strings.Repeat("long", 20_000)}
	for _, s := range want {
		nodes[0].publish(t, "contents", s)
	}
	for _, n := range nodes {
		n.awaitData(t, "contents", want...)
	}
}

// What one goroutine publishes to a subject arrives in order.
func testOrder(t *testing.T, h Harness) {
	const publishers, each = 3, 200
	nodes := h.open(t, publishers)
	connect(t, nodes, "order")
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() {
			for j := range each {
				if err := n.Bus.Publish(t.Context(), "order", fmt.Appendf(nil, "%d %d", i, j)); err != nil {
					t.Errorf("Publish: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, n := range nodes {
		n.in.await(t, "all deliveries", func() bool { return len(n.deliveries("order")) >= publishers*each })
		var next [publishers]int
		for _, d := range n.deliveries("order") {
			var i, j int
			fmt.Sscan(string(d.Data), &i, &j)
			if j != next[i] {
				t.Fatalf("publisher %d: got %d, want %d", i, j, next[i])
			}
			next[i]++
		}
	}
}

// What the node publishes after Subscribe has returned is delivered to it.
func testConfirmed(t *testing.T, h Harness) {
	n := h.open(t, 1)[0]
	for i := range 100 {
		subject := fmt.Sprint("confirmed ", i)
		n.subscribe(t, subject)
		n.publish(t, subject, "first")
		n.awaitData(t, subject, "first")
	}
}

func testSubscribeAgain(t *testing.T, h Harness) {
	nodes := h.open(t, 2)
	connect(t, nodes, "again")
	for range 3 {
		nodes[0].subscribe(t, "again", "again")
	}
	nodes[1].publish(t, "again", "1")
	nodes[1].publish(t, "again", "2")
	nodes[0].awaitData(t, "again", "1", "2")
	nodes[0].Bus.Unsubscribe("again")
	nodes[0].Bus.Unsubscribe("again", "never subscribed to")
	nodes[0].subscribe(t, "again")
	nodes[0].publish(t, "again", "3")
	nodes[0].awaitData(t, "again", "1", "2", "3")
}

func testSubscribeAllOrNone(t *testing.T, h Harness) {
	n := h.open(t, 1)[0]
	n.subscribe(t, "kept", "end")
	if err := n.Bus.Subscribe(t.Context(), "kept", "new", ""); !errors.Is(err, engine.ErrName) {
		t.Fatalf("Subscribe with an empty name: %v", err)
	}
	n.publish(t, "new", "unwanted")
	n.publish(t, "kept", "wanted")
	n.awaitData(t, "kept", "wanted")
	n.publish(t, "end", "")
	n.awaitData(t, "end", "")
	if got := n.in.Deliveries("new"); len(got) > 0 {
		t.Error("a Subscribe that failed left a subscription")
	}
}

func testUnsubscribe(t *testing.T, h Harness) {
	nodes := h.open(t, 2)
	connect(t, nodes, "a", "b")
	nodes[0].Bus.Unsubscribe("a")
	// It does not wait, so this may take a moment.
	sent := 0
	poll(t, patience+h.Slack, "the end of the subscription", func() bool {
		before := len(nodes[0].in.Deliveries("a"))
		nodes[1].publish(t, "a", "x")
		nodes[1].publish(t, "b", "x")
		sent++
		nodes[0].in.await(t, "delivery of b", func() bool { return len(nodes[0].deliveries("b")) == sent })
		return len(nodes[0].in.Deliveries("a")) == before
	})
	before := len(nodes[0].in.Deliveries("a"))
	for range 20 {
		nodes[1].publish(t, "a", "x")
		nodes[1].publish(t, "b", "x")
		sent++
	}
	nodes[1].in.await(t, "deliveries of a", func() bool { return len(nodes[1].deliveries("a")) == sent })
	nodes[0].in.await(t, "deliveries of b", func() bool { return len(nodes[0].deliveries("b")) == sent })
	if got := len(nodes[0].in.Deliveries("a")); got != before {
		t.Errorf("%d deliveries after the end of the subscription", got-before)
	}
}

// names are fit for a subject, but not for a careless engine.
var names = []string{
	"a", "A", " ", "  ", ".", "..", "a.b", "a.", ".a", "a..b", "a.*", "*", ">", "a.>", "a b", "a\tb", "a\r\nb", "\x00", "\xff\xfe", "=", "=41", "=h",
	"$SYS.a", "$JS.API", "_INBOX.x", "комната", "комнатА", "🦆", "%", "%41", "/", "../x",
	strings.Repeat("n", engine.MaxName), strings.Repeat("n", engine.MaxName-1), strings.Repeat(".", engine.MaxName), strings.Repeat("é", 127),
	strings.Repeat("n", 199), strings.Repeat("n", 200), strings.Repeat("n", 201),
}

func testNames(t *testing.T, h Harness) {
	n := h.open(t, 1)[0]
	n.subscribe(t, names...)
	for i, name := range names {
		n.publish(t, name, fmt.Sprint(i))
	}
	for i, name := range names {
		n.awaitData(t, name, fmt.Sprint(i))
	}
	for _, name := range []string{"", strings.Repeat("n", engine.MaxName+1), strings.Repeat("n", 1<<16)} {
		for op, err := range n.calls(t.Context(), name) {
			if !errors.Is(err, engine.ErrName) {
				t.Errorf("%s with a name of %d bytes: %v", op, len(name), err)
			}
		}
	}
	if n.Log == nil {
		return
	}
	for i, name := range names {
		at := n.append(t, name, fmt.Sprint(i, "logged"))
		page := n.read(t, name, engine.Position{}, 10)
		if got := texts(page.Entries); !slices.Equal(got, []string{fmt.Sprint(i, "logged")}) {
			t.Errorf("the log of %q has %s", name, brief(got))
		} else if page.Entries[0].At != at {
			t.Errorf("the log of %q has an entry at %v, Append said %v", name, page.Entries[0].At, at)
		}
	}
}

// calls returns what all methods that use a name say about it.
func (n *node) calls(ctx context.Context, name string) map[string]error {
	errs := map[string]error{
		"Publish":   n.Bus.Publish(ctx, name, []byte("x")),
		"Subscribe": n.Bus.Subscribe(ctx, name),
	}
	if n.Log != nil {
		_, errs["Append"] = n.Log.Append(ctx, name, []byte("x"), "")
		_, errs["Read"] = n.Log.Read(ctx, name, engine.Position{}, 1)
		_, errs["Tops"] = n.Log.Tops(ctx, []string{name})
	}
	if n.Roster != nil {
		errs["Put"] = n.Roster.Put(ctx, name, []byte("x"))
		_, errs["List"] = n.Roster.List(ctx, name)
	}
	return errs
}

func testAliasing(t *testing.T, h Harness) {
	nodes := h.open(t, 2)
	connect(t, nodes, "alias")
	original := []byte("original")
	spoil := func() []byte { return bytes.Clone(original) }
	want := []string{"original"}
	b := spoil()
	if err := nodes[0].Bus.Publish(t.Context(), "alias", b); err != nil {
		t.Fatal(err)
	}
	copy(b, "spoilt!!")
	if nodes[0].Log != nil {
		b = spoil()
		if _, err := nodes[0].Log.Append(t.Context(), "alias", b, ""); err != nil {
			t.Fatal(err)
		}
		copy(b, "spoilt!!")
		want = append(want, "original")
	}
	for _, n := range nodes {
		n.awaitData(t, "alias", want...)
	}
	if nodes[0].Log != nil {
		if got := texts(nodes[0].read(t, "alias", engine.Position{}, 10).Entries); !slices.Equal(got, want[1:]) {
			t.Errorf("the log has %q", got)
		}
	}
	if nodes[0].Roster != nil {
		b = spoil()
		if err := nodes[0].Roster.Put(t.Context(), "alias", b); err != nil {
			t.Fatal(err)
		}
		copy(b, "spoilt!!")
		for range 2 {
			list, err := nodes[0].Roster.List(t.Context(), "alias")
			if err != nil || len(list) != 1 || string(list[0].Data) != "original" {
				t.Fatalf("List: %q, %v", list, err)
			}
			copy(list[0].Data, "spoilt!!")
		}
	}
}

func testContext(t *testing.T, h Harness) {
	n := h.open(t, 1)[0]
	n.subscribe(t, "other")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	for _, end := range []struct {
		ctx context.Context
		err error
	}{{canceled, context.Canceled}, {late, context.DeadlineExceeded}} {
		errs := n.calls(end.ctx, "other")
		_, errs["Ask"] = n.Bus.Ask(end.ctx, n.id, nil)
		for op, err := range errs {
			if err != end.err {
				t.Errorf("%s with an ended context: %v, want %v", op, err, end.err)
			}
		}
	}
	n.publish(t, "other", "end")
	n.awaitData(t, "other", "end")
}

func testNotOpen(t *testing.T, h Harness) {
	e := h.Nodes(t, 1)[0]
	n := &node{Engine: e}
	errs := n.calls(t.Context(), "a")
	_, errs["Ask"] = n.Bus.Ask(t.Context(), engine.NewNodeID(), nil)
	for op, err := range errs {
		if !errors.Is(err, engine.ErrNotOpen) {
			t.Errorf("%s before Open: %v", op, err)
		}
	}
	n.Bus.Unsubscribe("a")
	if e.Roster != nil {
		for range e.Roster.Nodes() {
			t.Error("there are nodes before Open")
		}
	}
	for range 2 {
		if err := n.Bus.Close(); err != nil {
			t.Errorf("Close before Open: %v", err)
		}
	}
	if err := n.Bus.Open(t.Context(), engine.NewNodeID(), &Inlet{}); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("Open after Close: %v", err)
	}
}

func testClosed(t *testing.T, h Harness) {
	nodes := h.open(t, 2)
	n, other := nodes[0], nodes[1]
	connect(t, nodes, "a")
	for range 2 {
		if err := n.Bus.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	errs := n.calls(t.Context(), "a")
	_, errs["Ask"] = n.Bus.Ask(t.Context(), other.id, nil)
	for op, err := range errs {
		if !errors.Is(err, engine.ErrClosed) || !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s after Close: %v", op, err)
		}
	}
	n.Bus.Unsubscribe("a")
	if n.Roster != nil {
		for range n.Roster.Nodes() {
			t.Error("there are nodes after Close")
		}
	}
	other.publish(t, "a", "the others go on")
	other.awaitData(t, "a", "the others go on")
}

// When Close has returned, the inlet is not called any more.
func testCloseIsFinal(t *testing.T, h Harness) {
	engines := h.Nodes(t, 2)
	var closed, late atomic.Bool
	publisher := h.openNode(t, engines[1], &Inlet{})
	in := &Inlet{OnDeliver: func(string, engine.Delivery) {
		if closed.Load() {
			late.Store(true)
		}
	}}
	n := h.openNode(t, engines[0], in)
	n.subscribe(t, "a")
	publisher.subscribe(t, "a")
	poll(t, patience+h.Slack, "the first delivery", func() bool {
		publisher.publish(t, "a", probe)
		return len(in.Deliveries("a")) > 0
	})
	for range 100 {
		publisher.publish(t, "a", "x")
	}
	if err := n.Bus.Close(); err != nil {
		t.Error(err)
	}
	closed.Store(true)
	for range 100 {
		publisher.publish(t, "a", "x")
	}
	publisher.in.await(t, "deliveries", func() bool { return len(publisher.deliveries("a")) == 200 })
	<-time.After(50 * time.Millisecond)
	if late.Load() {
		t.Error("a delivery after Close")
	}
}

// Close ends what is in progress with an error, and nothing hangs or is left behind. Calls
// before Close may fail for other reasons: on a busy machine answers can be late.
func testCloseWhileBusy(t *testing.T, h Harness) {
	nodes := h.open(t, 2)
	connect(t, nodes, "busy")
	var wg sync.WaitGroup
	var closed atomic.Bool
	started := make(chan struct{}, 4)
	for i := range 4 {
		wg.Go(func() {
			for n := 0; ; n++ {
				after := closed.Load()
				var err error
				switch {
				case i == 0:
					err = nodes[0].Bus.Publish(t.Context(), "nobody's", []byte("x"))
				case i == 1 || nodes[0].Log == nil:
					err = nodes[0].Bus.Subscribe(t.Context(), fmt.Sprint("busy ", n%100))
				case i == 2:
					_, err = nodes[0].Log.Append(t.Context(), "busy", []byte("x"), "")
				case i == 3:
					_, err = nodes[0].Log.Read(t.Context(), "busy", engine.Position{}, 10)
				}
				if n == 0 {
					started <- struct{}{}
				}
				switch {
				case err == nil:
				case errors.Is(err, engine.ErrClosed):
					return
				case after || !errors.Is(err, engine.ErrAway) && !errors.Is(err, engine.ErrUnconfirmed):
					t.Errorf("call %d, begun after Close: %t: %v", i, after, err)
					return
				}
			}
		})
	}
	for range 4 {
		<-started
	}
	if err := nodes[0].Bus.Close(); err != nil {
		t.Error(err)
	}
	closed.Store(true)
	wg.Wait()
}

// A node that does not return from Deliver holds up nobody, and gets everything in the
// end, or learns that it lost something.
func testSlowNode(t *testing.T, h Harness) {
	engines := h.Nodes(t, 2)
	blocked := make(chan struct{})
	release := sync.OnceFunc(func() { close(blocked) })
	in := &Inlet{OnDeliver: func(_ string, d engine.Delivery) {
		if string(d.Data) != probe {
			<-blocked
		}
	}}
	slow := h.openNode(t, engines[0], in)
	t.Cleanup(release) // before the node is closed
	quick := h.openNode(t, engines[1], &Inlet{})
	connect(t, []*node{slow, quick}, "a")
	const count = 1000
	for i := range count {
		quick.publish(t, "a", fmt.Sprint(i))
	}
	quick.in.await(t, "deliveries to the quick node", func() bool { return len(quick.deliveries("a")) == count })
	release()
	in.await(t, "deliveries to the slow node", func() bool {
		return len(slow.deliveries("a")) == count || in.Losses() > 0
	})
}

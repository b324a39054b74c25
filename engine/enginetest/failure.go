package enginetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/webwire-go/webwire/engine"
)

var ofFailure = []promise{
	{"Disconnect", testDisconnect},
	{"DisconnectAndFollow", testDisconnectAndFollow},
	{"DisconnectAndPut", testDisconnectAndPut},
}

// A node without a connection returns an error at once, and learns when it has one again.
func testDisconnect(t *testing.T, h Harness) {
	if h.Disconnect == nil {
		t.Skip("Harness.Disconnect is nil")
	}
	nodes := h.open(t, 2)
	connect(t, nodes, "a")
	reconnect := h.Disconnect(t, nodes[0].Engine)
	poll(t, patience+h.Slack, "ErrAway", func() bool {
		err := nodes[0].Bus.Publish(t.Context(), "a", []byte("lost"))
		return errors.Is(err, engine.ErrAway)
	})
	within(t, 2*time.Second+h.Slack, "calls of a node that is away", func(ctx context.Context) {
		errs := nodes[0].calls(ctx, "b")
		_, errs["Ask"] = nodes[0].Bus.Ask(ctx, nodes[1].id, nil)
		for op, err := range errs {
			if !errors.Is(err, engine.ErrAway) {
				t.Errorf("%s while away: %v", op, err)
			}
		}
	})
	nodes[0].Bus.Unsubscribe("never subscribed to")
	nodes[1].publish(t, "a", "missed")
	losses := nodes[0].in.Losses()
	reconnect()
	nodes[0].in.await(t, "Lost", func() bool { return nodes[0].in.Losses() > losses })
	// The subscriptions are in force when Lost is called.
	nodes[0].publish(t, "a", "again")
	nodes[0].in.await(t, "a delivery after the return", func() bool {
		for _, d := range nodes[0].in.Deliveries("a") {
			if string(d.Data) == "again" {
				return true
			}
		}
		return false
	})
}

// A subscriber whose node was away misses nothing that the log keeps.
func testDisconnectAndFollow(t *testing.T, h Harness) {
	if h.Disconnect == nil {
		t.Skip("Harness.Disconnect is nil")
	}
	nodes := h.withLog(t, 2)
	connect(t, nodes, "log")
	start := nodes[0].top(t, "log").Now
	f, err := nodes[0].followers.Follow(nodes[0].Engine, "log", start, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Stop()
	n := 0
	add := func(count int) {
		for range count {
			nodes[1].append(t, "log", fmt.Sprint(n))
			n++
		}
	}
	for range 3 {
		add(5)
		reconnect := h.Disconnect(t, nodes[0].Engine)
		add(5)
		reconnect()
		poll(t, patience+h.Slack, "what was missed", func() bool { return f.Len() >= n })
	}
	if err := f.Verify(numbers(n)); err != nil || f.Gaps() > 0 {
		t.Errorf("%v, %d gaps", err, f.Gaps())
	}
}

// A node that was away puts its records again when Lost is called for all subjects, and
// the others see them from then on: also if they took it for dead in the meantime.
func testDisconnectAndPut(t *testing.T, h Harness) {
	if h.Disconnect == nil {
		t.Skip("Harness.Disconnect is nil")
	}
	engines := h.Nodes(t, 2)
	if engines[0].Roster == nil {
		t.Skip("the engine has no roster")
	}
	lost := make(chan struct{}, 1)
	lost <- struct{}{} // the first Put
	n := h.openNode(t, engines[0], &Inlet{
		OnDeliver: func(string, engine.Delivery) {},
		OnLost: func(subjects []string, _ error) {
			if subjects != nil {
				return
			}
			select {
			case lost <- struct{}{}:
			default:
			}
		},
	})
	other := h.openNode(t, engines[1], &Inlet{})
	ctx, cancel := context.WithCancel(t.Context())
	var putting sync.WaitGroup
	putting.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-lost:
			}
			for n.Roster.Put(ctx, "room", []byte("x")) != nil && ctx.Err() == nil {
				<-time.After(100 * time.Millisecond)
			}
		}
	})
	defer putting.Wait()
	defer cancel()
	other.lists(t, 4*time.Second+h.Slack, "room", []*node{n}, "x")
	const long = 6 * time.Second // others may take it for dead
	for _, away := range []time.Duration{0, long} {
		reconnect := h.Disconnect(t, n.Engine)
		<-time.After(away)
		reconnect()
		<-time.After(long)
		other.lists(t, 10*time.Second+h.Slack, "room", []*node{n}, "x")
	}
}

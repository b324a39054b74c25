package enginetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/webwire-go/webwire/engine"
)

// patience is how long the suite waits for what should come soon.
const patience = 20 * time.Second

// Inlet is an [engine.Inlet] that records what it is called with. The zero value is
// ready for use. Its fields are set before the engine is opened.
type Inlet struct {
	// OnDeliver is called by Deliver before it records. Nil: nothing.
	OnDeliver func(subject string, d engine.Delivery)

	// OnAsked is what Asked does. Nil: it returns an error.
	OnAsked func(ctx context.Context, from engine.NodeID, data []byte) ([]byte, error)

	// OnLost is called by Lost before it records. Nil: nothing.
	OnLost func(subjects []string, cause error)

	slack time.Duration // Harness.Slack

	mu         sync.Mutex
	deliveries map[string][]engine.Delivery
	lost       int
	changed    chan struct{}
}

// Deliver implements [engine.Inlet].
func (in *Inlet) Deliver(subject string, d engine.Delivery) {
	if in.OnDeliver != nil {
		in.OnDeliver(subject, d)
	}
	in.record(func() {
		if in.deliveries == nil {
			in.deliveries = make(map[string][]engine.Delivery)
		}
		in.deliveries[subject] = append(in.deliveries[subject], d)
	})
}

// Asked implements [engine.Inlet].
func (in *Inlet) Asked(ctx context.Context, from engine.NodeID, data []byte) ([]byte, error) {
	if in.OnAsked == nil {
		return nil, errors.New("enginetest: OnAsked is nil")
	}
	return in.OnAsked(ctx, from, data)
}

// Lost implements [engine.Inlet].
func (in *Inlet) Lost(subjects []string, cause error) {
	if in.OnLost != nil {
		in.OnLost(subjects, cause)
	}
	in.record(func() { in.lost++ })
}

func (in *Inlet) record(change func()) {
	in.mu.Lock()
	defer in.mu.Unlock()
	change()
	if in.changed != nil {
		close(in.changed)
		in.changed = nil
	}
}

// Deliveries returns what was delivered of a subject.
func (in *Inlet) Deliveries(subject string) []engine.Delivery {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Clone(in.deliveries[subject])
}

// Losses returns how often Lost was called.
func (in *Inlet) Losses() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.lost
}

// await waits until done, which is asked after each call of the inlet.
func (in *Inlet) await(t *testing.T, what string, done func() bool) {
	t.Helper()
	limit := patience + in.slack
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		in.mu.Lock()
		if in.changed == nil {
			in.changed = make(chan struct{})
		}
		changed := in.changed
		in.mu.Unlock()
		if done() {
			return
		}
		select {
		case <-changed:
		case <-timer.C:
			t.Fatalf("%s: not within %v", what, limit)
		}
	}
}

// poll asks done again and again until it is true, for at most limit.
func poll(t *testing.T, limit time.Duration, what string, done func() bool) {
	t.Helper()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-timer.C:
			t.Fatalf("%s: not within %v", what, limit)
		}
	}
}

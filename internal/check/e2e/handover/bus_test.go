package handover_test

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/webwire-go/webwire/engine"
)

// The second byte after the kind of a question is what is asked, see server/handover.go.
const (
	handover  = 3
	opTake    = 1
	opCommit  = 3
	opForward = 5
)

// bus is a Bus whose questions fail on demand.
type bus struct {
	engine.Bus

	mu   sync.Mutex
	fail func(op byte) failure

	alone atomic.Bool // the roster knows nobody
}

type failure int

const (
	works      failure = iota
	lostAsk            // the question does not arrive
	lostAnswer         // the answer does not
	noNode             // the other node cannot be reached now
)

func (b *bus) setFail(f func(op byte) failure) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = f
}

var errLost = errors.New("lost on the way")

func (b *bus) Ask(ctx context.Context, to engine.NodeID, data []byte) ([]byte, error) {
	b.mu.Lock()
	fail := b.fail
	b.mu.Unlock()
	how := works
	if fail != nil && data[0] == handover {
		how = fail(data[2])
	}
	if how == lostAsk {
		return nil, errors.Join(engine.ErrUnconfirmed, errLost)
	}
	if how == noNode {
		return nil, engine.ErrNoNode
	}
	answer, err := b.Bus.Ask(ctx, to, data)
	if how == lostAnswer {
		return nil, errors.Join(engine.ErrUnconfirmed, errLost)
	}
	return answer, err
}

// roster is that of a bus.
type roster struct {
	engine.Roster
	bus *bus
}

func (r roster) Nodes() iter.Seq[engine.NodeID] {
	if r.bus.alone.Load() {
		return func(func(engine.NodeID) bool) {}
	}
	return r.Roster.Nodes()
}

// failing returns an engine whose questions fail on demand.
func (c *cluster) failing() (engine.Engine, *bus) {
	e := c.engine.Node()
	b := &bus{Bus: e.Bus}
	e.Bus, e.Roster = b, roster{e.Roster, b}
	return e, b
}

package link

import (
	"context"
	"errors"
	"sync"

	"github.com/webwire-go/webwire/protocol"
)

// errEnded is what SendItem returns after the handler has returned.
var errEnded = errors.New("webwire: the reply has ended")

// outflow limits the items of a streamed reply that are sent.
type outflow struct {
	mu    sync.Mutex
	sent  uint64        // of the credit
	limit uint64        // another item may be sent while sent is below it
	more  chan struct{} // closed when limit rises; nil if nobody waits for that
}

func newOutflow(credit int) *outflow { return &outflow{limit: uint64(credit)} }

// take takes the credit of an item, and returns nil, or what to wait for.
func (f *outflow) take(p protocol.Payload) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sent < f.limit {
		f.sent += cost(p)
		return nil
	}
	if f.more == nil {
		f.more = make(chan struct{})
	}
	return f.more
}

func (f *outflow) raise(limit uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if limit <= f.limit {
		return
	}
	f.limit = limit
	if f.more != nil {
		close(f.more)
		f.more = nil
	}
}

// TakesItems reports whether the requester takes a streamed reply.
func (in *Incoming) TakesItems() bool { return in.flow != nil }

// SendItem sends an item of the reply. It waits for credit of the requester, for a socket
// and for room in the outbox, until the context of the handler ends; the error is the cause of that. It
// may be called concurrently, until the handler returns.
func (in *Incoming) SendItem(p protocol.Payload) error {
	if in.flow == nil {
		return protocol.FailureUnsupported.Failure()
	}
	ctx := in.materialize().Context
	for more := in.flow.take(p); more != nil; more = in.flow.take(p) {
		select {
		case <-more:
		case <-ctx.Done():
			return in.whyEnded(ctx)
		}
	}
	// While there is no socket the outbox takes everything: credit alone would not stop a
	// handler whose requester has given much of it and is gone.
	in.link.awaitSocket(ctx)
	if ctx.Err() != nil {
		return in.whyEnded(ctx)
	}
	err := in.link.Send(ctx, protocol.Message{Kind: protocol.Item, ID: in.id, Payload: p})
	if err != nil && ctx.Err() != nil {
		return in.whyEnded(ctx)
	}
	return err
}

func (in *Incoming) whyEnded(ctx context.Context) error {
	if in.state.Load() == stateOver {
		return errEnded
	}
	return context.Cause(ctx)
}

// credit raises the limit of the stream that m is for, and reports whether there is one.
func (x *modern) credit(m *protocol.Message) bool {
	x.mu.Lock()
	in := x.incoming.find(m.ID)
	x.mu.Unlock()
	if in != nil && in.flow != nil {
		in.flow.raise(m.Number)
	}
	return in != nil
}

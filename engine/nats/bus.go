package natsengine

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/webwire-go/webwire/engine"
)

// subscription is the interest in one subject.
type subscription struct {
	name      string
	lane      *lane
	nats      *nats.Subscription
	confirmed bool // by the server; guarded by node.subs
}

func jitter(most time.Duration) time.Duration { return rand.N(most + 1) }

// Publish implements [engine.Bus].
func (n *node) Publish(ctx context.Context, subject string, data []byte) error {
	if _, err := n.readyFor(ctx, subject); err != nil {
		return err
	}
	return n.callError("publish", n.nc.Publish(n.subjects.live(subject), data), engine.ErrAway)
}

// Subscribe implements [engine.Bus].
func (n *node) Subscribe(ctx context.Context, names ...string) error {
	attached, err := n.readyFor(ctx, names...)
	if err != nil {
		return err
	}
	// Somebody else's Subscribe that fails may end a subscription which this one
	// found there; then once more.
	for {
		mine, err := n.register(names)
		if err == nil {
			err = n.flush(ctx, attached)
		}
		if err != nil {
			n.undo(mine)
			return err
		}
		if n.confirm(mine, names) {
			return nil
		}
	}
}

// register subscribes to the names that nobody subscribed to, and returns all that
// have no confirmation yet.
func (n *node) register(names []string) (unconfirmed []*subscription, err error) {
	n.subs.Lock()
	defer n.subs.Unlock()
	for _, name := range names {
		s := n.bySubj[name]
		if s == nil {
			s = &subscription{name: name, lane: n.laneOf(name)}
			if s.nats, err = n.nc.ChanSubscribe(n.subjects.live(name), s.lane.arrived); err != nil {
				return unconfirmed, n.callError("subscribe", err, engine.ErrAway)
			}
			n.bySubj[name] = s
			n.byNATS.Store(s.nats, s)
		}
		if !s.confirmed {
			unconfirmed = append(unconfirmed, s)
		}
	}
	return unconfirmed, nil
}

// confirm marks subscriptions as confirmed, and reports whether all of names are.
func (n *node) confirm(unconfirmed []*subscription, names []string) bool {
	n.subs.Lock()
	defer n.subs.Unlock()
	for _, s := range unconfirmed {
		if n.bySubj[s.name] == s {
			s.confirmed = true
		}
	}
	for _, name := range names {
		if s := n.bySubj[name]; s == nil || !s.confirmed {
			return false
		}
	}
	return true
}

func (n *node) undo(unconfirmed []*subscription) {
	n.subs.Lock()
	defer n.subs.Unlock()
	for _, s := range unconfirmed {
		if n.bySubj[s.name] == s && !s.confirmed {
			n.remove(s)
		}
	}
}

// Unsubscribe implements [engine.Bus]. While the connection is lost, nats.go does not
// subscribe again.
func (n *node) Unsubscribe(names ...string) {
	n.subs.Lock()
	defer n.subs.Unlock()
	for _, name := range names {
		if s := n.bySubj[name]; s != nil {
			n.remove(s)
		}
	}
}

func (n *node) remove(s *subscription) {
	delete(n.bySubj, s.name)
	n.byNATS.Delete(s.nats)
	s.nats.Unsubscribe() // fails only if everything is over
}

func (n *node) subscription(sub *nats.Subscription) *subscription {
	if s, ok := n.byNATS.Load(sub); ok {
		return s.(*subscription)
	}
	return nil
}

var seed = maphash.MakeSeed()

func (n *node) laneOf(name string) *lane {
	return n.lanes[maphash.String(seed, name)%lanes]
}

// flush returns when the server has handled everything that was sent to it.
func (n *node) flush(ctx, attached context.Context) error {
	call, cancel := n.call(ctx, attached)
	defer cancel()
	if err := n.nc.FlushWithContext(call); err != nil {
		return n.failure(ctx, attached, "subscribe", err, engine.ErrAway)
	}
	return nil
}

// call returns the context of a call: it ends with the caller's, when the connection
// is lost, and when NATS does not answer in time.
func (n *node) call(ctx, attached context.Context) (context.Context, context.CancelFunc) {
	call, cancel := context.WithTimeout(ctx, n.opts.Timeout)
	stop := context.AfterFunc(attached, cancel)
	return call, func() {
		stop()
		cancel()
	}
}

// failure returns the error of a call that failed with err. If the reason is that the
// connection or the answer was lost, it wraps lost.
func (n *node) failure(ctx, attached context.Context, what string, err, lost error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case n.ctx.Err() != nil:
		return engine.ErrClosed
	case attached.Err() != nil:
		return fmt.Errorf("%w: natsengine: %s: the connection was lost", lost, what)
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout):
		return fmt.Errorf("%w: natsengine: %s: no answer within %v", lost, what, n.opts.Timeout)
	}
	return n.callError(what, err, lost)
}

// callError translates an error of nats.go.
func (n *node) callError(what string, err, lost error) error {
	switch {
	case err == nil:
		return nil
	case n.ctx.Err() != nil:
		return engine.ErrClosed
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: natsengine: %s: %w", engine.ErrTooBig, what, err)
	case errors.Is(err, nats.ErrNoResponders) || errors.Is(err, nats.ErrReconnectBufExceeded):
		return fmt.Errorf("%w: natsengine: %s: %w", engine.ErrAway, what, err)
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionReconnecting), errors.Is(err, nats.ErrDisconnected):
		return fmt.Errorf("%w: natsengine: %s: %w", lost, what, err)
	}
	return fmt.Errorf("natsengine: %s: %w", what, err)
}

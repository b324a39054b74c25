package link

import (
	"context"
	"fmt"
	"time"

	"github.com/webwire-go/webwire/protocol"
)

// ErrDeadline is the cause of the context of a request whose deadline has passed. It is
// a context.DeadlineExceeded.
var ErrDeadline error = deadlineError{}

type deadlineError struct{}

func (deadlineError) Error() string { return "webwire: the deadline of the request has passed" }
func (deadlineError) Unwrap() error { return context.DeadlineExceeded }

// CancelError is the cause of the context of a request that the peer cancelled. It is a
// context.DeadlineExceeded if the peer's deadline has passed, otherwise a context.Canceled.
type CancelError struct{ Reason protocol.CancelReason }

func (e *CancelError) Error() string {
	switch e.Reason {
	case protocol.CancelDeadline:
		return "webwire: the requester's deadline has passed"
	case protocol.CancelEnough:
		return "webwire: the requester has enough items"
	case protocol.CancelGaveUp:
		return "webwire: the requester gave up"
	}
	return fmt.Sprintf("webwire: the requester cancelled the request (reason %d)", e.Reason)
}

func (e *CancelError) Unwrap() error {
	if e.Reason == protocol.CancelDeadline {
		return context.DeadlineExceeded
	}
	return context.Canceled
}

// Context returns the context of the handler. In 3.0 it ends when the peer cancels the
// request, at the deadline, with the connection, and when the handler has returned;
// context.Cause says which of these came first. Before 3.0 it is that of the connection.
func (in *Incoming) Context() context.Context {
	if in.link.modern == nil {
		return in.link.ctx
	}
	return (*requestContext)(in)
}

// requestContext is an Incoming as a context.Context. Few handlers wait for their context,
// so that one that can be cancelled is made when it is needed: by Done, which every
// derived context calls, or by a cancel.
type requestContext Incoming

// ownContext is a context of package context, derived from that of the connection.
type ownContext struct {
	context.Context
	cancel context.CancelCauseFunc
}

// materialize returns the context of package context, which it makes if there is none.
func (in *Incoming) materialize() *ownContext {
	if own := in.own.Load(); own != nil {
		return own
	}
	own := new(ownContext)
	own.Context, own.cancel = context.WithCancelCause(in.link.ctx)
	if in.hasDeadline {
		cancel, stop := own.cancel, context.CancelFunc(nil)
		own.Context, stop = context.WithDeadlineCause(own.Context, epoch.Add(in.deadline), ErrDeadline)
		own.cancel = func(cause error) {
			cancel(cause)
			stop()
		}
	}
	if !in.own.CompareAndSwap(nil, own) {
		own.cancel(nil)
		return in.own.Load()
	}
	if in.state.Load() == stateOver { // End may have come before
		own.cancel(context.Canceled)
	}
	return own
}

// cancel ends the context of a handler that runs.
func (in *Incoming) cancel(cause error) { in.materialize().cancel(cause) }

func (c *requestContext) Deadline() (time.Time, bool) {
	if !c.hasDeadline {
		return c.link.ctx.Deadline()
	}
	deadline := epoch.Add(c.deadline)
	if outer, ok := c.link.ctx.Deadline(); ok && outer.Before(deadline) {
		return outer, true
	}
	return deadline, true
}

func (c *requestContext) Done() <-chan struct{} { return (*Incoming)(c).materialize().Done() }

func (c *requestContext) Err() error {
	if own := c.own.Load(); own != nil {
		return own.Err()
	}
	if err := c.link.ctx.Err(); err != nil {
		return err
	}
	switch {
	case c.state.Load() == stateOver:
		return context.Canceled
	case c.hasDeadline && now() >= c.deadline:
		return (*Incoming)(c).materialize().Err() // its timer is about to fire
	}
	return nil
}

// incomingKey is the key of the Incoming in its context.
type incomingKey struct{}

// IncomingOf returns the request whose handler got ctx, or a context derived from it; nil
// before 3.0.
func IncomingOf(ctx context.Context) *Incoming {
	in, _ := ctx.Value(incomingKey{}).(*Incoming)
	return in
}

func (c *requestContext) Value(key any) any {
	if key == (incomingKey{}) {
		return (*Incoming)(c)
	}
	if own := c.own.Load(); own != nil {
		return own.Value(key)
	}
	return c.link.ctx.Value(key)
}

// String keeps package fmt from reading the request while it changes.
func (c *requestContext) String() string { return "webwire.request" }

package link

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/webwire-go/webwire/internal/invariant"
	"github.com/webwire-go/webwire/internal/tasks"
	"github.com/webwire-go/webwire/protocol"
)

// Incoming is a request of the peer, from its arrival to its one answer. It is part of
// the task that handles the request, which
//
//  1. calls Begin, and returns if that returns false: the request has been answered;
//  2. calls the handler with the Context;
//  3. calls End, and answers.
//
// The zero value becomes a request by Link.Serve.
type Incoming struct {
	link  *Link
	task  tasks.Task
	id    protocol.ID
	state atomic.Uint32 // see stateWaiting

	// For 3.0:

	next        *Incoming // in the same bucket of the table
	hasDeadline bool
	waits       bool          // perhaps for longer than the deadline
	deadline    time.Duration // see now
	own         atomic.Pointer[ownContext]
	flow        *outflow // of the items; nil if the requester takes none
}

// Remover is what the task of a request may be, too. Removed is called instead of Run if the peer
// cancelled the request while it waited, or sends too many at once.
type Remover interface{ Removed() }

func (in *Incoming) removed() {
	if t, ok := in.task.(Remover); ok {
		t.Removed()
	}
}

// The states of an Incoming. Whoever changes one to over answers the request.
const (
	stateWaiting uint32 = iota
	stateRunning
	stateOver
)

// Serve has t handle the request m, concurrently with others. in is part of t, and size
// is that of t, see tasks.Runner. If it returns false no requests are taken any more, and
// the caller answers m. In 3.0 it answers m itself if the peer sends too many at once.
// Only Role.Receive calls it.
func (l *Link) Serve(in *Incoming, m *protocol.Message, size int, t tasks.Task) bool {
	in.link, in.task, in.id = l, t, m.ID
	x := l.modern
	if x == nil {
		return l.tasks.Go(size, t)
	}
	if len(m.Head) > 0 {
		if d, ok := m.Head.Deadline(); ok {
			in.hasDeadline, in.deadline = true, time.Duration(l.pulse.heard.Load())+d
			in.waits = d == 0 || !l.tasks.IsFree()
		}
		if m.Head.Stream() {
			in.flow = newOutflow(int(x.peer.StreamCredit))
		}
	}
	if !x.register(in) { // before it can be over
		in.removed()
		l.Answer(protocol.FailureTooMany.Failure().Message(m.ID))
		return true
	}
	if !l.tasks.Go(size, t) {
		x.unregister(in)
		return false
	}
	return true
}

// ID returns the id of the request.
func (in *Incoming) ID() protocol.ID { return in.id }

// Begin reports whether the handler is to run: the request was not cancelled and its
// deadline has not passed.
func (in *Incoming) Begin() bool {
	if in.link.modern == nil {
		return true
	}
	if in.waits && now() >= in.deadline {
		if in.state.CompareAndSwap(stateWaiting, stateOver) {
			in.link.modern.unregister(in)
			// If it cannot be sent the connection has ended.
			_ = in.link.Send(context.Background(), in.refusal(protocol.FailureDeadline))
		}
		return false
	}
	return in.state.CompareAndSwap(stateWaiting, stateRunning)
}

// End records that the handler has returned: the request cannot be cancelled any more, and
// its context ends if the request has one of its own. The caller answers the request. Another
// call does nothing: what the handler returned may panic when it is looked at.
func (in *Incoming) End() {
	if in.link.modern == nil {
		return
	}
	before := in.state.Swap(stateOver)
	invariant.Check(before != stateWaiting, "a request ends that did not begin")
	if before == stateOver {
		return
	}
	in.link.modern.unregister(in)
	if own := in.own.Load(); own != nil {
		own.cancel(context.Canceled)
	}
}

// Failure returns the answer to the request if its handler returned err, and whether that
// is the peer's doing: it cancelled the request, or the deadline passed. The caller has
// called End.
func (in *Incoming) Failure(err error) (answer protocol.Message, theirs bool) {
	code := protocol.FailureCode(0)
	if own := in.own.Load(); own != nil {
		cause := context.Cause(own.Context)
		var cancelled *CancelError
		switch {
		case !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, cause):
		case errors.As(cause, &cancelled):
			code = protocol.FailureCancelled
		case cause == ErrDeadline:
			code = protocol.FailureDeadline
		}
	}
	if code == 0 && in.hasDeadline && now() >= in.deadline && errors.Is(err, context.DeadlineExceeded) {
		code = protocol.FailureDeadline // the handler did not wait for its context, it asked
	}
	if code != 0 {
		return code.Failure().Message(in.id), true
	}
	return in.failed(err), false
}

// failed returns the answer to a request whose handler began and returned err. What the
// codes usually say about execution is not true for it: only a *FailureError of its own and
// ErrShutdown say that the request was not executed. An error of a request that the handler
// made itself, and that was not sent, is not its answer.
func (in *Incoming) failed(err error) protocol.Message {
	var unsent *UnsentError
	if errors.As(err, &unsent) {
		err = protocol.ErrInternal
	}
	m := in.link.out.Version().Failure(in.id, err)
	if m.Kind != protocol.ReplyFailure {
		return m
	}
	f, _ := m.Failure() // it is well-formed
	var chosen *protocol.FailureError
	if f.Executed != protocol.ExecutedNo || f.Code == protocol.FailureShutdown || errors.As(err, &chosen) {
		return m
	}
	f.Executed = protocol.ExecutedYes
	return f.Message(in.id)
}

// refusal returns the answer to a request whose handler did not begin.
func (in *Incoming) refusal(code protocol.FailureCode) protocol.Message {
	return (&protocol.FailureError{Code: code, Executed: protocol.ExecutedNo}).Message(in.id)
}

// cancel does what a cancel of the peer asks for, and reports whether the request has no
// answer yet. The caller is the reader, so the cancel comes after its request.
func (x *modern) cancel(l *Link, c protocol.CancelBody) bool {
	x.mu.Lock()
	in := x.incoming.find(c.ID)
	x.mu.Unlock()
	switch {
	case in == nil: // it was answered, or there never was one
		return false
	case in.state.CompareAndSwap(stateWaiting, stateOver):
		x.unregister(in)
		if l.tasks.Remove(in.task) { // if it is about to run instead, Begin stops it
			in.removed()
		}
		l.Answer(in.refusal(protocol.FailureCancelled))
	default:
		in.cancel(&CancelError{Reason: c.Reason})
	}
	return true
}

// register adds a request, unless there are too many.
func (x *modern) register(in *Incoming) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	t := &x.incoming
	if t.requests >= int32(x.own.Requests) || in.flow != nil && t.streams >= MaxStreams {
		return false
	}
	t.add(in)
	return true
}

func (x *modern) unregister(in *Incoming) {
	x.mu.Lock()
	x.incoming.remove(in)
	x.mu.Unlock()
}

// incomingTable finds the requests of the peer that have no answer yet by their ids. It is
// a hash table whose chains are made of the requests themselves. The zero value is empty.
type incomingTable struct {
	buckets  []*Incoming // their number is a power of two
	requests int32
	streams  int32 // requests whose reply is streamed
}

const (
	leastBuckets = 8
	keptBuckets  = 256 // of an empty table
)

// seed makes it impossible for the peer to choose ids that all fall into one bucket.
var seed = rand.Uint64() | 1

func (t *incomingTable) bucket(id protocol.ID) **Incoming {
	hash := id.Uint64() * seed
	hash ^= hash >> 32
	hash *= seed
	return &t.buckets[(hash>>32)&uint64(len(t.buckets)-1)]
}

func (t *incomingTable) add(in *Incoming) {
	if int(t.requests) >= len(t.buckets) {
		t.grow()
	}
	t.requests++
	if in.flow != nil {
		t.streams++
	}
	b := t.bucket(in.id)
	in.next, *b = *b, in
}

func (t *incomingTable) grow() {
	old := t.buckets
	t.buckets = make([]*Incoming, max(leastBuckets, 2*len(old)))
	for _, in := range old {
		for in != nil {
			next := in.next
			b := t.bucket(in.id)
			in.next, *b = *b, in
			in = next
		}
	}
}

// remove removes a request that is in the table.
func (t *incomingTable) remove(in *Incoming) {
	b := t.bucket(in.id)
	for *b != in {
		invariant.Check(*b != nil, "a request is over twice")
		b = &(*b).next
	}
	*b, in.next = in.next, nil
	t.requests--
	if in.flow != nil {
		t.streams--
	}
	if t.requests == 0 && len(t.buckets) > keptBuckets {
		t.buckets = nil
	}
}

// find returns the request with the id, nil if there is none.
func (t *incomingTable) find(id protocol.ID) *Incoming {
	if t.requests == 0 {
		return nil
	}
	in := *t.bucket(id)
	for in != nil && in.id != id {
		in = in.next
	}
	return in
}

package link

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/webwire-go/webwire/internal/invariant"
	"github.com/webwire-go/webwire/internal/outbox"
	"github.com/webwire-go/webwire/protocol"
)

// LostError is the outcome of a request whose connection ended before its reply.
type LostError struct {
	Sent  bool // the peer may have received and executed it
	Late  bool // the connection had ended before the request began
	Cause error
}

func (e *LostError) Error() string {
	if e.Sent {
		return "connection lost after the request was sent: " + e.Cause.Error()
	}
	return "connection lost before the request was sent: " + e.Cause.Error()
}

func (e *LostError) Unwrap() error { return e.Cause }

// Unsent reports whether err is that of a request that was not sent because its connection
// ended: before the request began, or while it was away. Such a request may be made on
// another connection.
func (l *Link) Unsent(err error) bool {
	if err == nil {
		return false // without the call below, which costs an allocation
	}
	var lost *LostError
	return errors.As(err, &lost) && (lost.Late || !lost.Sent && l.out.Keeps())
}

// TimeoutError is the outcome of a request that was not answered in time. It is a
// context.DeadlineExceeded.
type TimeoutError struct{ After time.Duration }

func (e *TimeoutError) Error() string { return fmt.Sprintf("no reply within %v", e.After) }

func (e *TimeoutError) Unwrap() error { return context.DeadlineExceeded }

// UnsentError is the outcome of a request that was not sent, for a reason other than the
// end of its connection. The peer has not seen the request and never will.
type UnsentError struct{ Err error }

func (e *UnsentError) Error() string { return e.Err.Error() }

func (e *UnsentError) Unwrap() error { return e.Err }

// unsent marks an error of a request that was not sent, unless it says so itself.
func unsent(err error) error {
	if _, lost := err.(*LostError); lost || err == nil {
		return err
	}
	return &UnsentError{err}
}

// ErrTooMany is wrapped by the error of a request when the connection has the most
// requests in flight that it can have.
var ErrTooMany = errors.New("webwire: over a million requests are in flight on the connection")

// The number of a request, its id on the wire, is made of the index of its call
// in the table and of a count that makes it unique.
const (
	indexBits = 20
	maxCalls  = 1 << indexBits
)

// keptCalls is how many calls a connection keeps that has no request in flight.
const keptCalls = 256

// call is a request that waits for its reply. Calls are reused: a request at work
// needs no timer, no map entry and no channel of its own.
type call struct {
	index    uint64
	number   uint64       // of the request that waits; zero once its outcome is decided
	done     chan outcome // has room for the one outcome
	then     func(protocol.Payload) error
	place    outbox.Mark
	timeout  time.Duration
	deadline time.Duration // see now; zero: none

	// For 3.0:

	in      *inflow  // of items; nil if the reply is not to be streamed
	cancels bool     // the peer knows how to stop executing it
	space   [16]byte // for the head
}

type outcome struct {
	payload protocol.Payload
	err     error
	gaveUp  gaveUp
}

// calls is the table of the requests in flight, guarded by the Link's mutex.
type calls struct {
	all     []*call
	free    []*call
	waiting int    // calls whose outcome is not decided
	count   uint64 // requests so far
	sweepAt time.Duration
	sweep   *time.Timer // fails the overdue at sweepAt; nil until the first deadline

	// For 3.0:

	abandoned map[uint64]abandoned // given up and not answered
	streams   int                  // requests without an answer whose reply is streamed
}

// abandoned is a request that was given up.
type abandoned struct {
	why      gaveUp
	streamed bool
}

// take returns a call for a new request, nil if there are too many.
func (t *calls) take() *call {
	var c *call
	if n := len(t.free); n > 0 {
		c = t.free[n-1]
		t.free = t.free[:n-1]
	} else if len(t.all) < maxCalls {
		c = &call{index: uint64(len(t.all)), done: make(chan outcome, 1)}
		t.all = append(t.all, c)
	} else {
		return nil
	}
	t.count++
	c.number = t.count<<indexBits | c.index
	c.place = outbox.Mark{}
	t.waiting++
	return c
}

// find returns the call that waits as the given number, or nil.
func (t *calls) find(number uint64) *call {
	index := number & (maxCalls - 1)
	if t == nil || number == 0 || index >= uint64(len(t.all)) || t.all[index].number != number {
		return nil
	}
	return t.all[index]
}

// decide is find, after which the call is the caller's to send the outcome to.
func (t *calls) decide(number uint64) *call {
	c := t.find(number)
	if c == nil {
		return nil
	}
	c.number = 0
	t.waiting--
	invariant.Check(t.waiting >= 0, "more requests have an outcome than were sent")
	return c
}

// Request sends m, a message of a kind that is answered, and returns the payload
// of the reply, which is the caller's. The error is that of a refusing reply (see
// protocol.Message.Err), a *LostError, a *TimeoutError, or ctx.Err(). If the request
// was not sent the error is a *LostError that says so or an *UnsentError, which wraps
// protocol.ErrMalformed or protocol.ErrTooBig if the request cannot be sent at all, and in
// 3.0 protocol.ErrTooMany if the peer takes no more requests at once. After any other
// error the peer may have executed the request, or may yet do so.
//
// A timeout of zero is none. If then is not nil it gets the payload of a Reply first, on
// the goroutine that reads: no later message was received before it returned, and its
// error becomes that of the request.
func (l *Link) Request(ctx context.Context, m protocol.Message, timeout time.Duration, then func(protocol.Payload) error) (protocol.Payload, error) {
	from := time.Duration(0)
	if timeout > 0 {
		from = now()
	}
	return l.RequestFrom(ctx, m, from, timeout, then)
}

// RequestFrom is Request with a timeout that began at a time, see Now. Reading the clock
// again would take longer than the rest of the work in the table of calls.
func (l *Link) RequestFrom(ctx context.Context, m protocol.Message, from, timeout time.Duration, then func(protocol.Payload) error) (protocol.Payload, error) {
	if err := ctx.Err(); err != nil {
		return protocol.Payload{}, &UnsentError{err}
	}
	c, number, err := l.register(from, timeout, then, nil)
	if err != nil {
		return protocol.Payload{}, unsent(err)
	}
	refused := l.begin(ctx, c, number, &m, timeout)
	var out outcome
	select {
	case out = <-c.done:
	default:
		out = l.await(ctx, c, number)
	}
	if out.gaveUp != notGivenUp {
		out.err = l.withdraw(c, number, out)
	}
	l.release(c)
	if refused != nil {
		out.err = unsent(out.err)
	}
	return out.payload, out.err
}

// begin sends the request of a call. If that fails it decides the call, unless the outcome
// is decided already.
func (l *Link) begin(ctx context.Context, c *call, number uint64, m *protocol.Message, timeout time.Duration) error {
	m.ID = protocol.NewID(number)
	if l.modern != nil && m.Kind == protocol.Request {
		c.cancels = true
		l.addMeta(ctx, m)
		m.Head = c.head(ctx, m.Head, timeout)
	}
	err := l.sendRequest(ctx, m, &c.place, timeout)
	if err != nil {
		if c := l.decide(number); c != nil {
			c.done <- outcome{err: err}
		}
	}
	return err
}

// head returns h with the fields of the call itself. They are in the memory of the call,
// unless h has fields already.
func (c *call) head(ctx context.Context, h protocol.Head, timeout time.Duration) protocol.Head {
	if len(h) == 0 {
		h = c.space[:0]
	} else {
		h = slices.Clip(h)
	}
	if deadline, ok := ctx.Deadline(); ok {
		if left := max(time.Until(deadline), 0); timeout == 0 || left < timeout {
			timeout = max(left, 1) // it is rounded up
		}
	}
	if timeout > 0 {
		h = h.AppendDeadline(timeout)
	}
	if c.in != nil {
		h = h.AppendStream()
	}
	return h
}

// sendRequest sends m within ctx and, unless it is zero, timeout.
func (l *Link) sendRequest(ctx context.Context, m *protocol.Message, at *outbox.Mark, timeout time.Duration) error {
	flush, err := l.out.Add(outbox.DontWait, m, at)
	if errors.Is(err, outbox.ErrFull) {
		within, cancel := ctx, context.CancelFunc(func() {})
		if timeout > 0 {
			within, cancel = context.WithTimeout(ctx, timeout)
		}
		flush, err = l.out.Add(within, m, at)
		cancel()
		if err != nil && err == within.Err() {
			if ctx.Err() == nil {
				err = &TimeoutError{After: timeout}
			}
			return err
		}
	}
	if flush {
		// One write may take as long as the request, or as long as a busy peer lives if
		// the network has no room for it. More than one would be for others only, and the
		// reply may be here meanwhile.
		rounds := 0
		if ctx.Done() == nil && (timeout == 0 || timeout >= l.limits.WriteTimeout && l.out.Flows()) {
			rounds = 1
		}
		l.out.Write(rounds)
	}
	if err != nil && l.Cause() != nil {
		err = &LostError{Cause: err}
	}
	return err
}

func (l *Link) await(ctx context.Context, c *call, number uint64) outcome {
	cancelled := ctx.Done()
	if cancelled == nil {
		return <-c.done
	}
	select {
	case out := <-c.done:
		return out
	case <-cancelled:
		if why := whyEnded(ctx); l.giveUp(number, why) {
			return outcome{err: ctx.Err(), gaveUp: why}
		}
		return <-c.done // the outcome was decided first, and is here or about to be
	}
}

// register returns the call of a new request and its number, which the call itself
// may have lost already: the connection may end, or the time be over. Unless timeout is
// zero it began at from.
func (l *Link) register(from, timeout time.Duration, then func(protocol.Payload) error, in *inflow) (c *call, number uint64, err error) {
	deadline := time.Duration(0)
	if timeout > 0 {
		deadline = from + timeout
	}
	s := l.lock()
	defer l.unlock()
	if s.cause != nil {
		return nil, 0, &LostError{Late: true, Cause: s.cause}
	}
	if s.calls == nil {
		s.calls = new(calls)
	}
	if x := l.modern; x != nil && (s.calls.waiting+len(s.calls.abandoned) >= int(x.peer.Requests) || in != nil && s.calls.streams >= MaxStreams) {
		return nil, 0, protocol.FailureTooMany.Failure()
	}
	if c = s.calls.take(); c == nil {
		return nil, 0, ErrTooMany
	}
	c.then, c.timeout, c.deadline, c.in, c.cancels = then, timeout, deadline, in, false
	if in != nil {
		s.calls.streams++
	}
	if deadline != 0 {
		l.armSweep(s.calls, deadline)
	}
	return c, c.number, nil
}

// decide is calls.decide under the lock, for a call that is answered or was not sent.
func (l *Link) decide(number uint64) *call {
	s := l.lock()
	c := s.calls.decide(number)
	if c != nil && c.in != nil {
		s.calls.streams--
	}
	l.unlock()
	return c
}

func (l *Link) release(c *call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.then, c.in = nil, nil
	t := l.state.calls
	invariant.Check(c.number == 0 && len(c.done) == 0, "a call is released before its outcome is taken")
	invariant.Check(len(t.free) < len(t.all) && t.all[c.index] == c, "a call is released twice")
	t.free = append(t.free, c)
	if len(t.free) == len(t.all) && len(t.all) > keptCalls { // all are free
		t.all, t.free = nil, nil
	}
}

// settle gives a reply to the request that waits for it, and reports whether there
// is one: a reply may be late, a duplicate, or invented. err is what Parse said.
func (l *Link) settle(m protocol.Message, err error) bool {
	c := l.decide(m.ID.Uint64())
	if c == nil {
		return false
	}
	l.out.WasRead(&c.place)
	if err == nil {
		err = m.Err()
	}
	if _, unsupported := m.Head.Unsupported(); unsupported {
		err = errUnsupported
	}
	out := outcome{err: err}
	if err == nil {
		out.payload = protocol.Payload{
			Encoding: m.Payload.Encoding,
			Data:     append([]byte(nil), m.Payload.Data...),
		}
		if c.then != nil {
			out.err = c.then(out.payload)
		}
	}
	c.done <- out
	return true
}

// armSweep sees to it that the overdue are looked for at deadline at the latest.
func (l *Link) armSweep(t *calls, deadline time.Duration) {
	if t.sweepAt != 0 && t.sweepAt <= deadline {
		return
	}
	t.sweepAt = deadline
	in := deadline - now()
	if t.sweep == nil {
		t.sweep = time.AfterFunc(in, l.failOverdue)
	} else {
		t.sweep.Reset(in)
	}
}

func (l *Link) failOverdue() {
	for _, c := range l.overdue() {
		c.done <- outcome{err: &TimeoutError{After: c.timeout}, gaveUp: wasLate}
	}
}

// overdue decides the requests that are overdue, and sees to it that the others are
// looked at in time.
func (l *Link) overdue() (late []*call) {
	s := l.lock()
	defer l.unlock()
	at := now()
	next := time.Duration(0)
	for _, c := range s.calls.all {
		switch {
		case c.number == 0 || c.deadline == 0:
		case c.deadline <= at:
			late = append(late, l.abandon(s.calls, c.number, wasLate))
		case next == 0 || c.deadline < next:
			next = c.deadline
		}
	}
	s.calls.sweepAt = 0
	if next != 0 && !s.closed {
		l.armSweep(s.calls, next)
	}
	return late
}

// failAll fails every request in flight: the connection has ended.
func (l *Link) failAll(cause error) {
	for _, c := range l.lost() {
		c.done <- outcome{err: &LostError{Sent: l.out.WasHanded(&c.place), Cause: cause}}
	}
}

// lost decides every request in flight.
func (l *Link) lost() (all []*call) {
	s := l.lock()
	defer l.unlock()
	if s.calls == nil {
		return nil
	}
	for _, c := range s.calls.all {
		if c.number != 0 {
			all = append(all, s.calls.decide(c.number))
		}
	}
	if s.calls.sweep != nil {
		s.calls.sweep.Stop()
	}
	return all
}

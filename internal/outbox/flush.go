package outbox

import (
	"errors"
	"runtime"

	"github.com/webwire-go/webwire/internal/invariant"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// begin makes the caller the flusher if one is needed.
func (o *Outbox) begin() bool {
	if o.flushing && !o.promised || o.hasNothing() || o.err != nil {
		return false
	}
	if k := o.kept; k != nil && k.away {
		o.settleAway()
		return false
	}
	if o.holdsBack() {
		return false
	}
	o.flushing, o.promised = true, false
	return true
}

// maxHeld is the most bytes that Hold holds back.
const maxHeld = 64 << 10

func (o *Outbox) holdsBack() bool { return o.held && o.bytes < min(maxHeld, o.conf.Size/2) }

// Hold makes what is added wait for Let or LetGo. It is for a reader that knows that the
// next message has arrived already, and with it the next reply or request: they leave
// in one batch, even if reading takes longer than answering.
func (o *Outbox) Hold() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held = true
}

// LetGo ends Hold. If flush is true the caller is the flusher and must call Write.
func (o *Outbox) LetGo() (flush bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held = false
	return o.begin()
}

// Let ends Hold and does not block: another goroutine writes.
func (o *Outbox) Let() {
	if o.LetGo() {
		o.Write(0)
	}
}

// MaxRounds is the number of batches that a flusher writes at most before it leaves the rest to
// another goroutine: it may have something else to do, and others may keep adding
// forever.
const MaxRounds = 8

// Write is the duty of a flusher. It writes at most the given number of batches on the
// caller's goroutine, and leaves the rest to another one; with zero rounds it does not
// block.
func (o *Outbox) Write(rounds int) {
	if rounds > 0 && o.flush(rounds) {
		return
	}
	if o.owner.Enter() {
		if o.flusher == nil {
			o.flusher = o.flushAll // to start a method as a goroutine allocates each time
		}
		go o.flusher()
	}
}

func (o *Outbox) flushAll() {
	defer o.owner.Leave()
	for !o.flush(MaxRounds) {
	}
}

// flush writes until nothing is left, at most the given number of batches. If done is
// false the caller is still the flusher.
func (o *Outbox) flush(rounds int) (done bool) {
	var b *batch
	for round := 0; ; round++ {
		if o.owner.Crowded() {
			runtime.Gosched() // the next system call then carries their messages too
		}
		written := b
		b, done = o.next(written, round < rounds)
		if b == nil {
			return done
		}
		msgs := b.live()
		if len(msgs) == 0 { // all were removed
			continue
		}
		b.written = o.owner.Writing()
		own := len(msgs)
		if !b.urgent && o.conf.Version >= protocol.V3_0 {
			if ack := o.owner.Ack(); ack != nil {
				msgs = append(msgs, ack)
			}
		}
		if err := o.conf.Conn.Write(msgs...); err != nil {
			var partial *transport.PartialError
			if errors.As(err, &partial) {
				o.unsent(b, own-min(max(partial.Sent, 0), own))
			}
			if !o.owner.Failed(err) { // first: whoever finds the outbox failed asks for the cause
				o.Fail(err)
			}
		}
	}
}

// next records that a batch was written, unless it is nil, and returns the next one, or
// nil: then the caller is the flusher no more if done is true, and is not to go on
// itself if it is false.
func (o *Outbox) next(written *batch, goOn bool) (b *batch, done bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	invariant.Check(o.flushing && !o.promised, "a batch is written by a goroutine that is not the flusher")
	if written != nil {
		o.counts.bytes += uint64(written.liveSize())
		o.over(written)
	}
	switch {
	case o.err == nil && o.kept != nil && o.kept.away:
		o.flushing = false
		o.settleAway()
		return nil, true
	case o.err != nil || o.hasNothing():
		invariant.Check(o.err != nil || o.bytes == 0 && o.sent == o.added.end, "an empty outbox counts bytes")
		o.flushing = false
		if o.waits != nil {
			wake(&o.waits.idle)
			wake(&o.waits.settled)
		}
		return nil, true
	case written != nil && o.holdsBack(): // the first batch was let go, even if Hold came since
		o.flushing = false
		return nil, true
	case !goOn:
		return nil, false
	}
	b = o.pop()
	o.counts.messages += uint64(len(b.msgs) - b.removed)
	if !b.urgent {
		o.handed += uint64(len(b.msgs))
		if k := o.keeper(); k != nil {
			k.numbered(b)
		}
	}
	if o.kept != nil {
		o.kept.writing = b
	}
	invariant.Check(o.handed <= o.added.number, "more messages are written than were added")
	return b, false
}

// over gives back what a batch took, which was written or is not to be, and releases or
// keeps it.
func (o *Outbox) over(b *batch) {
	o.bytes -= b.cost()
	if !b.urgent {
		o.sent += uint64(b.size)
	}
	invariant.Check(o.bytes >= 0 && o.sent <= o.added.end, "more is written than was added")
	k := o.kept
	if k != nil {
		k.writing = nil
	}
	switch {
	case k == nil || b.urgent || o.err != nil:
		b.release()
		if k != nil {
			k.release()
		}
	default:
		o.retain(b)
	}
	o.madeRoom()
}

// addPromised is addEncoded for a caller that is about to do the same for many
// outboxes, and does not wait. If limit bytes are queued there is no room. If promised is
// true the caller must call keep soon, and until then there is no other flusher. If more
// and more is added meanwhile that takes too long: then flush is true, and the caller must
// call Write now.
func (o *Outbox) addPromised(msg []byte, limit int) (promised, flush bool, err error) {
	if err := o.lockRoom(DontWait, len(msg)); err != nil {
		return false, false, err
	}
	defer o.mu.Unlock()
	if o.bytes >= limit {
		return false, false, ErrFull
	}
	waiting := o.promised
	flush = o.appendShared(msg)
	if flush && (!waiting || o.bytes < o.conf.Size/2) {
		o.promised = true
		return !waiting, false, nil
	}
	return false, flush, nil
}

// keep makes the caller the flusher that it promised to be, unless there is another one.
func (o *Outbox) keep() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	kept := o.promised
	o.promised = false
	return kept
}

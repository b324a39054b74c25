package link

import (
	"errors"
	"runtime"
	"time"

	"github.com/webwire-go/webwire/transport"
)

// begin makes the caller the flusher if there is a need of one.
func (o *outbox) begin() bool {
	if o.flushing && !o.promised || o.waits() || len(o.queue) == 0 || o.err != nil {
		return false
	}
	o.flushing, o.promised = true, false
	return true
}

// maxHeld is how many bytes a held outbox lets wait.
const maxHeld = 64 << 10

func (o *outbox) waits() bool { return o.held && o.bytes < min(maxHeld, o.conf.OutboxSize/2) }

// hold makes what is added wait for let. It is for the reader that knows the next
// message to be here already, and with it the next reply or request: they leave
// in one batch, even if reading takes longer than answering.
func (o *outbox) hold() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held = true
}

// let ends hold. The caller must call flush if it says so.
func (o *outbox) let() (flush bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held = false
	return o.begin()
}

// maxRounds is how many batches a flusher writes before it leaves the rest to
// another: it may have something else to do, and others may keep adding for ever.
const maxRounds = 8

// flush writes until nothing is left, in at most so many rounds, and reports whether
// it did: if not the caller must see to it that somebody else goes on. Who must not be
// held up for as long as the writes may take calls it on another goroutine.
func (o *outbox) flush(rounds int) (done bool) {
	var b *batch
	for round := 0; ; round++ {
		if o.owner.crowded() {
			runtime.Gosched() // the next system call then carries their messages too
		}
		written := b
		b, done = o.next(written, round < rounds)
		if written != nil {
			written.release()
		}
		if b == nil {
			return done
		}
		o.wrote.Store(int64(time.Since(o.epoch)))
		if err := o.conf.Conn.Write(b.msgs...); err != nil {
			var partial *transport.PartialError
			if errors.As(err, &partial) {
				o.unsent(len(b.msgs) - partial.Sent)
			}
			o.owner.end(err) // first: who finds the outbox failed asks for the cause
			o.fail(err)
		}
	}
}

// next takes note that a batch was written, unless it is nil, and returns the next one,
// or nil: then the caller is the flusher no more if done, and else because it shall
// not go on.
func (o *outbox) next(written *batch, goOn bool) (b *batch, done bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if written != nil {
		o.bytes -= len(written.msgs)*addedCost + written.size
		o.sent += uint64(written.size)
		o.wake(&o.room)
	}
	switch {
	case o.err != nil || len(o.queue) == 0:
		o.flushing = false
		o.wake(&o.idle)
		o.wake(&o.settled)
		return nil, true
	case written != nil && o.waits(): // the first batch was let go, even if hold came since
		o.flushing = false
		return nil, true
	case !goOn:
		return nil, false
	}
	b = o.queue[0]
	o.queue = append(o.queue[:0], o.queue[1:]...)
	o.handed += uint64(len(b.msgs))
	return b, false
}

// addPromised is addEncoded for a caller that is about to do the same for many
// outboxes. If it says so, the caller must call keep soon, and then flush: until then
// it waits for nobody else. If there is more and more to be sent it does not wait that
// long, and flush is for now.
func (o *outbox) addPromised(msg []byte) (promised, flush bool, err error) {
	if err := o.lockRoom(dontWait, len(msg)); err != nil {
		return false, false, err
	}
	defer o.mu.Unlock()
	waiting := o.promised
	flush = o.append(o.last(), msg, nil)
	if flush && (!waiting || o.bytes < o.conf.OutboxSize/2) {
		o.promised = true
		return !waiting, false, nil
	}
	return false, flush, nil
}

// keep makes the caller the flusher that it promised to be, unless somebody else is.
func (o *outbox) keep() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	kept := o.promised
	o.promised = false
	return kept
}

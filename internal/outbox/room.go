package outbox

import (
	"context"
	"slices"
	"time"
)

// waits is what goroutines wait for. Most connections never need it.
type waits struct {
	senders int           // that want room, one after the other
	turn    chan struct{} // full while one of them waits for room; nil before the first
	room    chan struct{} // closed once bytes shrink; nil if nobody waits for that
	idle    chan struct{} // closed once all is written; nil if nobody waits for that
	acked   chan struct{} // closed once all is acknowledged; nil if nobody waits for that
	settled chan struct{} // closed once nobody writes; nil if nobody waits for that
	calls   []roomCall    // in no order
}

// roomCall is what WhenRoom was given.
type roomCall struct {
	limit, size int
	end         uint64 // of what was queued then
	f           func(queued int)
}

func (o *Outbox) waiters() *waits {
	if o.waits == nil {
		o.waits = new(waits)
	}
	return o.waits
}

// await returns the channel *ch, which it makes if there is none.
func await(ch *chan struct{}) <-chan struct{} {
	if *ch == nil {
		*ch = make(chan struct{})
	}
	return *ch
}

// wake closes *ch, if there is one.
func wake(ch *chan struct{}) {
	if *ch != nil {
		close(*ch)
		*ch = nil
	}
}

// lockRoom returns with the lock held and room for size bytes, or with an error.
// Senders that wait get room in turn, so that short messages do not keep a long one out.
func (o *Outbox) lockRoom(ctx context.Context, size int) (err error) {
	o.mu.Lock()
	switch {
	case o.err != nil:
		err = o.err
	case o.fits(size) && (o.waits == nil || o.waits.senders == 0 || ctx == DontWait):
		return nil
	case ctx == DontWait:
		err = ErrFull
	default:
		w := o.waiters()
		w.senders++
		err = o.awaitTurn(ctx, size)
		w.senders--
		if err == nil {
			return nil
		}
	}
	o.mu.Unlock()
	return err
}

// fits reports whether there is room. A long message counts as half of the budget at
// most, so that it gets in beside those of senders that do not wait.
func (o *Outbox) fits(size int) bool {
	used := o.bytes + o.charge()
	return used == 0 || used+min(addedCost+size, o.conf.Size/2) <= o.conf.Size
}

// WhenRoom calls f with the number of bytes that are queued once these are less than limit and
// there is room for size bytes, or else once all that is queued now is written: others may keep
// the outbox full. It may call f at once, and never calls it if the outbox fails before. f must
// neither block nor use the outbox: it starts what does.
func (o *Outbox) WhenRoom(limit, size int, f func(queued int)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := roomCall{limit, size, o.added.end, f}
	switch {
	case o.err != nil:
	case o.isDue(c):
		f(o.bytes)
	default:
		w := o.waiters()
		w.calls = append(w.calls, c)
	}
}

func (o *Outbox) isDue(c roomCall) bool {
	return o.bytes < c.limit && o.fits(c.size) || o.sent >= c.end
}

// madeRoom wakes those that wait for room.
func (o *Outbox) madeRoom() {
	w := o.waits
	if w == nil {
		return
	}
	wake(&w.room)
	if len(w.calls) == 0 {
		return
	}
	w.calls = slices.DeleteFunc(w.calls, func(c roomCall) bool {
		due := o.isDue(c)
		if due {
			c.f(o.bytes)
		}
		return due
	})
}

// awaitTurn waits for room behind those who came before. The lock is held before and
// after.
func (o *Outbox) awaitTurn(ctx context.Context, size int) error {
	w := o.waits
	if w.turn == nil {
		w.turn = make(chan struct{}, 1)
	}
	turn := w.turn
	o.mu.Unlock()
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		o.mu.Lock()
		return ctx.Err()
	}
	defer func() { <-turn }()
	o.mu.Lock()
	for o.err == nil && !o.fits(size) {
		room := await(&w.room)
		stuck := o.promised || !o.flushing
		o.mu.Unlock()
		if stuck {
			o.Let()
		}
		select {
		case <-room:
		case <-ctx.Done():
			o.mu.Lock()
			return ctx.Err()
		}
		o.mu.Lock()
	}
	return o.err
}

// Settle waits until the write in progress, if there is one, has returned, at most for
// limit. It is for an outbox that has failed or is suspended.
func (o *Outbox) Settle(limit time.Duration) {
	o.mu.Lock()
	if !o.flushing || o.promised {
		o.mu.Unlock()
		return
	}
	settled := await(&o.waiters().settled)
	o.mu.Unlock()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-settled:
	case <-timer.C:
	}
}

package tasks

import "github.com/webwire-go/webwire/internal/invariant"

// Overhead is about the memory, in bytes, of a task, besides the name and the payload
// of its message. Without it messages of a byte, or of none, would fill the memory long
// before they fill the budget.
const Overhead = 256

// budget counts what was received and not yet handled: every task is charged from its
// arrival until it is over, whether it waits or runs. While the budget is exceeded the
// connection should not be read: that slows down a peer that sends faster than its
// messages are handled. It is guarded by the mutex of the Runner.
type budget struct {
	bytes int
	lent  int           // the part of bytes that was charged by Charge
	freed bool          // bytes shrank since the last call of Lack
	room  chan struct{} // closed when bytes shrink; nil if nobody waits for that
}

// charged is a task with the part of the budget that it takes.
type charged struct {
	task Task
	size int
}

// charge takes size from the budget and returns what to give back. A long message
// is charged as half of the budget at most, so that it does not keep all others out.
func (r *Runner) charge(size int) (charged int) {
	charged = min(size, r.limits.Budget/2)
	r.add(charged)
	return charged
}

// add adds to what the budget has to hold.
func (r *Runner) add(bytes int) {
	r.budget.bytes += bytes
	if r.budget.bytes > r.limits.Budget {
		r.full.Store(true)
	}
}

func (b *budget) release(charged int) {
	b.bytes -= charged
	invariant.Check(charged >= 0 && b.bytes >= 0, "more bytes are given back than were charged")
	b.freed = true
	if b.room != nil && charged > 0 {
		close(b.room)
		b.room = nil
	}
}

// Full reports whether the budget may be exceeded. If so Lack tells.
func (r *Runner) Full() bool { return r.full.Load() }

// Lack tells how the budget stands: freed is whether a task has ended since the last
// call, and fits whether the budget is not exceeded. The channel is nil if it is exceeded
// by at most overdraft bytes; else it is closed when it is exceeded by less than now.
func (r *Runner) Lack(overdraft int) (room <-chan struct{}, freed, fits bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := &r.budget
	freed, b.freed = b.freed, false
	if fits = b.bytes <= r.limits.Budget; fits {
		r.full.Store(false)
	}
	if b.bytes <= r.limits.Budget+overdraft {
		return nil, freed, fits
	}
	if b.room == nil {
		b.room = make(chan struct{})
	}
	return b.room, freed, fits
}

// Charge charges the budget for something that is not run here, until the same number of
// bytes is refunded. It may be more than the budget.
func (r *Runner) Charge(bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.budget.lent += bytes
	r.add(bytes)
}

// Refund: see Charge.
func (r *Runner) Refund(bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.budget.lent -= bytes
	invariant.Check(r.budget.lent >= 0, "more bytes are refunded than were charged")
	r.budget.release(bytes)
}

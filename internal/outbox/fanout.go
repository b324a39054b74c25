package outbox

import (
	"math"
	"runtime"
	"sync/atomic"
	"time"
)

// A Fanout sends to many outboxes, by a few goroutines instead of one for each. The zero
// value is ready to use, once and by one goroutine.
type Fanout struct {
	outboxes []*Outbox // to be flushed; entered
	next     atomic.Int64
	seen     int64 // next at the last look
	runners  int
}

// patience is how long all runners may be held up before others are started.
const patience = time.Millisecond

// TrySend is Outbox.TrySend, except that msg may be sent only after Flush.
func (f *Fanout) TrySend(o *Outbox, msg []byte) error { return f.TrySendBelow(o, msg, math.MaxInt) }

// TrySendBelow is TrySend to an outbox that is full when limit bytes are queued.
func (f *Fanout) TrySendBelow(o *Outbox, msg []byte, limit int) error {
	if err := o.check(len(msg)); err != nil {
		return err
	}
	promised, flush, err := o.addPromised(msg, limit)
	switch {
	case flush:
		o.Write(0)
	case promised && o.owner.Enter():
		if f.outboxes == nil {
			f.outboxes = make([]*Outbox, 0, 16)
		}
		f.outboxes = append(f.outboxes, o)
	}
	return err
}

// Flush sends what was added. It does not block.
func (f *Fanout) Flush() {
	f.start(runtime.GOMAXPROCS(0))
	if f.runners > 0 {
		time.AfterFunc(patience, f.look)
	}
}

func (f *Fanout) start(n int) {
	n = min(n, len(f.outboxes)-int(f.next.Load()))
	for range n {
		go f.run()
	}
	f.runners += max(n, 0)
}

// look finds out whether all runners are held up by peers that do not read, and then
// starts others for the peers that do.
func (f *Fanout) look() {
	next := f.next.Load()
	if next >= int64(len(f.outboxes)) {
		return
	}
	if next == f.seen {
		f.start(f.runners)
	}
	f.seen = next
	time.AfterFunc(patience, f.look)
}

func (f *Fanout) run() {
	for {
		i := f.next.Add(1) - 1
		if i >= int64(len(f.outboxes)) {
			return
		}
		o := f.outboxes[i]
		if o.keep() {
			o.Write(MaxRounds)
		}
		o.owner.Leave()
	}
}

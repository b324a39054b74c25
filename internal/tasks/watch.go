package tasks

import (
	"sync"
	"time"
)

// A Watch replaces the readers of many runners that do not read for too long. A reader
// announces that it is about to do something else (see away). If it is not back in time
// another goroutine reads on, so nothing that takes long, such as a handler or a write to
// a peer that does not read, holds up what arrives.
//
// There is no goroutine, and one timer, which runs only while some reader was away
// lately. The zero value is ready to use.
type Watch struct {
	mu      sync.Mutex
	runners []*Runner // whose reader was away lately
	timer   *time.Timer
	on      bool // the timer runs
}

// patience is how long a reader may be away; up to twice that if the Watch has just
// looked.
const patience = time.Millisecond

func (w *Watch) add(r *Runner) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.scheduler.watched.Load() {
		return
	}
	r.scheduler.watched.Store(true)
	r.scheduler.seen = 0
	w.runners = append(w.runners, r)
	if !w.on {
		w.on = true
		w.start()
	}
}

func (w *Watch) start() {
	if w.timer == nil {
		w.timer = time.AfterFunc(patience, w.look)
	} else {
		w.timer.Reset(patience)
	}
}

func (w *Watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	kept := w.runners[:0]
	for _, r := range w.runners {
		if r.isBusy() {
			kept = append(kept, r)
		}
	}
	clear(w.runners[len(kept):])
	w.runners = kept
	if w.on = len(kept) > 0; w.on {
		w.start()
	} else {
		w.runners = nil
	}
}

// isBusy replaces a reader that has been away since the last look, and reports
// whether there is a need to look again. The caller holds the Watch's mutex.
func (r *Runner) isBusy() bool {
	turn := r.scheduler.turn.Load()
	if turn != r.scheduler.seen {
		r.scheduler.seen = turn
		return true
	}
	if isAway(turn) {
		r.replace(turn)
		return true
	}
	r.scheduler.watched.Store(false)
	if r.scheduler.turn.Load() == turn {
		return false
	}
	r.scheduler.watched.Store(true) // the reader went away just now and may have missed it
	return true
}

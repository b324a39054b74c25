package link

import (
	"sync"
	"time"
)

// A Watch looks after the readers of the links that share it. A goroutine that
// reads a connection does what is quick by itself: to hand it to another costs
// more than the work. It says so before (see away), and if it is not back in time
// the Watch has another goroutine read on: so nothing that takes long, a handler or
// a write to a peer that does not read, holds up what arrives.
//
// There is one timer, which runs only while some reader was away lately, and no
// goroutine. The zero value is ready to use.
type Watch struct {
	mu    sync.Mutex
	links []*Link // whose reader was away lately
	timer *time.Timer
	on    bool // the timer runs
}

// patience is how long a reader may be away; up to twice that if the Watch has just
// looked.
const patience = time.Millisecond

func (w *Watch) add(l *Link) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.watched.Load() {
		return
	}
	l.watched.Store(true)
	l.seen = 0
	w.links = append(w.links, l)
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
	kept := w.links[:0]
	for _, l := range w.links {
		if l.isBusy() {
			kept = append(kept, l)
		}
	}
	clear(w.links[len(kept):])
	w.links = kept
	if w.on = len(kept) > 0; w.on {
		w.start()
	} else {
		w.links = nil
	}
}

// isBusy replaces a reader that has been away since the last look, and reports
// whether there is a need to look again. The caller holds the Watch's mutex.
func (l *Link) isBusy() bool {
	turn := l.turn.Load()
	if turn != l.seen {
		l.seen = turn
		return true
	}
	if isAway(turn) {
		l.replace(turn)
		return true
	}
	l.watched.Store(false)
	if l.turn.Load() == turn {
		return false
	}
	l.watched.Store(true) // the reader went away just now and may have missed it
	return true
}

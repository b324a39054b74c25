package tasks

import "sync/atomic"

// To hand a task to another goroutine takes longer than many tasks do. On a connection
// whose tasks are quick, and follow one another so fast that this matters (pace.go), the
// goroutine that reads, the reader, runs them itself, one after the other. If one is not
// quick after all another goroutine becomes the reader (watch.go), and the old one ends
// with its task.
//
// The rest of the package sees two functions of all this: takesTask reports whether the
// reader takes a task, and give gives it one, instead of to a worker. Were takesTask
// always to return false, every task would go to a worker and nothing else would change.
//
// The connection sees [Reader], which it implements, and four methods of the Runner. It
// reads as follows; own is false for the goroutine that it starts itself:
//
//	r.BecomeReader(own)
//	for {
//		… read a message, and call Go or Order for it
//		if r.HasWork() && !r.Work(release, patient) {
//			return // another goroutine reads
//		}
//	}
//
// The reader runs tasks only on a goroutine of the Runner's own: that which the
// connection starts is its caller's, and a task may end its goroutine with
// runtime.Goexit.

// Reader is what a connection does for the scheduler.
type Reader interface {
	// Read is called on a new goroutine, which becomes the reader with own true, until
	// the connection ends or another goroutine is the reader.
	Read()

	// Release writes what was held back while more was there to be read. If patient is
	// false another goroutine writes.
	Release(patient bool)
}

// scheduler decides which tasks the reader runs, and who is the reader.
type scheduler struct {
	desk    desk
	turn    atomic.Uint32 // of readers; odd while the reader is away
	seen    uint32        // turn when the Watch looked last; guarded by the Watch
	watched atomic.Bool   // by Limits.Watch
	pace    pace
}

// desk is what the reader has before it. Only the reader uses it.
type desk struct {
	own     bool    // the goroutine is the Runner's own: it may run tasks
	move    bool    // tasks are quick: the reader should be such a goroutine
	ordered bool    // task is one of Order
	task    charged // to be run by Work; the zero value if there is none
}

// takesTask reports whether the reader is to run the task of the message that it has
// before it. The caller is the reader, as is that of give.
func (r *Runner) takesTask() bool {
	s := &r.scheduler
	if !s.pace.isQuick() {
		return false
	}
	s.desk.move = !s.desk.own
	return s.desk.own
}

// give gives the reader a task. That of Go is held by workers already, for one of Order
// the line is claimed.
func (s *scheduler) give(t charged, ordered bool) { s.desk.task, s.desk.ordered = t, ordered }

// BecomeReader makes the calling goroutine the reader. If own is true the call of
// Reader.Read that it runs in is one of the Runner's.
func (r *Runner) BecomeReader(own bool) { r.scheduler.desk = desk{own: own} }

// ReaderIsOwn reports whether the reader may run tasks. Only the reader calls it.
func (r *Runner) ReaderIsOwn() bool { return r.scheduler.desk.own }

// HasWork reports whether the reader must call Work before it reads on.
func (r *Runner) HasWork() bool {
	d := &r.scheduler.desk
	return d.move || d.task.task != nil
}

// Work runs the task that Go or Order left to the reader, if any, and then calls
// Reader.Release if release is true. It reports whether the caller is still the reader.
// If not it must return: another goroutine reads, and everything of the reader is that
// goroutine's.
func (r *Runner) Work(release, patient bool) (still bool) {
	s := &r.scheduler
	d := &s.desk
	if d.move {
		r.startReader()
		return false
	}
	t, ordered := d.task, d.ordered
	d.task = charged{}
	if t.task != nil {
		s.pace.runs()
	}
	turn := r.away()
	returned := false
	defer func() {
		if !returned && s.back(turn) { // the task called runtime.Goexit
			r.startReader()
		}
	}()
	switch {
	case t.task == nil:
	case ordered:
		r.runOrdered(t)
	default:
		r.runHere(t)
	}
	if release {
		r.owner.Release(patient)
	}
	returned = true
	return s.back(turn)
}

// runHere runs a task of Go that no worker has.
func (r *Runner) runHere(t charged) {
	defer func() {
		r.mu.Lock()
		r.finish(t)
		r.workers.done()
		r.unlock()
	}()
	Run(t.task)
}

// runOrdered runs a task of Order for which Order has claimed the line.
func (r *Runner) runOrdered(t charged) {
	defer r.order.release()
	r.runAlone(t)
}

// away says that the reader is about to do something else. After it the desk is not
// the caller's, until back returns true.
func (r *Runner) away() (turn uint32) {
	turn = r.scheduler.turn.Add(1)
	if !r.scheduler.watched.Load() {
		r.limits.Watch.add(r)
	}
	return turn
}

func isAway(turn uint32) bool { return turn%2 == 1 }

// back reports whether the caller is the reader again: it was not replaced.
func (s *scheduler) back(turn uint32) bool { return s.turn.CompareAndSwap(turn, turn+1) }

// replace makes another goroutine the reader if the present one is still away.
func (r *Runner) replace(turn uint32) {
	if r.scheduler.back(turn) {
		r.scheduler.pace.tookTooLong()
		r.startReader()
	}
}

// startReader starts a goroutine that becomes the reader.
func (r *Runner) startReader() {
	r.working.Add(1)
	go func() {
		defer r.working.Done()
		r.owner.Read()
	}()
}

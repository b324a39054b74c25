package tasks

import "github.com/webwire-go/webwire/internal/invariant"

// workers are the goroutines that run the tasks of Go. There are none while there
// is nothing to do. One that finds more tasks ready than its own starts the next
// before it begins, and one that is done takes what is ready: so every task has a
// worker at once even if others block, and quick tasks that arrive together share
// a few goroutines. It is guarded by the mutex of the Runner.
type workers struct {
	ready    []charged // to be taken, from first on
	first    int       // index in ready
	held     int32     // tasks that are ready or run, at most Limits.Concurrency
	starting bool      // a worker was started and has not taken its first task
	waiting  *start    // the task in order that has to wait for a worker; nil: none
	worker   func()    // is Runner.work; nil before the first use
}

// free reports whether one more task may run.
func (w *workers) free(limit int) bool { return int(w.held) < limit }

// hold records that a task is ready or runs.
func (w *workers) hold(limit int) {
	w.held++
	invariant.Check(int(w.held) <= limit, "more tasks run than may")
}

// hand gives t to a worker.
func (r *Runner) hand(t charged) {
	w := &r.workers
	w.hold(r.limits.Concurrency)
	if w.first > 0 && len(w.ready) == cap(w.ready) { // it may never be empty
		n := copy(w.ready, w.ready[w.first:])
		clear(w.ready[n:])
		w.ready, w.first = w.ready[:n], 0
	}
	w.ready = append(w.ready, t)
	r.startWorker()
}

// startWorker starts a worker if a task is ready and none is starting.
func (r *Runner) startWorker() {
	w := &r.workers
	if w.starting || w.first == len(w.ready) {
		return
	}
	w.starting = true
	if w.worker == nil {
		w.worker = r.work // to start a method as a goroutine allocates each time
	}
	r.working.Add(1)
	go w.worker()
}

// take returns the task that is ready first, the zero value if there is none.
func (w *workers) take() charged {
	if w.first == len(w.ready) {
		return charged{}
	}
	t := w.ready[w.first]
	w.ready[w.first] = charged{}
	w.first++
	if w.first == len(w.ready) {
		w.ready, w.first = w.ready[:0], 0
	}
	return t
}

// done records that a task is over.
func (w *workers) done() {
	w.held--
	invariant.Check(w.held >= 0, "a worker is released twice")
	w.wake()
}

// wake makes the task look again that waits for a worker.
func (w *workers) wake() {
	if w.waiting != nil {
		close(w.waiting.freed)
		w.waiting = nil
	}
}

// awaitFree returns a channel that is closed when a task is over, or when its result has
// been sent. t is the task that waits for that.
func (w *workers) awaitFree(t *start) <-chan struct{} {
	if w.waiting != t {
		w.waiting, t.freed = t, make(chan struct{})
	}
	return t.freed
}

// work is a worker.
func (r *Runner) work() {
	defer r.working.Done()
	r.mu.Lock()
	r.workers.starting = false
	t := r.workers.take()
	r.startWorker()
	r.mu.Unlock()
	returned := true
	defer func() {
		if !returned { // a task called runtime.Goexit and takes this goroutine with it
			r.mu.Lock()
			r.finish(t)
			r.workers.done()
			r.startWorker()
			r.unlock()
		}
	}()
	for t.task != nil {
		returned = false
		Run(t.task)
		returned = true
		t = r.next(t)
	}
}

// next records that a task is over and returns the next one, the zero value if there
// is none.
func (r *Runner) next(over charged) charged {
	r.mu.Lock()
	defer r.unlock()
	r.finish(over)
	r.workers.done()
	t := r.workers.take()
	r.startWorker()
	return t
}

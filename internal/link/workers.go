package link

// workers are the goroutines that run the tasks of Go. There are none while there
// is nothing to do. One that finds more tasks ready than its own starts the next
// before it begins, and one that is done takes what is ready: so every task has a
// worker at once even if others block, and quick tasks that arrive together share
// a few goroutines.
type workers struct {
	ready    []charged // to be taken, from first on
	first    int
	held     int           // tasks that are ready or run, at most Config.Concurrency
	starting bool          // a worker was started and has not taken its first task
	freed    chan struct{} // closed when held shrinks; nil if nobody waits for that
}

// hand gives t to a worker. The caller holds the link's mutex.
func (l *Link) hand(w *workers, t charged) {
	w.held++
	if w.first > 0 && len(w.ready) == cap(w.ready) { // it may never be empty
		n := copy(w.ready, w.ready[w.first:])
		clear(w.ready[n:])
		w.ready, w.first = w.ready[:n], 0
	}
	w.ready = append(w.ready, t)
	l.startWorker(w)
}

func (l *Link) startWorker(w *workers) {
	if w.starting || w.first == len(w.ready) {
		return
	}
	w.starting = true
	l.working.Add(1)
	go l.worker()
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

// done takes note that a task is over.
func (w *workers) done() {
	w.held--
	if w.freed != nil {
		close(w.freed)
		w.freed = nil
	}
}

// awaitFree returns a channel that is closed when a task is over.
func (w *workers) awaitFree() <-chan struct{} {
	if w.freed == nil {
		w.freed = make(chan struct{})
	}
	return w.freed
}

// work is a worker.
func (l *Link) work() {
	defer l.working.Done()
	s := l.lock()
	s.workers.starting = false
	t := s.workers.take()
	l.startWorker(&s.workers)
	l.unlock()
	returned := true
	defer func() {
		if !returned { // a task called runtime.Goexit and takes this goroutine with it
			s := l.lock()
			s.finish(t.size)
			s.workers.done()
			l.startWorker(&s.workers)
			l.unlock()
		}
	}()
	for t.task != nil {
		returned = false
		Run(t.task)
		returned = true
		t = l.next(t)
	}
}

// next takes note that a task is over and returns the next one, the zero value if there
// is none.
func (l *Link) next(over charged) charged {
	s := l.lock()
	defer l.unlock()
	s.finish(over.size)
	s.workers.done()
	t := s.workers.take()
	l.startWorker(&s.workers)
	return t
}

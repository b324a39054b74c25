package tasks

// Withdraw takes out the tasks that wait for their turn, and returns them in the order in
// which they came: they will not be run. Tasks that run or are about to are not among them.
// Nothing may be added meanwhile.
func (r *Runner) Withdraw() (waiting []Task) {
	q := &r.order
	q.mu.Lock()
	queued := q.tasks
	q.tasks = nil
	q.mu.Unlock()

	r.mu.Lock()
	defer r.unlock()
	if s := r.workers.waiting; s != nil {
		s.withdrawn = true
		r.workers.wake() // so that it returns
		r.finish(s.task)
		waiting = append(waiting, s.task.task)
	}
	for _, t := range queued {
		var next charged
		switch t := t.(type) {
		case *start:
			next = t.task
		case *alone:
			next = t.task
		}
		r.finish(next)
		waiting = append(waiting, next.task)
	}
	return waiting
}

// Ordered returns a channel that is closed once no task of Order runs, nor any task waits.
func (r *Runner) Ordered() <-chan struct{} { return r.order.Over() }

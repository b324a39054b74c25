package tasks

// Remove takes out a task of Go that waits behind others, and reports whether it did: it
// will not be run. It does not find a task that is about to run.
func (r *Runner) Remove(t Task) bool {
	next, ok := r.order.remove(t)
	if !ok {
		return false
	}
	r.mu.Lock()
	defer r.unlock()
	r.finish(next)
	return true
}

// remove takes out the start of a task, the last ones first: what is removed has
// often just arrived.
func (q *line) remove(t Task) (removed charged, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := len(q.items) - 1; i >= 0; i-- {
		s, ok := q.items[i].task.(*start)
		if !ok || s.task.task != t {
			continue
		}
		removed = s.task
		copy(q.items[i:], q.items[i+1:])
		last := len(q.items) - 1
		q.items[last] = charged{}
		q.items = q.items[:last]
		return removed, true
	}
	return charged{}, false
}

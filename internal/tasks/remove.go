package tasks

import "slices"

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

// remove takes out the start of a task. It looks at the last ones first: what is removed
// has often just arrived.
func (q *Queue) remove(t Task) (removed charged, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := len(q.tasks) - 1; i >= 0; i-- {
		if s, ok := q.tasks[i].(*start); ok && s.task.task == t {
			q.tasks = slices.Delete(q.tasks, i, i+1)
			return s.task, true
		}
	}
	return charged{}, false
}

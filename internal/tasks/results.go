package tasks

import (
	"sync/atomic"
	"time"

	"github.com/webwire-go/webwire/internal/invariant"
)

// results counts the bytes of results that running tasks hold until there is room to send
// them. While they exceed the budget no task of Go is started: otherwise a peer that does
// not read would fill the memory with Concurrency of them, however long they are. The tasks
// that have to wait for that are then started one by one, because those together would
// exceed the budget again: the next when a task has ended or has a result, or after
// probeTime. All is changed under the mutex of the Runner.
type results struct{ bytes atomic.Int64 }

const probeTime = 10 * time.Millisecond

func (h *results) exceed(l *Limits) bool { return h.bytes.Load() > int64(l.Budget) }

// mayStart reports whether a task of Go may run. The caller holds the mutex.
func (r *Runner) mayStart() bool { return r.hasPlace() && !r.probing }

func (r *Runner) hasPlace() bool {
	return r.workers.free(r.limits.Concurrency) && !r.results.exceed(r.limits)
}

// IsLong reports whether a result of that size counts: shorter ones of all tasks that may
// run at once are within the budget together.
func (r *Runner) IsLong(size int) bool { return size > r.limits.Budget/max(r.limits.Concurrency, 1) }

// Hold counts a long result of a running task until Held is called with its size.
func (r *Runner) Hold(size int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results.bytes.Add(int64(size))
	r.wary = r.wary || r.results.exceed(r.limits)
	r.probed()
}

// Held: see Hold.
func (r *Runner) Held(size int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	left := r.results.bytes.Add(int64(-size))
	invariant.Check(left >= 0, "more bytes of results are sent than were held")
	r.workers.wake()
}

// probed lets the next task start. The caller holds the mutex.
func (r *Runner) probed() {
	if r.probing {
		r.probing = false
		r.workers.wake()
	}
}

// awaitProbe returns when freed is closed, or lets the next task start after probeTime.
func (r *Runner) awaitProbe(freed <-chan struct{}) {
	timer := time.NewTimer(probeTime)
	defer timer.Stop()
	select {
	case <-freed:
	case <-timer.C:
		r.mu.Lock()
		defer r.mu.Unlock()
		r.probed()
	}
}

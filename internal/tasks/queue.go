package tasks

import (
	"sync"
	"sync/atomic"

	"github.com/webwire-go/webwire/internal/invariant"
)

// Queue runs tasks one at a time, in the order in which they were put, on a goroutine
// that exists only while there are any. It has no limit of its own: see Runner.Charge.
// The zero value is ready to use.
type Queue struct {
	mu    sync.Mutex
	tasks []Task
	busy  atomic.Bool   // somebody runs tasks; only changed under mu
	over  chan struct{} // closed when no task is left; nil if nobody waits for that
}

// Put adds a task.
func (q *Queue) Put(t Task) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tasks = append(q.tasks, t)
	if !q.busy.Load() {
		q.begin()
		go q.drain()
	}
}

// Idle reports whether no task is waiting or running.
func (q *Queue) Idle() bool { return !q.busy.Load() }

// Wait returns once no task is waiting or running. Nothing may be put meanwhile.
func (q *Queue) Wait() {
	if !q.Idle() {
		<-q.Over()
	}
}

// Over returns a channel that is closed once no task is waiting or running.
func (q *Queue) Over() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.over == nil {
		q.over = make(chan struct{})
	}
	over := q.over
	if !q.busy.Load() {
		q.tellOver()
	}
	return over
}

func (q *Queue) tellOver() {
	if q.over != nil {
		close(q.over)
		q.over = nil
	}
}

// claim makes the caller the one that runs tasks, until release, and reports whether it
// did: if none was waiting or running. What is put meanwhile waits.
func (q *Queue) claim() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.busy.Load() {
		return false
	}
	q.begin()
	return true
}

// release: see claim.
func (q *Queue) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.tasks) > 0 {
		go q.drain()
		return
	}
	q.end()
}

func (q *Queue) begin() {
	q.busy.Store(true)
}

func (q *Queue) end() {
	invariant.Check(q.busy.Load() && len(q.tasks) == 0, "a queue is left with tasks, or twice")
	q.busy.Store(false)
	q.tellOver()
}

func (q *Queue) drain() {
	finished := false
	defer func() {
		if !finished { // a task called runtime.Goexit and took this goroutine with it
			go q.drain()
		}
	}()
	for {
		q.mu.Lock()
		if len(q.tasks) == 0 {
			q.tasks = nil
			finished = true
			q.end()
			q.mu.Unlock()
			return
		}
		next := q.tasks[0]
		q.tasks[0] = nil
		q.tasks = q.tasks[1:]
		q.mu.Unlock()
		Run(next)
	}
}

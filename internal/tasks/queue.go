package tasks

import (
	"sync"
	"sync/atomic"

	"github.com/webwire-go/webwire/internal/invariant"
)

// Queue runs tasks one at a time, in the order in which they were put, on a
// goroutine that exists only while there are any. It holds a budget of bytes. The
// zero value has no room beyond one task; set Limit first.
type Queue struct {
	Limit int // budget in bytes; a task of any size fits an empty queue

	line  line
	bytes int           // of tasks that wait or run; guarded by line.mu
	room  chan struct{} // closed once there is more room; nil if nobody waits for that
}

// Put adds a task of the given size, and waits for room until stop is closed. It
// reports whether the task was added; if so it will be run. There is always room
// for a task of size zero.
func (q *Queue) Put(stop <-chan struct{}, size int, t Task) bool {
	q.line.mu.Lock()
	for q.full(size) {
		if q.room == nil {
			q.room = make(chan struct{})
		}
		room := q.room
		q.line.mu.Unlock()
		select {
		case <-room:
		case <-stop:
			return false
		}
		q.line.mu.Lock()
	}
	q.add(size, t)
	q.line.mu.Unlock()
	return true
}

// TryPut is Put without waiting.
func (q *Queue) TryPut(size int, t Task) bool {
	q.line.mu.Lock()
	defer q.line.mu.Unlock()
	if q.full(size) {
		return false
	}
	q.add(size, t)
	return true
}

func (q *Queue) full(size int) bool { return size > 0 && q.bytes > 0 && q.bytes+size > q.Limit }

func (q *Queue) add(size int, t Task) {
	q.bytes += size
	q.line.add(charged{t, size}, q)
}

// over gives back the size of a task that is over.
func (q *Queue) over(size int) {
	q.line.mu.Lock()
	defer q.line.mu.Unlock()
	q.bytes -= size
	invariant.Check(q.bytes >= 0, "a queue counts less than no bytes")
	if q.room != nil {
		close(q.room)
		q.room = nil
	}
}

// Idle reports whether no task is waiting or running.
func (q *Queue) Idle() bool { return q.line.idle() }

// Wait returns once no task is waiting or running. Nothing may be put meanwhile.
func (q *Queue) Wait() { q.line.wait() }

// line is a queue without a budget. The zero value is ready to use.
type line struct {
	mu    sync.Mutex
	items []charged
	busy  atomic.Bool // somebody runs tasks; only changed under mu
	done  sync.WaitGroup
}

// charged is a task with the part of a budget that it takes.
type charged struct {
	task Task
	size int
}

// add appends a task, whose size is given back to budget, if that is not nil. The caller
// holds the mutex.
func (q *line) add(t charged, budget *Queue) {
	q.items = append(q.items, t)
	if !q.busy.Load() {
		q.begin()
		go q.drain(budget)
	}
}

// put is add for a line without a budget.
func (q *line) put(t Task) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.add(charged{task: t}, nil)
}

func (q *line) begin() {
	q.busy.Store(true)
	q.done.Add(1)
}

func (q *line) end() {
	invariant.Check(q.busy.Load() && len(q.items) == 0, "a queue is left with tasks, or twice")
	q.busy.Store(false)
	q.done.Done()
}

// claim makes the caller the one who runs tasks, until release, and reports whether
// it did: if none was waiting or running. What is put meanwhile waits.
func (q *line) claim() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.busy.Load() {
		return false
	}
	q.begin()
	return true
}

// release: see claim.
func (q *line) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) > 0 {
		go q.drain(nil)
		return
	}
	q.end()
}

func (q *line) idle() bool { return !q.busy.Load() }

func (q *line) wait() { q.done.Wait() }

func (q *line) drain(budget *Queue) {
	finished := false
	defer func() {
		if !finished { // a task called runtime.Goexit and took this goroutine with it
			go q.drain(budget)
		}
	}()
	for {
		q.mu.Lock()
		if len(q.items) == 0 {
			q.items = nil
			finished = true
			q.end()
			q.mu.Unlock()
			return
		}
		next := q.items[0]
		q.items[0] = charged{}
		q.items = q.items[1:]
		q.mu.Unlock()
		runOne(next, budget)
	}
}

// runOne runs a task, which counts against the budget until it is over.
func runOne(t charged, budget *Queue) {
	if budget != nil {
		defer budget.over(t.size)
	}
	Run(t.task)
}

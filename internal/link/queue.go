package link

import (
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// A Task is a piece of user code to run: a handler or a hook. Panicked is called
// instead of the rest of Run if that panics, with what it panicked with, or ends
// its goroutine with runtime.Goexit, with nil.
type Task interface {
	Run()
	Panicked(value any, stack []byte)
}

// Run is the barrier between our goroutines and the panics of user code.
func Run(t Task) {
	returned := false
	defer func() {
		if !returned {
			value := recover()
			t.Panicked(value, debug.Stack())
		}
	}()
	t.Run()
	returned = true
}

// Queue runs tasks one at a time, in the order in which they were put, on a
// goroutine that exists only while there are any. It holds a budget of bytes. The
// zero value has no room beyond one task; set Limit first.
type Queue struct {
	Limit int // budget in bytes; a task of any size fits an empty queue

	mu    sync.Mutex
	items []queued
	bytes int
	busy  atomic.Bool   // the goroutine exists; only changed under mu
	room  chan struct{} // closed once there is more room; nil if nobody waits for that
	done  sync.WaitGroup
}

type queued struct {
	task Task
	size int
}

// Put adds a task of the given size, and waits for room until stop is closed. It
// reports whether the task was added; if so it will be run. There is always room
// for a task of size zero.
func (q *Queue) Put(stop <-chan struct{}, size int, t Task) bool {
	q.mu.Lock()
	for q.full(size) {
		if q.room == nil {
			q.room = make(chan struct{})
		}
		room := q.room
		q.mu.Unlock()
		select {
		case <-room:
		case <-stop:
			return false
		}
		q.mu.Lock()
	}
	q.add(size, t)
	q.mu.Unlock()
	return true
}

// TryPut is Put without waiting.
func (q *Queue) TryPut(size int, t Task) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.full(size) {
		return false
	}
	q.add(size, t)
	return true
}

func (q *Queue) full(size int) bool { return size > 0 && q.bytes > 0 && q.bytes+size > q.Limit }

func (q *Queue) add(size int, t Task) {
	q.items = append(q.items, queued{t, size})
	q.bytes += size
	if !q.busy.Load() {
		q.busy.Store(true)
		q.done.Add(1)
		go q.drain()
	}
}

// Claim makes the caller the one who runs tasks, until Release, and reports whether
// it did: if none was waiting or running. What is put meanwhile waits.
func (q *Queue) Claim() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.busy.Load() {
		return false
	}
	q.busy.Store(true)
	q.done.Add(1)
	return true
}

// Release: see Claim.
func (q *Queue) Release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) > 0 {
		go q.drain()
		return
	}
	q.busy.Store(false)
	q.done.Done()
}

// Idle reports whether no task is waiting or running.
func (q *Queue) Idle() bool { return !q.busy.Load() }

// Wait returns once no task is waiting or running. Nothing may be put meanwhile.
func (q *Queue) Wait() { q.done.Wait() }

func (q *Queue) drain() {
	finished := false
	defer func() {
		if !finished { // a task called runtime.Goexit and took this goroutine with it
			go q.drain()
		}
	}()
	for {
		q.mu.Lock()
		if len(q.items) == 0 {
			q.items = nil
			q.busy.Store(false)
			finished = true
			q.mu.Unlock()
			q.done.Done()
			return
		}
		next := q.items[0]
		q.items[0] = queued{}
		q.items = q.items[1:]
		q.mu.Unlock()
		q.runOne(next)
	}
}

// runOne runs a task, which counts against the budget until it is over.
func (q *Queue) runOne(next queued) {
	defer func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.bytes -= next.size
		if q.room != nil {
			close(q.room)
			q.room = nil
		}
	}()
	Run(next.task)
}

// Package tasks runs user code: the handlers of the messages that a connection receives,
// and hooks. No panic gets past it, see [Run], and no goroutine exists while there is
// nothing to run.
//
// A [Queue] runs tasks one after the other. A [Runner] is what a connection has: tasks
// that run concurrently, tasks that run alone, and a budget for all of them.
//
//   - task.go: what a Task is, and the panic barrier;
//   - queue.go: Queue;
//   - runner.go: Runner, from the arrival of a task to its end;
//   - workers.go: the goroutines of concurrent tasks;
//   - budget.go: what the tasks of a Runner hold in memory;
//   - results.go: what they have to send;
//   - inline.go, pace.go, watch.go: quick tasks on the goroutine that reads.
//
// All but the last line can be read without the last line: see scheduler in inline.go.
package tasks

import (
	"sync"
	"sync/atomic"

	"github.com/webwire-go/webwire/internal/invariant"
)

// Limits are those of a Runner. Several may share one.
type Limits struct {
	Concurrency int // of Go
	Budget      int // in bytes, of tasks that wait or run, see Runner.Full
	Watch       Watch
}

// Owner is the connection of a Runner.
type Owner interface {
	// Idle is called once, after Stop or End, when no task is left.
	Idle()

	Reader
}

// Runner runs the tasks of a connection. Go and Order are called by the goroutine that
// reads the connection, the other methods by any. It is not to be copied.
type Runner struct {
	limits *Limits
	owner  Owner

	order Queue // tasks that have to wait for their turn

	mu      sync.Mutex
	phase   phase
	cut     bool // tasks of Order need not run
	told    bool // Owner.Idle was called, or is about to be
	wary    bool // results exceeded the budget, and tasks have waited ever since
	probing bool // the last task was started while wary, and none has a result since
	budget  budget
	results results
	workers workers

	count   atomic.Int32   // of tasks that wait or run; changed under mu
	full    atomic.Bool    // the budget may be exceeded
	working sync.WaitGroup // the workers, and the readers that the scheduler started
	dropped atomic.Uint64

	scheduler scheduler
}

type phase uint8

const (
	open    phase = iota
	stopped       // no new tasks
	ended         // nor is one started that waits
)

// Init prepares r for use. limits is kept.
func (r *Runner) Init(limits *Limits, owner Owner) {
	r.limits, r.owner = limits, owner
	r.scheduler.pace.init()
}

// Go runs t concurrently with others, up to the Concurrency of the Limits, as soon
// as every task of Order that came before is over. If it returns false no tasks are
// taken any more and t will not be run.
func (r *Runner) Go(size int, t Task) bool {
	here, idle := r.takesTask(), r.order.Idle()
	r.mu.Lock()
	next, ok := r.admit(size, t)
	if !ok {
		r.mu.Unlock()
		return false
	}
	if idle && !r.results.exceed(r.limits) {
		r.wary, r.probing = false, false
	}
	free := idle && r.mayStart()
	switch {
	case !free:
	case here:
		r.workers.hold(r.limits.Concurrency)
		r.scheduler.give(next, false)
	default:
		r.hand(next)
	}
	r.mu.Unlock()
	if !free {
		r.order.Put(&start{runner: r, task: next})
	}
	return true
}

// IsFree reports whether a task given to Go now would not have to wait. The caller is the
// one of Go.
func (r *Runner) IsFree() bool {
	return r.order.Idle() && r.Count() < r.limits.Concurrency && !r.results.exceed(r.limits)
}

// Order runs t alone: after every task that came before was started, those of
// Order ended, and before any later task is started. It returns as Go does.
func (r *Runner) Order(size int, t Task) bool {
	r.mu.Lock()
	next, ok := r.admit(size, t)
	r.mu.Unlock()
	if !ok {
		return false
	}
	if r.takesTask() && r.order.claim() {
		r.scheduler.give(next, true)
	} else {
		r.order.Put(&alone{r, next})
	}
	return true
}

// admit counts t and charges its size, and reports whether tasks are taken. The caller
// holds the mutex, as that of finish does.
func (r *Runner) admit(size int, t Task) (next charged, ok bool) {
	if r.phase != open {
		return charged{}, false
	}
	r.count.Store(r.count.Load() + 1)
	return charged{t, r.charge(size)}, true
}

// finish records that a task is over. The caller unlocks with unlock.
func (r *Runner) finish(t charged) {
	left := r.count.Load() - 1
	invariant.Check(left >= 0, "more tasks end than began")
	r.count.Store(left)
	r.budget.release(t.size)
	r.probing = false
	invariant.Check(left > 0 || r.budget.bytes == r.budget.lent, "no task is left, but some bytes of them are")
}

// unlock unlocks the mutex and tells the Owner if no task is left nor will be.
func (r *Runner) unlock() {
	invariant.Check(r.count.Load() > 0 || r.workers.held == 0, "no task is left, but a worker holds one")
	last := r.phase != open && !r.told && r.count.Load() == 0
	if last {
		r.told = true
	}
	r.mu.Unlock()
	if last {
		r.owner.Idle()
	}
}

// Stop refuses new tasks from now on. Those that were taken are run.
func (r *Runner) Stop() {
	r.mu.Lock()
	r.phase = max(r.phase, stopped)
	r.unlock()
}

// End is Stop when the connection has ended: nobody waits any more for the result of a
// task of Go that has not begun, so that it is not run.
func (r *Runner) End() {
	r.mu.Lock()
	r.phase = ended
	r.unlock()
}

// Cut has tasks of Order that have not begun be dropped.
func (r *Runner) Cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut = true
}

// Wait returns once no task is left, nor a goroutine of the Runner's. No new tasks may
// be added meanwhile.
func (r *Runner) Wait() {
	r.order.Wait()
	r.working.Wait()
}

// Count returns the number of tasks that wait or run.
func (r *Runner) Count() int { return int(r.count.Load()) }

// Drop counts a message that is not handled.
func (r *Runner) Drop() { r.dropped.Add(1) }

// Dropped returns the number of messages that were not handled.
func (r *Runner) Dropped() uint64 { return r.dropped.Load() }

// start is a task of Go that waits in order. Its turn is to be handed to a worker,
// once one may take it.
type start struct {
	runner *Runner
	task   charged

	// Guarded by the Runner's mutex:

	freed     chan struct{} // see workers.waiting
	withdrawn bool
}

func (t *start) Run() {
	for {
		freed, probing := t.hand()
		switch {
		case freed == nil:
			return
		case probing:
			t.runner.awaitProbe(freed)
		default:
			<-freed // a running task ends, whatever becomes of the connection
		}
	}
}

// hand returns nil if nothing remains to be done, and else what to wait for, if probing for
// probeTime at most.
func (t *start) hand() (freed <-chan struct{}, probing bool) {
	r := t.runner
	r.mu.Lock()
	defer r.unlock()
	if t.withdrawn {
		return nil, false
	}
	switch {
	case r.phase == ended:
		r.finish(t.task)
	case r.mayStart():
		r.probing = r.wary
		r.hand(t.task)
	default:
		return r.workers.awaitFree(t), r.hasPlace()
	}
	return nil, false
}

func (t *start) Panicked(any, []byte) {} // Run does not panic

// alone is a task of Order.
type alone struct {
	runner *Runner
	task   charged
}

func (t *alone) Run() { t.runner.runAlone(t.task) }

func (t *alone) Panicked(any, []byte) {} // the inner Run told the task

func (r *Runner) runAlone(t charged) {
	defer func() {
		r.mu.Lock()
		r.finish(t)
		r.unlock()
	}()
	r.mu.Lock()
	cut := r.cut
	r.mu.Unlock()
	if cut {
		r.Drop()
		return
	}
	Run(t.task)
}

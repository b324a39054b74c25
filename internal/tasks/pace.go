package tasks

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

const (
	// quickTime is the longest that a quick task takes: a few times what it takes to
	// hand a task to another goroutine. Longer tasks should run in parallel.
	quickTime = 5 * time.Microsecond

	// fastRow is the longest that quickRow tasks may take to arrive for the reader to
	// run them. Where they arrive more slowly, perhaps on many connections, a worker
	// started for each costs no more, and spreads them better over the processors.
	// Once they arrive fast, quickRow of them have to be quick in a row before the
	// reader runs the next.
	quickRow = 32
	fastRow  = quickRow * 100 * time.Microsecond

	// The reader is sometimes replaced even where all tasks are quick: a goroutine may
	// have to wait for a processor. If that happens before it has run seldom tasks, it
	// is due to the tasks. One slow task of a hundred would hold up most of the others,
	// so each time a longer row of quick ones is required, rowGrowth times as long and
	// at most maxRow.
	seldom    = 1000
	rowGrowth = 8
	maxRow    = 1 << 16

	timedOne = 8  // one of this many tasks is timed while they are quick
	notTimed = -1 // the beginning of a task that is not timed
)

// pace is what a Runner knows about how fast tasks arrive and how long they take.
type pace struct {
	coming atomic.Int32 // tasks that have to arrive until it is known how fast they do
	wanted atomic.Int32 // then, tasks that have to be quick in a row; none: the reader runs them
	row    atomic.Int32 // wanted after a task that was not quick
	ran    uint32       // by the reader, since it was replaced; the reader's
	since  atomic.Int64 // when the present row began; see now
}

// epoch is what the times of all runners are measured from, by now. They are only
// compared with one another.
var epoch = time.Now()

func now() time.Duration { return time.Since(epoch) }

func (p *pace) init() {
	p.row.Store(quickRow)
	p.since.Store(int64(now()))
	p.reset()
}

func (p *pace) reset() {
	p.coming.Store(quickRow)
	p.wanted.Store(p.row.Load())
}

func (p *pace) isQuick() bool { return p.wanted.Load() <= 0 }

// came records that quickRow tasks have arrived since p.since, and reports whether they
// arrived fast.
func (p *pace) came(now time.Duration) (fast bool) {
	return int64(now)-p.since.Swap(int64(now)) <= int64(fastRow)
}

// Quick reports whether the reader runs tasks, because they are quick and arrive fast.
func (r *Runner) Quick() bool { return r.scheduler.pace.isQuick() }

// A task calls Begin before its own work, and Took with the result after it, before it
// sends anything: the scheduler learns from that whether tasks are quick. Reading the
// clock is expensive in comparison, so few tasks are timed while they arrive slowly, or
// are known to be quick.
func (r *Runner) Begin() (began time.Duration) {
	p := &r.scheduler.pace
	if p.coming.Load() > 0 || p.isQuick() && rand.Uint32()%timedOne != 0 {
		return notTimed
	}
	return now()
}

// Took: see Begin.
func (r *Runner) Took(began time.Duration) {
	p := &r.scheduler.pace
	if began == notTimed {
		if p.coming.Load() > 0 && p.coming.Add(-1) == 0 && !p.came(now()) {
			p.coming.Store(quickRow)
		}
		return
	}
	ended := now()
	switch {
	case ended-began > quickTime:
		p.reset()
	case !p.isQuick() && p.wanted.Add(-1) == 0:
		p.since.Store(int64(ended))
	}
}

// runs records a task that the reader is about to run.
func (p *pace) runs() {
	p.ran++
	if p.ran%quickRow == 0 && !p.came(now()) {
		p.reset()
	}
}

// tookTooLong records that the reader is replaced.
func (p *pace) tookTooLong() {
	row := int32(quickRow)
	if p.ran < seldom {
		row = min(rowGrowth*p.row.Load(), maxRow)
	}
	p.row.Store(row)
	p.reset()
	p.ran = 0
}

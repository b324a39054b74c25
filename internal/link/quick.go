package link

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// To hand a task to another goroutine takes longer than many tasks do. On a connection
// whose tasks are quick, and follow one another so fast that this matters, the reader
// runs them by itself, one after the other. If one is not quick after all the Watch
// replaces the reader, and the old one ends with its task.
//
// It does so on a goroutine of the link's own, not on that of Run, which is the
// caller's: a task may end its goroutine with runtime.Goexit.

const (
	// quickTime is what a task takes at most that counts as quick: a few times what
	// it takes to hand it over. Whoever has longer tasks wants them to run in parallel.
	quickTime = 5 * time.Microsecond

	// fastRow is how long quickRow tasks may take to come. Where they come more slowly,
	// on many connections perhaps, a worker that is started for each costs no more, and
	// spreads them better over the processors. Once they come fast so many have to
	// be quick in a row before the reader runs the next.
	quickRow = 32
	fastRow  = quickRow * 100 * time.Microsecond

	// seldom is of how many tasks that the reader runs one may get it replaced. That
	// happens even where all are quick: a goroutine may have to wait for a processor.
	// More often than that it is the tasks. One of a hundred that takes long would hold
	// up most of the others, so each time a longer row is wanted, until there is none
	// of that length.
	seldom    = 1000
	rowGrowth = 8
	maxRow    = 1 << 16

	timedOne = 8  // one of so many tasks is timed while they are quick
	notTimed = -1 // the beginning of one that is not
)

// quickness is what a link knows about how fast tasks come and how long they take.
type quickness struct {
	coming atomic.Int32 // so many more have to come before it is known whether they do fast
	since  atomic.Int64 // when these began to; nanoseconds since Link.epoch
	wanted atomic.Int32 // then so many more have to be quick; none: the reader runs them
	row    atomic.Int32 // wanted after one that was not
	ran    int          // by the reader, since it was replaced; the reader's
}

func (q *quickness) init() {
	q.row.Store(quickRow)
	q.reset()
}

func (q *quickness) reset() {
	q.coming.Store(quickRow)
	q.wanted.Store(q.row.Load())
}

func (q *quickness) isQuick() bool { return q.wanted.Load() <= 0 }

// came takes note of quickRow tasks that came since the last call, or since now was
// stored, and reports whether they came fast.
func (q *quickness) came(now time.Duration) (fast bool) {
	return int64(now)-q.since.Swap(int64(now)) <= int64(fastRow)
}

// Begin says that a task begins its own work, and Took, with what Begin returned, that
// it has done it, without what it sends: the link learns from that whether tasks are
// quick. To look at the clock costs as much as much of the rest, so few are timed
// while they come slowly, or are known to be quick.
func (l *Link) Begin() (began time.Duration) {
	q := &l.quick
	if q.coming.Load() > 0 || q.isQuick() && rand.Uint32()%timedOne != 0 {
		return notTimed
	}
	return time.Since(l.epoch)
}

// Took: see Begin.
func (l *Link) Took(began time.Duration) {
	q := &l.quick
	if began == notTimed {
		if q.coming.Load() > 0 && q.coming.Add(-1) == 0 && !q.came(time.Since(l.epoch)) {
			q.coming.Store(quickRow)
		}
		return
	}
	now := time.Since(l.epoch)
	switch {
	case now-began > quickTime:
		q.reset()
	case !q.isQuick() && q.wanted.Add(-1) == 0:
		q.since.Store(int64(now))
	}
}

// runs takes note of a task that the reader is about to run.
func (q *quickness) runs(epoch time.Time) {
	q.ran++
	if q.ran%quickRow == 0 && !q.came(time.Since(epoch)) {
		q.reset()
	}
}

// tookTooLong says that the reader is replaced.
func (q *quickness) tookTooLong() {
	row := int32(quickRow)
	if q.ran < seldom {
		row = min(rowGrowth*q.row.Load(), maxRow)
	}
	q.row.Store(row)
	q.reset()
	q.ran = 0
}

// runsHere reports whether the reader is to run the task of the message that it has
// before it.
func (l *Link) runsHere() bool {
	if !l.quick.isQuick() {
		return false
	}
	l.desk.move = !l.desk.own
	return l.desk.own
}

// runHere runs a task of Go that Go has counted, but has given to no worker.
func (l *Link) runHere(t charged) {
	defer func() {
		s := l.lock()
		s.finish(t.size)
		s.workers.done()
		l.unlock()
	}()
	Run(t.task)
}

// runOrdered runs a task of Order for which Order has claimed the inbox.
func (l *Link) runOrdered(t charged) {
	defer l.in.Release()
	l.runAlone(t)
}

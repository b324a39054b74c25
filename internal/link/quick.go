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

	// quickRow is how many tasks of a connection have to be quick in a row before the
	// reader runs the next, and fastRow how long so many may take to arrive. Where
	// they come more slowly, on many connections perhaps, a worker that is started
	// for each costs no more, and spreads them better over the processors.
	quickRow = 32
	fastRow  = quickRow * 100 * time.Microsecond

	// seldom is of how many tasks that the reader runs one may get it replaced. That
	// happens even where all are quick: a goroutine may have to wait for a processor.
	// More often than that it is the tasks. One of a hundred that takes long would hold
	// up most of the others, so the row that is wanted grows, from time to time to
	// a length that such tasks never reach.
	seldom    = 1000
	rowGrowth = 8
	maxRow    = 1 << 16

	timedOne = 8  // one of so many tasks is timed while they are quick
	notTimed = -1 // the beginning of one that is not
)

// quickness is what a link knows about how long its tasks take and how fast they come.
type quickness struct {
	wanted atomic.Int32 // so many more have to be quick; none: the reader runs them
	row    atomic.Int32 // wanted after one that was not
	since  atomic.Int64 // when quickRow began; nanoseconds since Link.epoch
	ran    int          // by the reader, since it was replaced; the reader's
}

func (q *quickness) init() {
	q.row.Store(quickRow)
	q.wanted.Store(quickRow)
}

func (q *quickness) isQuick() bool { return q.wanted.Load() <= 0 }

// took takes note of a task that began and ended at the given times.
func (q *quickness) took(began, ended time.Duration) {
	switch {
	case ended-began > quickTime:
		q.wanted.Store(q.row.Load())
	case q.isQuick():
	default:
		switch left := q.wanted.Add(-1); {
		case left == quickRow-1:
			q.since.Store(int64(began))
		case left <= 0 && !q.fast(ended):
			q.wanted.Store(quickRow)
		}
	}
}

// fast reports whether the last quickRow tasks came fast, and begins to look at the next.
func (q *quickness) fast(now time.Duration) bool {
	return int64(now)-q.since.Swap(int64(now)) <= int64(fastRow)
}

// runs takes note of a task that the reader is about to run.
func (q *quickness) runs(epoch time.Time) {
	q.ran++
	if q.ran%quickRow == 0 && !q.fast(time.Since(epoch)) {
		q.wanted.Store(quickRow)
	}
}

// tookTooLong says that the reader is replaced.
func (q *quickness) tookTooLong() {
	row := int32(quickRow)
	if q.ran < seldom {
		row = min(rowGrowth*q.row.Load(), maxRow)
	}
	q.row.Store(row)
	q.wanted.Store(row)
	q.ran = 0
}

// Begin says that a task begins its own work, and Took, with what Begin returned, that
// it has done it, without what it sends: the link learns from that whether tasks are
// quick. To look at the clock costs as much as much of the rest, so while they are
// only some are timed.
func (l *Link) Begin() (began time.Duration) {
	if l.quick.isQuick() && rand.Uint32()%timedOne != 0 {
		return notTimed
	}
	return time.Since(l.epoch)
}

// Took: see Begin.
func (l *Link) Took(began time.Duration) {
	if began != notTimed {
		l.quick.took(began, time.Since(l.epoch))
	}
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
func (l *Link) runHere(t Task) {
	defer l.update(func(s *state) {
		s.tasks--
		s.workers.done()
	})
	Run(t)
}

// runOrdered runs a task of Order for which Order has claimed the inbox.
func (l *Link) runOrdered(t Task) {
	defer l.in.Release()
	l.runAlone(t)
}

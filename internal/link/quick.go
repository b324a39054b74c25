package link

import (
	"math/rand/v2"
	"time"
)

// To hand a task to another goroutine takes longer than many tasks do. Where they turn
// out to be quick the reader runs them by itself, one after the other. If one is not
// quick after all the Watch replaces the reader, and the old one ends with its task.
//
// It does so on a goroutine of the link's own, not on that of Run, which is the
// caller's: a task may end its goroutine with runtime.Goexit.

const (
	// quickTime is what a task takes at most that counts as quick: a few times what
	// it takes to hand it over. Whoever has longer tasks wants them to run in parallel.
	quickTime = 5 * time.Microsecond

	// quickRow is how many tasks of a connection were quick in a row before the next
	// are expected to be. Where one of a hundred is slow most are not run by the reader.
	quickRow = 128
)

// Begin says that a task begins its own work, and Took, with what Begin returned, that
// it has done it, without what it sends: the link learns from that whether tasks are
// quick. A clock that is read for each message costs as much as much of the rest, so
// while tasks are quick only some are timed.
func (l *Link) Begin() (began time.Duration) {
	if l.isQuick() && rand.Uint32()%timedOne != 0 {
		return notTimed
	}
	return time.Since(l.epoch)
}

// Took: see Begin.
func (l *Link) Took(began time.Duration) {
	switch {
	case began == notTimed:
	case time.Since(l.epoch)-began > quickTime:
		l.quick.Store(0)
	case !l.isQuick():
		l.quick.Add(1)
	}
}

const (
	timedOne = 8 // one of so many is timed
	notTimed = -1
)

func (l *Link) isQuick() bool { return l.quick.Load() >= quickRow }

// runsHere reports whether the reader is to run the task of the message that it has
// before it.
func (l *Link) runsHere() bool {
	if !l.isQuick() {
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

package tasks

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// While the results that wait to be sent exceed the budget no task is started; those that
// wait for that start as soon as it is not exceeded any more.
func TestResultsHoldTasksBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConn(t, &Limits{Concurrency: 8, Budget: 1000})
		var started atomic.Int32
		sent := make(chan struct{})
		for range 5 {
			c.Go(1, task(func() {
				started.Add(1)
				c.Hold(600)
				defer c.Held(600)
				<-sent
			}))
			synctest.Wait()
		}
		if n := started.Load(); n != 2 {
			t.Errorf("%d tasks with 600 bytes each run within 1000", n)
		}
		if c.IsFree() {
			t.Error("a task given now would not have to wait")
		}
		for n := int32(3); n <= 5; n++ {
			sent <- struct{}{}
			synctest.Wait()
			if started.Load() != n {
				t.Errorf("%d tasks have started, want %d", started.Load(), n)
			}
		}
		close(sent)
		synctest.Wait()
		if !c.IsFree() {
			t.Error("results are still held")
		}
	})
}

// Tasks that waited for room start one by one, and those that take their time are not
// waited for.
func TestTasksStartOneByOneAfterResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConn(t, &Limits{Concurrency: 8, Budget: 1000})
		var started atomic.Int32
		first, later := make(chan struct{}), make(chan struct{})
		c.Go(1, task(func() {
			c.Hold(1001)
			defer c.Held(1001)
			<-first
		}))
		synctest.Wait()
		for range 4 {
			c.Go(1, task(func() {
				started.Add(1)
				<-later
			}))
		}
		synctest.Wait()
		if n := started.Load(); n != 0 {
			t.Errorf("%d tasks start while there is no room", n)
		}
		close(first)
		for n := int32(1); n <= 4; n++ {
			synctest.Wait()
			if started.Load() != n {
				t.Errorf("%d tasks have started, want %d", started.Load(), n)
			}
			time.Sleep(probeTime)
		}
		close(later)
	})
}

// Results of which as many as may be cannot exceed the budget are not counted.
func TestShortResults(t *testing.T) {
	for _, c := range []struct {
		limits *Limits
		short  int
	}{
		{&Limits{Concurrency: 64, Budget: 1 << 20}, 16 << 10},
		{&Limits{Concurrency: 3, Budget: 10}, 3},
		{&Limits{Budget: 10}, 10},
	} {
		var r Runner
		r.Init(c.limits, nil)
		if r.IsLong(c.short) || !r.IsLong(c.short+1) {
			t.Errorf("%d tasks, a budget of %d: %d bytes are not the limit", c.limits.Concurrency, c.limits.Budget, c.short)
		}
	}
}

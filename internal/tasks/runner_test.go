package tasks

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// Go runs tasks at once up to Concurrency, blocked ones included.
func TestGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConn(t, &Limits{Concurrency: 3, Budget: 1 << 20})
		var running, ended atomic.Int32
		step := make(chan struct{})
		for range 10 {
			c.Go(1, task(func() {
				running.Add(1)
				<-step
				running.Add(-1)
				ended.Add(1)
			}))
		}
		for n := int32(10); n > 0; n-- {
			synctest.Wait()
			if got := running.Load(); got != min(3, n) {
				t.Errorf("%d of %d tasks run", got, n)
			}
			step <- struct{}{}
		}
		synctest.Wait()
		if tasks := c.Count(); tasks != 0 || ended.Load() != 10 {
			t.Errorf("%d tasks in flight, %d ended", tasks, ended.Load())
		}
	})
}

// Tasks that end badly leave no hole in the Concurrency.
func TestGoSurvivesItsTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConn(t, &Limits{Concurrency: 2, Budget: 1 << 20})
		var ended atomic.Int32
		for i := range 50 {
			c.Go(1, watched{
				run: func() {
					defer ended.Add(1)
					if i%2 == 0 {
						runtime.Goexit()
					}
					panic("boom")
				},
				panicked: func(any) {},
			})
		}
		synctest.Wait()
		if tasks := c.Count(); tasks != 0 || ended.Load() != 50 {
			t.Errorf("%d tasks in flight, %d ended", tasks, ended.Load())
		}
		c.end() // waits for every worker
	})
}

// However long there is always something ready, what holds it does not grow.
func TestReadyTasksAreBounded(t *testing.T) {
	var r Runner
	r.Init(limits(), nil)
	w := &r.workers
	w.starting = true // nobody takes what is ready but the test
	r.hand(charged{task: task(func() {})})
	for range 100_000 {
		r.hand(charged{task: task(func() {})})
		w.take()
		w.done()
	}
	if c := cap(w.ready); c > 64 {
		t.Errorf("room for %d tasks though one is ready", c)
	}
}

// Order's tasks run alone and in order, and no task of Go starts before those that
// came ahead of it.
func TestOrderAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConn(t, limits())
		var mu sync.Mutex
		var events []int
		note := func(i int) task {
			return func() {
				mu.Lock()
				defer mu.Unlock()
				events = append(events, i)
			}
		}
		for i := range 300 {
			if i%3 == 0 {
				c.Order(1, note(i))
			} else {
				c.Go(1, note(i))
			}
		}
		synctest.Wait()
		if len(events) != 300 {
			t.Fatalf("%d of 300 ran", len(events))
		}
		ordered := -3
		for _, i := range events {
			switch {
			case i%3 == 0 && i != ordered+3:
				t.Fatalf("task %d of Order after %d", i, ordered)
			case i%3 == 0:
				ordered = i
			case i > ordered+3:
				t.Fatalf("task %d of Go before task %d of Order", i, ordered+3)
			}
		}
	})
}

// Idle is called once, when no task is left nor will be.
func TestIdle(t *testing.T) {
	for _, ends := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c := newConn(t, &Limits{Concurrency: 1, Budget: 1 << 20})
			step := make(chan struct{})
			wait := task(func() { <-step })
			ran := false
			c.Order(1, task(func() {}))
			c.Go(1, wait)
			c.Go(1, task(func() { ran = true })) // waits for the worker
			synctest.Wait()
			if c.Stop(); c.idle.Load() != 0 {
				t.Error("idle while tasks are left")
			}
			if c.Go(1, wait) || c.Order(1, wait) {
				t.Error("tasks are taken after Stop")
			}
			if ends {
				c.End()
			}
			close(step)
			synctest.Wait()
			if n := c.idle.Load(); n != 1 {
				t.Errorf("Idle was called %d times", n)
			}
			if ran == ends {
				t.Errorf("a task that waited when the connection ended (%t): ran %t", ends, ran)
			}
			c.Stop()
			c.End()
		})
	}
}

// After Cut tasks of Order that wait are dropped.
func TestCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConn(t, limits())
		step := make(chan struct{})
		c.Order(1, task(func() { <-step }))
		c.Order(1, task(func() { t.Error("it ran") }))
		synctest.Wait()
		c.Cut()
		close(step)
		synctest.Wait()
		if c.Count() != 0 || c.Dropped() != 1 {
			t.Errorf("%d tasks are left, %d were dropped", c.Count(), c.Dropped())
		}
	})
}

// Tasks that wait and tasks that run take from the budget, long ones at most half of it.
func TestRunnerBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConn(t, &Limits{Concurrency: 1, Budget: 100})
		step := make(chan struct{})
		wait := task(func() { <-step })
		c.Go(1000, wait)
		c.Order(50, wait)
		synctest.Wait()
		if c.Full() {
			t.Error("full with what the budget allows")
		}
		c.Go(1, wait)
		room, freed, fits := c.Lack(0)
		if !c.Full() || room == nil || freed || fits {
			t.Errorf("with one byte more: full %t, freed %t, fits %t", c.Full(), freed, fits)
		}
		if room, _, _ := c.Lack(1); room != nil {
			t.Error("the overdraft does not count")
		}
		step <- struct{}{}
		<-room
		if room, freed, fits := c.Lack(0); c.Full() || room != nil || !freed || !fits {
			t.Errorf("after a task: full %t, freed %t, fits %t", c.Full(), freed, fits)
		}
		if _, freed, _ := c.Lack(0); freed {
			t.Error("freed twice by one task")
		}
		close(step)
		synctest.Wait()
		if room, _, _ := c.Lack(-100); room != nil {
			t.Error("bytes are left")
		}
	})
}

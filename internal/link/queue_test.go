package link

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestQueueOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := Queue{Limit: 1 << 20}
		var ran []int // one at a time, or the race detector tells
		for i := range 1000 {
			if !q.Put(nil, 1, task(func() { ran = append(ran, i) })) {
				t.Fatal("not taken")
			}
		}
		q.Wait()
		if len(ran) != 1000 || !slices.IsSorted(ran) {
			t.Errorf("%d tasks ran, in order: %v", len(ran), slices.IsSorted(ran))
		}
		if !q.Idle() || q.bytes != 0 {
			t.Errorf("left: %d bytes", q.bytes)
		}
	})
}

// A task that ends badly takes nothing with it: the next ones run, and its bytes
// are given back.
func TestQueueSurvivesItsTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := Queue{Limit: 100}
		var values []any
		ends := []func(){func() { panic("boom") }, runtime.Goexit, func() {}}
		ran := 0
		for i := range 30 {
			q.Put(nil, 40, watched{
				run:      func() { ran++; ends[i%3]() },
				panicked: func(v any) { values = append(values, v) },
			})
		}
		q.Wait()
		if ran != 30 || len(values) != 20 || values[0] != "boom" || values[1] != nil {
			t.Errorf("%d tasks ran, these ended badly: %v", ran, values)
		}
		if q.bytes != 0 || !q.Idle() {
			t.Errorf("left: %d bytes", q.bytes)
		}
	})
}

func TestQueueBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := Queue{Limit: 100}
		step := make(chan struct{})
		wait := task(func() { <-step })
		if !q.TryPut(1000, wait) { // of any size, as nothing else waits
			t.Fatal("not taken")
		}
		if q.TryPut(1, wait) {
			t.Error("taken though there is no room")
		}
		if !q.TryPut(0, wait) {
			t.Error("a task without size was not taken")
		}
		stop := make(chan struct{})
		taken := make(chan bool, 1)
		put := func() { taken <- q.Put(stop, 60, wait) }
		go put()
		synctest.Wait()
		close(stop)
		if <-taken {
			t.Error("taken though it was not to wait")
		}
		stop = nil
		go put()
		synctest.Wait()
		step <- struct{}{}
		if !<-taken {
			t.Error("not taken though there is room")
		}
		if !q.TryPut(40, wait) || q.TryPut(1, wait) {
			t.Error("the budget is not 100")
		}
		close(step)
		q.Wait()
	})
}

// Go runs tasks at once up to Concurrency, blocked ones included.
func TestGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conf := config(newWire())
		conf.Concurrency = 3
		l := run(t, conf, ignoring{})
		var running, ended atomic.Int32
		step := make(chan struct{})
		for range 10 {
			l.Go(1, task(func() {
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
		if _, tasks := l.InFlight(); tasks != 0 || ended.Load() != 10 {
			t.Errorf("%d tasks in flight, %d ended", tasks, ended.Load())
		}
	})
}

// Tasks that end badly leave no hole in the Concurrency.
func TestGoSurvivesItsTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conf := config(newWire())
		conf.Concurrency = 2
		l := run(t, conf, ignoring{})
		var ended atomic.Int32
		for i := range 50 {
			l.Go(1, watched{
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
		if _, tasks := l.InFlight(); tasks != 0 || ended.Load() != 50 {
			t.Errorf("%d tasks in flight, %d ended", tasks, ended.Load())
		}
		l.Abort(errTestOver)
		<-l.reason // waits for every worker
	})
}

// However long there is always something ready, what holds it does not grow.
func TestReadyTasksAreBounded(t *testing.T) {
	l := New(t.Context(), config(newWire()))
	l.state.workers.starting = true // nobody takes what is ready but the test
	w := &l.state.workers
	l.hand(w, charged{task: task(func() {})})
	for range 100_000 {
		l.hand(w, charged{task: task(func() {})})
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
		l := run(t, config(newWire()), ignoring{})
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
				l.Order(1, note(i))
			} else {
				l.Go(1, note(i))
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

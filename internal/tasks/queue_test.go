package tasks

import (
	"runtime"
	"slices"
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

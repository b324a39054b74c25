package tasks

import (
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
)

func TestQueueOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q Queue
		var ran []int // one at a time, or the race detector tells
		for i := range 1000 {
			q.Put(task(func() { ran = append(ran, i) }))
		}
		q.Wait()
		if len(ran) != 1000 || !slices.IsSorted(ran) {
			t.Errorf("%d tasks ran, in order: %v", len(ran), slices.IsSorted(ran))
		}
		if !q.Idle() {
			t.Error("not idle")
		}
	})
}

// A task that ends badly takes nothing with it: the next ones run.
func TestQueueSurvivesItsTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q Queue
		var values []any
		ends := []func(){func() { panic("boom") }, runtime.Goexit, func() {}}
		ran := 0
		for i := range 30 {
			q.Put(watched{
				run:      func() { ran++; ends[i%3]() },
				panicked: func(v any) { values = append(values, v) },
			})
		}
		q.Wait()
		if ran != 30 || len(values) != 20 || values[0] != "boom" || values[1] != nil {
			t.Errorf("%d tasks ran, these ended badly: %v", ran, values)
		}
		if !q.Idle() {
			t.Error("not idle")
		}
	})
}

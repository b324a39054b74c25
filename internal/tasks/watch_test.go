package tasks

import (
	"testing"
	"testing/synctest"
	"time"
)

// A Watch has nothing to do while its runners have not.
func TestWatchRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := limits()
		watch := &limits.Watch
		var all []*quickly
		for range 3 {
			all = append(all, newQuickly(t, limits, nil))
		}
		for range 3 {
			for _, q := range all {
				q.get("a")
			}
			synctest.Wait()
			watch.mu.Lock()
			if !watch.on || len(watch.runners) != 3 {
				t.Errorf("it watches %d runners", len(watch.runners))
			}
			watch.mu.Unlock()
			time.Sleep(3 * patience)
			watch.mu.Lock()
			if watch.on || len(watch.runners) != 0 {
				t.Errorf("it still watches %d runners", len(watch.runners))
			}
			watch.mu.Unlock()
		}
	})
}

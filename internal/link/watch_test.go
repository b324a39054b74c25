package link

import (
	"testing"
	"testing/synctest"
	"time"
)

// A Watch has nothing to do while its links have not.
func TestWatchRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		watch := new(Watch)
		var all []*quickly
		for range 3 {
			w := newWire()
			conf := config(w)
			conf.Watch = watch
			all = append(all, newQuickly(t, w, conf, nil))
		}
		for range 3 {
			for _, q := range all {
				q.get("a")
			}
			synctest.Wait()
			watch.mu.Lock()
			if !watch.on || len(watch.links) != 3 {
				t.Errorf("it watches %d links", len(watch.links))
			}
			watch.mu.Unlock()
			time.Sleep(3 * patience)
			watch.mu.Lock()
			if watch.on || len(watch.links) != 0 {
				t.Errorf("it still watches %d links", len(watch.links))
			}
			watch.mu.Unlock()
		}
	})
}

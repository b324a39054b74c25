package link

import (
	"testing"
	"testing/synctest"
	"time"
)

// If some tasks are slow now and then those behind them are held up a few times only.
// If that was chance the reader soon runs tasks again.
func TestReaderLearns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		q := newQuickly(t, w, config(w), map[string]func(){"slow": func() { time.Sleep(10 * patience) }})
		rows := []int32{}
		heldUp := 0
		for range 400 {
			for range 100 {
				q.get("a")
			}
			synctest.Wait()
			q.mu.Lock()
			q.ended = nil
			q.mu.Unlock()
			q.get("slow", "behind")
			synctest.Wait()
			if q.notes(&q.ended) == "" {
				heldUp++
				rows = append(rows, q.quick.row.Load())
			}
			time.Sleep(20 * patience)
		}
		if heldUp == 0 || heldUp > 5 {
			t.Errorf("held up %d times, with rows of %d", heldUp, rows)
		}
		for range maxRow {
			q.get("a")
			synctest.Wait()
		}
		q.warm()
		q.get("slow")
		time.Sleep(20 * patience)
		if row := q.quick.row.Load(); row != quickRow {
			t.Errorf("after one slow task of many a row of %d is wanted", row)
		}
	})
}

// Where tasks come slowly, however quick they are, workers run them.
func TestReaderLeavesSlowPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		q := newQuickly(t, w, config(w), nil)
		pace := func(pause time.Duration) {
			for range 3 * quickRow {
				q.get("a")
				time.Sleep(pause)
			}
		}
		for range 3 {
			if pace(time.Millisecond); q.quick.isQuick() {
				t.Error("the reader runs a task every millisecond")
			}
			if pace(10 * time.Microsecond); !q.quick.isQuick() {
				t.Error("a worker runs a task every ten microseconds")
			}
		}
	})
}

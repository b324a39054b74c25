package tasks

import (
	"testing"
	"testing/synctest"
	"time"
)

// If some tasks are slow now and then those behind them are held up a few times only.
// If that was chance the reader soon runs tasks again.
func TestReaderLearns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQuickly(t, limits(), map[string]func(){"slow": func() { time.Sleep(10 * patience) }})
		rows := []int32{}
		heldUp := 0
		for range 400 {
			for range 100 {
				q.get("a")
			}
			synctest.Wait()
			q.forget()
			q.get("slow", "behind")
			synctest.Wait()
			if q.notes() == "" {
				heldUp++
				rows = append(rows, q.scheduler.pace.row.Load())
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
		if row := q.scheduler.pace.row.Load(); row != quickRow {
			t.Errorf("after one slow task of many a row of %d is wanted", row)
		}
	})
}

// Where tasks come slowly, however quick they are, workers run them.
func TestReaderLeavesSlowPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQuickly(t, limits(), nil)
		pace := func(pause time.Duration) {
			for range 3 * quickRow {
				q.get("a")
				time.Sleep(pause)
			}
		}
		for range 3 {
			if pace(time.Millisecond); q.Quick() {
				t.Error("the reader runs a task every millisecond")
			}
			if pace(10 * time.Microsecond); !q.Quick() {
				t.Error("a worker runs a task every ten microseconds")
			}
		}
	})
}

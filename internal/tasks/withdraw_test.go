package tasks

import (
	"testing"
	"testing/synctest"
)

// Withdraw takes out what waits, in order, also the task that waits for a worker. What runs
// goes on.
func TestWithdraw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newConn(t, &Limits{Concurrency: 1, Budget: 1000})
		release := make(chan struct{})
		ran := make(chan string, 10)
		var all []Task
		add := func(name string, put func(int, Task) bool) {
			n := &named{name, ran, release}
			all = append(all, n)
			r.input <- func() { put(100, n) }
			synctest.Wait()
		}
		add("runs", r.Go)
		add("blocked", r.Go)
		add("ordered", r.Order)
		add("last", r.Go)
		over := r.Ordered()
		waiting := r.Withdraw()
		if len(waiting) != 3 || waiting[0] != all[1] || waiting[1] != all[2] || waiting[2] != all[3] {
			t.Errorf("withdrawn: %v", waiting)
		}
		<-over
		if n := r.Count(); n != 1 {
			t.Errorf("%d tasks are left", n)
		}
		add("after", r.Go)
		close(release)
		synctest.Wait()
		<-r.Ordered()
		r.end()
		close(ran)
		got := ""
		for name := range ran {
			got += name + " "
		}
		if got != "runs after " {
			t.Errorf("ran %s", got)
		}
	})
}

// Ordered waits for the task of Order that runs.
func TestWithdrawOrdered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newConn(t, limits())
		release := make(chan struct{})
		ran := make(chan string, 10)
		for _, name := range []string{"first", "second"} {
			r.input <- func() { r.Order(1, &named{name, ran, release}) }
			synctest.Wait()
		}
		if waiting := r.Withdraw(); len(waiting) != 1 {
			t.Errorf("%d tasks are withdrawn", len(waiting))
		}
		over := r.Ordered()
		synctest.Wait()
		select {
		case <-over:
			t.Error("the line is idle while a task runs")
		default:
		}
		close(release)
		<-over
		if n := r.Count(); n != 0 || len(ran) != 1 {
			t.Errorf("%d tasks are left, %d ran", n, len(ran))
		}
	})
}

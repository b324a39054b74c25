package tasks

import (
	"testing"
	"testing/synctest"
)

// A task that waits is taken out: it is not run, and what it takes of the budget is given
// back. One that runs, or is about to, is not found.
func TestRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newConn(t, &Limits{Concurrency: 1, Budget: 1000})
		release := make(chan struct{})
		ran := make(chan string, 10)
		all := make(map[string]*named)
		for _, name := range []string{"runs", "next", "first", "second", "third"} {
			all[name] = &named{name, ran, release}
			r.input <- func() { r.Go(100, all[name]) }
			synctest.Wait()
		}
		r.input <- func() { r.Order(100, &named{"ordered", ran, release}) }
		synctest.Wait()
		for name, want := range map[string]bool{"runs": false, "next": false, "second": true, "third": true} {
			if r.Remove(all[name]) != want {
				t.Errorf("%s: removed is not %t", name, want)
			}
			if r.Remove(all[name]) {
				t.Errorf("%s: removed twice", name)
			}
		}
		if n := r.Count(); n != 4 {
			t.Errorf("%d tasks are left", n)
		}
		close(release)
		synctest.Wait()
		r.end()
		close(ran)
		got := ""
		for name := range ran {
			got += name + " "
		}
		if got != "runs next first ordered " && got != "runs next ordered first " {
			t.Errorf("ran %s", got)
		}
	})
}

// named is a task that tells that it runs.
type named struct {
	name    string
	ran     chan<- string
	release <-chan struct{}
}

func (n *named) Run() {
	n.ran <- n.name
	<-n.release
}

func (n *named) Panicked(value any, _ []byte) { panic(value) }

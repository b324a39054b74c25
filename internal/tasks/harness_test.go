package tasks

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// conn is a connection as a Runner knows it. What its reader gets for a message is a
// function to call.
type conn struct {
	Runner
	input   chan func()
	over    chan struct{} // closed when the connection ends
	idle    atomic.Int32  // calls of Idle
	reading sync.WaitGroup
	end     func()
}

// newConn returns a connection that ends with the test.
func newConn(t testing.TB, limits *Limits) *conn {
	c := &conn{input: make(chan func(), 1<<10), over: make(chan struct{})}
	c.Init(limits, c)
	c.reading.Add(1)
	go c.read(false)
	c.end = sync.OnceFunc(func() {
		close(c.over)
		c.reading.Wait()
		c.End()
		c.Wait()
		if n := c.idle.Load(); n != 1 || c.Count() != 0 || !c.order.Idle() {
			t.Errorf("Idle was called %d times, %d tasks are left", n, c.Count())
		}
	})
	t.Cleanup(c.end)
	return c
}

func (c *conn) read(own bool) {
	c.BecomeReader(own)
	for {
		select {
		case receive := <-c.input:
			receive()
		case <-c.over:
			c.reading.Done()
			return
		}
		if c.HasWork() && !c.Work(false, false) {
			return
		}
	}
}

func (c *conn) Idle() { c.idle.Add(1) }

func (c *conn) Read() { c.read(true) }

func (c *conn) Release(bool) { panic("nothing is held back") }

// task is a Task whose panics the test does not expect.
type task func()

func (t task) Run()                     { t() }
func (t task) Panicked(v any, s []byte) { panic(string(s)) }

// watched is a Task that may end badly.
type watched struct {
	run      func()
	panicked func(value any)
}

func (w watched) Run()                     { w.run() }
func (w watched) Panicked(v any, _ []byte) { w.panicked(v) }

// quickly is a conn whose tasks were quick so far, so that its reader runs them.
type quickly struct {
	*conn
	does map[string]func() // by the name of the task

	lock  sync.Mutex
	ended []string
}

func newQuickly(t *testing.T, limits *Limits, does map[string]func()) *quickly {
	q := &quickly{conn: newConn(t, limits), does: does}
	q.warm()
	q.forget()
	return q
}

// get has the tasks of these names arrive.
func (q *quickly) get(names ...string) {
	for _, name := range names {
		q.input <- func() {
			q.Go(1, task(func() {
				at := q.Begin()
				if do := q.does[name]; do != nil {
					do()
				}
				q.Took(at)
				q.lock.Lock()
				defer q.lock.Unlock()
				q.ended = append(q.ended, name)
			}))
		}
	}
}

// notes returns the names of the tasks that have ended.
func (q *quickly) notes() string {
	q.lock.Lock()
	defer q.lock.Unlock()
	return strings.Join(q.ended, " ")
}

func (q *quickly) forget() {
	q.lock.Lock()
	defer q.lock.Unlock()
	q.ended = nil
}

// warm makes the reader run tasks, and all that it did wrong before be forgotten.
func (q *quickly) warm() {
	for !q.Quick() {
		q.get("warm")
		synctest.Wait()
	}
	for range seldom + 1 { // the first starts a reader of the Runner's own
		q.get("warm")
		synctest.Wait()
	}
}

// limits is what most tests start from.
func limits() *Limits { return &Limits{Concurrency: 64, Budget: 1 << 20} }

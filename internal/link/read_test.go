package link

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/protocol"
)

// patience is how long the reader may be away, see tasks.Watch.
const patience = time.Millisecond

// quickly is the Role of an end whose tasks were quick so far: its reader runs them.
type quickly struct {
	*running
	wire *wire
	does map[string]func() // by the text of the message

	mu    sync.Mutex
	began []string
	ended []string
	bad   []any // what tasks panicked with
}

func (q *quickly) Receive(m protocol.Message) {
	m = m.Clone(nil)
	t := watched{run: func() { q.run(m) }, panicked: q.panicked}
	if m.Kind == protocol.Request {
		q.Go(Cost(m), t)
	} else {
		q.Order(Cost(m), t)
	}
}

func (q *quickly) Malformed(protocol.Message, error) {}
func (q *quickly) Overflow()                         {}

func (q *quickly) run(m protocol.Message) {
	text := string(m.Payload.Data)
	q.note(&q.began, text)
	at := q.Begin()
	if do := q.does[text]; do != nil {
		do()
	}
	q.Took(at)
	if m.Kind == protocol.Request {
		_ = q.Send(context.Background(), protocol.Message{Kind: protocol.Reply, ID: m.ID, Payload: m.Payload})
	}
	q.note(&q.ended, text)
}

func (q *quickly) panicked(value any) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bad = append(q.bad, value)
}

func (q *quickly) note(list *[]string, text string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	*list = append(*list, text)
}

func (q *quickly) notes(list *[]string) string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return strings.Join(*list, " ")
}

// get has messages arrive at once: a text in capitals is a signal, others are requests.
func (q *quickly) get(texts ...string) {
	msgs := make([][]byte, len(texts))
	for i, text := range texts {
		m := protocol.Message{Kind: protocol.Request, ID: protocol.NewID(uint64(i + 1)), Payload: protocol.Text(text)}
		if text == strings.ToUpper(text) {
			m = signal("", text)
		}
		msgs[i], _ = protocol.V1_2.Append(nil, m)
	}
	q.wire.arrive(msgs...)
}

// newQuickly returns a link whose reader runs tasks.
func newQuickly(t *testing.T, w *wire, conf Config, does map[string]func()) *quickly {
	t.Helper()
	q := &quickly{wire: w, does: does}
	conf.Role = q
	q.running = &running{New(context.Background(), conf), make(chan error, 1)}
	go func() { q.reason <- q.Run() }()
	t.Cleanup(func() { q.Abort(errTestOver) })
	q.warm()
	q.mu.Lock()
	q.began, q.ended = nil, nil
	q.mu.Unlock()
	w.mu.Lock()
	w.batches = nil
	w.mu.Unlock()
	return q
}

// warm makes the reader run tasks, and all that it did wrong before be forgotten.
func (q *quickly) warm() {
	for !q.tasks.Quick() {
		q.get("warm")
		synctest.Wait()
	}
	for range 1001 { // more than what the scheduler looks back on; the first starts a reader of the link's own
		q.get("warm")
		synctest.Wait()
	}
}

// Quick tasks run on the goroutine that reads, one after the other, and what they
// send leaves in one batch.
func TestReaderRunsQuickTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var goroutines []string
		does := map[string]func(){"a": func() { goroutines = append(goroutines, goroutine()) }}
		w := newWire()
		q := newQuickly(t, w, config(w), does)
		q.get("a", "A", "a", "a", "A", "a")
		synctest.Wait()
		if got := q.notes(&q.ended); got != "a A a a A a" {
			t.Errorf("they ended in this order: %s", got)
		}
		if len(slices.Compact(goroutines)) != 1 {
			t.Errorf("they ran on the goroutines %v", goroutines)
		}
		if b := w.written(); len(b) != 1 || len(b[0]) != 4 {
			t.Errorf("batches: %q", b)
		}
	})
}

func goroutine() string {
	var b [64]byte
	name, _, _ := strings.Cut(string(b[:runtime.Stack(b[:], false)]), "[")
	return name
}

// A task that is not quick after all holds up those behind it for a moment, and
// those before it too: then another goroutine reads, and workers run the tasks.
func TestReaderIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		step := make(chan struct{})
		w := newWire()
		q := newQuickly(t, w, config(w), map[string]func(){"slow": func() { <-step }})
		began := time.Now()
		q.get("before", "slow", "slow", "behind")
		for q.notes(&q.ended) != "before behind" {
			time.Sleep(patience / 10)
		}
		if took := time.Since(began); took < patience || took > 2*patience+patience/10 {
			t.Errorf("it took %v", took)
		}
		synctest.Wait()
		if got := slices.Concat(w.written()...); len(got) != 2 {
			t.Errorf("written: %q", got)
		}
		close(step)
		synctest.Wait()
		if got := q.notes(&q.ended); got != "before behind slow slow" {
			t.Errorf("ended: %s", got)
		}
		if got := slices.Concat(w.written()...); len(got) != 4 {
			t.Errorf("written: %q", got)
		}
		if requests, tasks := q.InFlight(); requests != 0 || tasks != 0 {
			t.Errorf("left: %d requests, %d tasks", requests, tasks)
		}
	})
}

// That a task of Order is run by the reader changes nothing about what comes when.
func TestReplacedReaderKeepsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		step := make(chan struct{})
		w := newWire()
		q := newQuickly(t, w, config(w), map[string]func(){"SLOW": func() { <-step }})
		q.get("a", "SLOW", "b", "C", "d", "E")
		time.Sleep(3 * patience)
		if got := q.notes(&q.began); got != "a SLOW" {
			t.Fatalf("began: %s", got)
		}
		close(step)
		synctest.Wait()
		got := strings.Fields(q.notes(&q.began))
		slices.Sort(got) // requests begin when they may, not before
		if want := []string{"C", "E", "SLOW", "a", "b", "d"}; !slices.Equal(got, want) {
			t.Errorf("began: %s", got)
		}
		if order := strings.Join(strings.FieldsFunc(q.notes(&q.ended), func(r rune) bool { return r == ' ' || r >= 'a' }), ""); order != "SLOWCE" {
			t.Errorf("signals ended in this order: %s", order)
		}
		q.get("F")
		synctest.Wait()
		if !strings.HasSuffix(q.notes(&q.ended), "F") {
			t.Errorf("ended: %s", q.notes(&q.ended))
		}
		q.Abort(errTestOver)
		<-q.reason // so nothing waits or runs
	})
}

// Tasks that end badly cost the reader its goroutine at most.
func TestReaderSurvivesItsTasks(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic("boom") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire()
				late := func() { time.Sleep(5 * patience); end() }
				q := newQuickly(t, w, config(w), map[string]func(){"bad": end, "BAD": end, "late": late, "LATE": late})
				for _, text := range []string{"bad", "BAD", "late", "LATE"} {
					q.get("a", text, "z", "Z")
					time.Sleep(20 * patience)
					q.warm()
				}
				got := q.notes(&q.ended)
				if n := strings.Count(got, "a ") + strings.Count(got, "z ") + strings.Count(got, "Z "); n != 12 {
					t.Errorf("%d ended, not 12: %s", n, strings.ReplaceAll(got, "warm ", ""))
				}
				if len(q.bad) != 4 {
					t.Errorf("these ended badly: %v", q.bad)
				}
				if _, tasks := q.InFlight(); tasks != 0 {
					t.Errorf("left: %d tasks", tasks)
				}
				q.Abort(errTestOver)
				if err := <-q.reason; err != errTestOver {
					t.Errorf("Run returned %v", err)
				}
			})
		})
	}
}

// The end of the connection is noticed while the reader runs a task, and Run waits
// for the task.
func TestEndWhileReaderIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		var noticed, left time.Duration
		does := map[string]func(){}
		q := newQuickly(t, w, config(w), does)
		began := time.Now()
		does["wait"] = func() {
			<-q.Context().Done()
			noticed = time.Since(began)
			time.Sleep(time.Second)
			left = time.Since(began)
		}
		q.get("wait")
		w.end()
		<-q.reason
		if noticed > 2*patience || left < time.Second || time.Since(began) != left {
			t.Errorf("the task saw it after %v, Run returned after %v", noticed, time.Since(began))
		}
	})
}

// The reader flushes, but a peer that does not take what is written does not keep it
// from reading.
func TestReaderDoesNotWaitForWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		got := make(chan string, 2)
		q := newQuickly(t, w, config(w), map[string]func(){"B": func() { got <- "B" }})
		w.mu.Lock()
		w.gate = make(chan struct{})
		w.mu.Unlock()
		q.get("a", "a")
		synctest.Wait() // the reader is in the write
		began := time.Now()
		q.get("B")
		<-got
		if took := time.Since(began); took > 2*patience {
			t.Errorf("it took %v", took)
		}
		w.gate <- struct{}{}
		synctest.Wait()
		if b := slices.Concat(w.written()...); len(b) != 2 {
			t.Errorf("written: %q", b)
		}
	})
}

// A full outbox that is held back is sent, not waited for.
func TestHeldOutboxIsSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		conf := config(w)
		conf.Limits.OutboxSize = 100
		q := newQuickly(t, w, conf, nil)
		texts := slices.Repeat([]string{"0123456789abcdef"}, 32)
		texts = append(texts, slices.Repeat([]string{strings.Repeat("x", 90)}, 32)...)
		began := time.Now()
		q.get(texts...)
		synctest.Wait()
		if n := len(slices.Concat(w.written()...)); n != len(texts) || time.Since(began) != 0 {
			t.Errorf("%d replies after %v", n, time.Since(began))
		}
	})
}

// While replies arrive together the outbox is held back as well. What the callers send
// next leaves nevertheless.
func TestNothingIsHeldBackForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const callers, rounds = 32, 10
		w := newWire()
		l := run(t, config(w), ignoring{})
		began := time.Now()
		var done sync.WaitGroup
		for range callers {
			done.Go(func() {
				for range rounds {
					if _, err := l.Request(context.Background(), request("x"), 0, nil); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for round := range rounds {
			synctest.Wait()
			var replies [][]byte
			for _, msg := range slices.Concat(w.written()...) {
				m, err := protocol.V1_2.Parse([]byte(msg))
				if err != nil {
					t.Fatal(err)
				}
				reply, _ := protocol.V1_2.Append(nil, protocol.Message{Kind: protocol.Reply, ID: m.ID, Payload: m.Payload})
				replies = append(replies, reply)
			}
			if len(replies) != callers || time.Since(began) != 0 {
				t.Errorf("round %d: %d requests after %v", round, len(replies), time.Since(began))
			}
			w.mu.Lock()
			w.batches = nil
			w.mu.Unlock()
			w.arrive(replies...)
		}
		done.Wait()
	})
}

package outbox

import (
	"context"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/protocol"
)

// feed adds a short signal every so often until the test is over, as a broadcast does.
func feed(t *testing.T, o *box, every time.Duration) {
	msg, err := protocol.V1_2.Append(nil, signal("s", "x"))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_ = o.TrySend(msg) // there is room, or the connection has ended
			case <-o.ctx.Done():
				return
			}
		}
	}()
}

// Short messages do not keep a long one out of the outbox: neither those of senders
// that wait for room as well, nor those of senders that do not.
func TestLongMessageGetsItsTurn(t *testing.T) {
	for name, beside := range map[string]func(*testing.T, *box){
		"who waits": func(_ *testing.T, o *box) {
			for range 16 {
				go func() {
					for o.send(o.ctx, "s", strings.Repeat("x", 10_000)) == nil {
					}
				}()
			}
		},
		"who does not": func(t *testing.T, o *box) { feed(t, o, 500*time.Microsecond) },
	} {
		for _, size := range []int{300_000, 1 << 20, 3 << 20} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWire()
					w.takes = time.Millisecond
					o := open(t, w, 1<<20)
					beside(t, o)
					time.Sleep(20 * time.Millisecond)
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					if err := o.send(ctx, "long", strings.Repeat("x", size)); err != nil {
						t.Errorf("%d bytes: %v", size, err)
					}
				})
			})
		}
	}
}

// Senders that wait for room and give up, or whose connection ends, leave the turn to
// the next.
func TestTurnIsPassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.gate = make(chan struct{})
		o := open(t, w, 1000)
		long := signal("s", strings.Repeat("x", 900))
		go func() { _ = o.Send(t.Context(), &long) }() // it is being written, and fills the outbox
		synctest.Wait()
		outcomes := make([]chan error, 4)
		ctx, cancel := context.WithCancel(t.Context())
		for i := range outcomes {
			outcomes[i] = make(chan error, 1)
			within := t.Context()
			if i < 2 {
				within = ctx // the one whose turn it is, and one behind it
			}
			go func() { outcomes[i] <- o.Send(within, &long) }()
			synctest.Wait()
		}
		cancel()
		for i := range 2 {
			if err := <-outcomes[i]; err != context.Canceled {
				t.Errorf("sender %d: %v", i, err)
			}
		}
		w.gate <- struct{}{}
		if err := <-outcomes[2]; err != nil {
			t.Errorf("the next: %v", err)
		}
		o.abort(errTestOver)
		if err := <-outcomes[3]; err == nil {
			t.Error("the last one was told that its message was added")
		}
	})
}

// Whoever asked for room below a limit is called once: at once if there is some, when what is
// queued has been written, and never after the outbox has failed.
func TestWhenRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.gate = make(chan struct{})
		o := open(t, w, 10_000)
		const limit = 2000
		calls := make(map[string]int)
		when := func(name string, limit, size int) {
			o.WhenRoom(limit, size, func(int) { calls[name]++ })
		}
		add := func(want error, size int) {
			t.Helper()
			var out Fanout
			if err := out.TrySendBelow(&o.Outbox, make([]byte, size), limit); err != want {
				t.Fatalf("%d bytes: %v, want %v", size, err, want)
			}
			out.Flush()
			synctest.Wait()
		}
		when("at once", limit, 100)
		add(nil, 100) // is being written
		add(nil, 4800)
		add(ErrFull, 100)
		if err := o.TrySend(make([]byte, 100)); err != nil {
			t.Errorf("there is room without the limit: %v", err)
		}
		when("below the limit", limit, 100)
		when("without a limit", 1<<20, 100)
		when("for much", 1<<20, 9000)
		when("once it is written", 0, 0)
		check := func(want map[string]int) {
			t.Helper()
			if !maps.Equal(calls, want) {
				t.Errorf("called %v, want %v", calls, want)
			}
		}
		check(map[string]int{"at once": 1, "without a limit": 1})
		w.gate <- struct{}{} // the first
		synctest.Wait()
		check(map[string]int{"at once": 1, "without a limit": 1, "for much": 1})
		w.gate <- struct{}{} // the others
		synctest.Wait()
		check(map[string]int{"at once": 1, "without a limit": 1, "for much": 1, "below the limit": 1, "once it is written": 1})

		add(nil, 4800)
		when("never", limit, 100)
		o.abort(errTestOver)
		when("never", limit, 100)
		check(map[string]int{"at once": 1, "without a limit": 1, "for much": 1, "below the limit": 1, "once it is written": 1})
	})
}

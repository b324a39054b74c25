package link

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

func TestRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := pair(t, config(nil))
		var group sync.WaitGroup
		for i := range 100 {
			group.Go(func() {
				for k := range 50 {
					text := fmt.Sprint(i, k)
					p, err := l.Request(t.Context(), request(text), time.Minute, nil)
					if err != nil || p.Text() != text {
						t.Errorf("%s: got %q, %v", text, p.Text(), err)
					}
				}
			})
		}
		group.Wait()
		if n := len(l.state.calls.all); n > 100 {
			t.Errorf("%d slots for 100 requests at once", n)
		}
		if n, _ := l.InFlight(); n != 0 {
			t.Errorf("%d requests are in flight", n)
		}
	})
}

// No two requests of a connection have the same id, and a slot that is used again
// has nothing of the request before.
func TestNumbersAreUnique(t *testing.T) {
	var table calls
	const all = 1_000_000
	seen := make(map[uint64]struct{}, all)
	var held []*call
	for i := range all {
		c := table.take()
		if _, twice := seen[c.number]; twice || c.number == 0 {
			t.Fatalf("number %d again, at request %d", c.number, i)
		}
		seen[c.number] = struct{}{}
		held = append(held, c)
		for i%3 != 0 && len(held) > 50 { // so that slots come and go in all orders
			c := held[i%len(held)]
			held[i%len(held)] = held[len(held)-1]
			held = held[:len(held)-1]
			if number := c.number; table.decide(number) != c || table.decide(number) != nil {
				t.Fatal("a request is not decided exactly once")
			}
			table.free = append(table.free, c)
		}
	}
	if table.waiting != len(held) {
		t.Errorf("%d wait, counted %d", len(held), table.waiting)
	}
	if len(table.all) > len(held)+100 {
		t.Errorf("%d slots for %d requests", len(table.all), len(held))
	}
}

func TestTooManyRequests(t *testing.T) {
	var table calls
	for range maxCalls {
		if table.take() == nil {
			t.Fatal("too few")
		}
	}
	if table.take() != nil {
		t.Error("too many")
	}
	synctest.Test(t, func(t *testing.T) {
		l, _ := pair(t, config(nil))
		l.lock().calls = &table
		l.unlock()
		_, err := l.Request(t.Context(), request("x"), time.Minute, nil)
		var unsent *UnsentError
		if !errors.Is(err, ErrTooMany) || !errors.As(err, &unsent) {
			t.Errorf("got %v", err)
		}
		l.lock().calls = nil
		l.unlock()
	})
}

// Each request ends at its own time, with one timer for all.
func TestTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, other := pair(t, config(nil))
		other.hold = make(chan struct{})
		defer close(other.hold)
		began := time.Now()
		var group sync.WaitGroup
		for _, seconds := range []int{7, 3, 5, 5, 9, 1, 8} {
			group.Go(func() {
				want := time.Duration(seconds) * time.Second
				_, err := l.Request(context.Background(), request("x"), want, nil)
				var late *TimeoutError
				if !errors.As(err, &late) || late.After != want || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
				if took := time.Since(began); took != want {
					t.Errorf("%v: ended after %v", want, took)
				}
			})
		}
		group.Wait()
		if n, _ := l.InFlight(); n != 0 {
			t.Errorf("%d requests are in flight", n)
		}

		// A deadline that is shorter than all others is noticed in time, and one
		// that no request has any more disturbs nobody.
		long := make(chan error, 1)
		go func() {
			_, err := l.Request(context.Background(), request("x"), time.Hour, nil)
			long <- err
		}()
		synctest.Wait()
		began = time.Now()
		if _, err := l.Request(context.Background(), request("x"), time.Second, nil); err == nil || time.Since(began) != time.Second {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		if len(long) > 0 {
			t.Error("the longer one ended too")
		}
	})
}

// The time limit of a request holds while its bytes cannot be sent.
func TestTimeoutWhileAWriteIsStuck(t *testing.T) {
	for name, stuff := range map[string]func(t *testing.T, l *running){
		"as the writer": func(*testing.T, *running) {},
		"waiting for room": func(t *testing.T, l *running) {
			for l.TrySendEncoded(make([]byte, 500)) == nil {
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire()
				w.gate = make(chan struct{})
				conf := config(w)
				conf.Limits.OutboxSize = 1000
				l := run(t, conf, ignoring{})
				stuff(t, l)
				const limit = time.Second // much less than the WriteTimeout
				began := time.Now()
				_, err := l.Request(context.Background(), request("x"), limit, nil)
				var late *TimeoutError
				if !errors.As(err, &late) || time.Since(began) != limit {
					t.Errorf("without a deadline: got %v after %v", err, time.Since(began))
				}
				began = time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				if _, err := l.Request(ctx, request("x"), 0, nil); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != limit {
					t.Errorf("with one: got %v after %v", err, time.Since(began))
				}
				ctx, stop := context.WithCancel(t.Context())
				time.AfterFunc(limit, stop)
				began = time.Now()
				if _, err := l.Request(ctx, request("x"), time.Minute, nil); !errors.Is(err, context.Canceled) || time.Since(began) != limit {
					t.Errorf("cancelled: got %v after %v", err, time.Since(began))
				}
				if n, _ := l.InFlight(); n != 0 {
					t.Errorf("%d requests are in flight", n)
				}
			})
		})
	}
}

// What the server sends as a reply to nobody, twice, too late or malformed harms
// nobody else.
func TestHostileReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		l := run(t, config(w), ignoring{})
		reply := func(number uint64, text string) []byte {
			b, err := protocol.V1_2.Append(nil, protocol.Message{Kind: protocol.Reply, ID: protocol.NewID(number), Payload: protocol.Text(text)})
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		ctx, cancel := context.WithCancel(t.Context())
		first := make(chan error, 1)
		go func() {
			_, err := l.Request(ctx, request("first"), 0, nil)
			first <- err
		}()
		synctest.Wait()
		number := l.state.calls.all[0].number
		cancel()
		if err := <-first; err != context.Canceled {
			t.Error(err)
		}

		second := make(chan string, 1)
		go func() {
			p, err := l.Request(t.Context(), request("second"), 0, nil)
			second <- fmt.Sprint(p.Text(), err)
		}()
		synctest.Wait()
		if len(l.state.calls.all) != 1 {
			t.Fatal("the slot is not used again")
		}
		w.arrive(reply(number, "late"))
		w.arrive(reply(0, "zero"))
		w.arrive(reply(1<<63, "out of the blue"))
		w.arrive(reply(number&(maxCalls-1), "the index without the count"))
		now := l.state.calls.all[0].number
		for i := range uint64(64) {
			w.arrive(reply(now^1<<i, "almost the right one"))
		}
		w.arrive([]byte{191, 1, 2}) // malformed
		synctest.Wait()
		if len(second) > 0 {
			t.Fatalf("the second request got %s", <-second)
		}
		w.arrive(reply(now, "right"))
		w.arrive(reply(now, "twice"))
		if got := <-second; got != "right<nil>" {
			t.Errorf("got %s", got)
		}
		if len(l.state.calls.free) != 1 {
			t.Errorf("%d slots are free", len(l.state.calls.free))
		}

		// One that is meant for a request but malformed is the outcome of that.
		go func() {
			_, err := l.Request(t.Context(), request("third"), 0, nil)
			first <- err
		}()
		synctest.Wait()
		bad := append([]byte{0}, reply(l.state.calls.all[0].number, "not JSON")[1:]...)
		w.arrive(bad)
		if err := <-first; !errors.Is(err, protocol.ErrMalformed) {
			t.Errorf("got %v", err)
		}
	})
}

// The end of the connection is the outcome of every request, and says whether the
// peer may have seen it.
func TestSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.gate = make(chan struct{})
		conf := config(w)
		conf.Limits.OutboxSize = 200
		l := run(t, conf, ignoring{})
		outcomes := make(map[string]chan error)
		for _, name := range []string{"written", "in the write", "in the outbox", "waiting for room"} {
			done := make(chan error, 1)
			outcomes[name] = done
			size := 10
			if name == "in the outbox" {
				size = 150
			}
			go func() {
				_, err := l.Request(t.Context(), request(string(make([]byte, size))), time.Hour, nil)
				done <- err
			}()
			synctest.Wait()
			if name == "written" {
				w.gate <- struct{}{}
				synctest.Wait()
			}
		}
		l.Abort(errTestOver)
		for name, sent := range map[string]bool{"written": true, "in the write": true, "in the outbox": false, "waiting for room": false} {
			var lost *LostError
			if err := <-outcomes[name]; !errors.As(err, &lost) || lost.Sent != sent || lost.Cause != errTestOver {
				t.Errorf("%s: got %v", name, err)
			}
		}
		var lost *LostError
		if _, err := l.Request(t.Context(), request("x"), 0, nil); !errors.As(err, &lost) || lost.Sent {
			t.Errorf("after the end: got %v", err)
		}
		if n, _ := l.InFlight(); n != 0 {
			t.Errorf("%d requests are in flight", n)
		}
	})
}

// A request that is answered in the same moment in which its time is over, its
// context ends or the connection is lost has one outcome.
func TestOneOutcome(t *testing.T) {
	for range 200 {
		a, b := newWire(), config(nil)
		b.Conn = a
		l := run(t, b, ignoring{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := l.Request(ctx, request("x"), 100*time.Microsecond, nil)
			done <- err
		}()
		var group sync.WaitGroup
		group.Go(cancel)
		group.Go(func() { l.Disconnect(transport.StatusNormalClosure, "", errTestOver) })
		group.Go(func() {
			m, _ := protocol.V1_2.Append(nil, protocol.Message{Kind: protocol.Reply, ID: protocol.NewID(1 << indexBits)})
			a.arrive(m)
			a.arrive(m)
		})
		<-done
		group.Wait()
		<-l.reason
		calls := l.state.calls
		if calls == nil { // the request came after the end
			continue
		}
		if n, _ := l.InFlight(); n != 0 || len(calls.free) != len(calls.all) {
			t.Fatalf("%d requests in flight, %d of %d slots free", n, len(calls.free), len(calls.all))
		}
	}
}

// What many requests at once needed is given back once none is in flight.
func TestCallTableShrinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conf := config(nil)
		conf.Limits.OutboxSize = 64 << 20
		asks, answers := pair(t, conf)
		answers.hold = make(chan struct{})
		for _, n := range []int{10_000, keptCalls} {
			var all sync.WaitGroup
			for range n {
				all.Go(func() {
					if _, err := asks.Request(t.Context(), request("x"), 0, nil); err != nil {
						t.Error(err)
					}
				})
			}
			synctest.Wait()
			close(answers.hold)
			all.Wait()
			answers.hold = make(chan struct{})
		}
		if s := asks.state.calls; len(s.all) > keptCalls || cap(s.all) > 2*keptCalls {
			t.Errorf("%d calls are kept, with room for %d", len(s.all), cap(s.all))
		}
	})
}

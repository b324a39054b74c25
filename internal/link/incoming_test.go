package link

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// Both ends ask at once, and have ids of their own.
func TestRequestsInBothDirections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := both(t, echo, echo)
		var group sync.WaitGroup
		for _, l := range []*handling{a, b} {
			for i := range 20 {
				group.Go(func() {
					for k := range 20 {
						text := fmt.Sprint(i, k)
						p, err := l.Request(t.Context(), ask(0, text, nil), time.Minute, nil)
						if err != nil || p.Text() != text {
							t.Errorf("%s: %q, %v", text, p.Text(), err)
						}
					}
				})
			}
		}
		group.Wait()
		if err := errors.Join(a.violation(), b.violation()); err != nil {
			t.Error(err)
		}
	})
}

// A handler may ask back, even if each end takes one request at once.
func TestAskingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a, b *handling
		one := func(c *Config) { c.Own.Requests, c.Peer.Requests = 1, 1 }
		a, b = both(t, echo, func(ctx context.Context, _ *Incoming, m protocol.Message) (protocol.Payload, error) {
			return b.Request(ctx, ask(0, m.Payload.Text()+"!", nil), 0, nil)
		}, one, concurrency(1))
		for range 1000 { // until the reader runs the handlers itself
			p, err := a.Request(t.Context(), ask(0, "x", nil), time.Minute, nil)
			if err != nil || p.Text() != "x!" {
				t.Fatal(p.Text(), err)
			}
		}
	})
}

// A cancel in every state of a request: waiting, running, answered, unknown.
func TestCancelOfThePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var causes sync.Map
		var atOnce, most atomic.Int32
		release := make(chan struct{})
		l, w := alone(t, func(ctx context.Context, _ *Incoming, m protocol.Message) (protocol.Payload, error) {
			most.Store(max(most.Load(), atOnce.Add(1)))
			defer atOnce.Add(-1)
			<-ctx.Done()
			causes.Store(m.Payload.Text(), context.Cause(ctx))
			<-release // it takes its time
			return protocol.Payload{}, ctx.Err()
		}, concurrency(2))
		for id := range uint64(6) {
			w.say(t, ask(id, fmt.Sprint(id), nil))
		}
		synctest.Wait()
		w.say(t, cancel(99, 0)) // unknown
		w.say(t, cancel(5, 0))  // waiting, the last one
		w.say(t, cancel(3, 0))  // waiting
		w.say(t, cancel(2, 0))  // waiting, the next one
		w.say(t, cancel(2, 0))  // answered
		synctest.Wait()
		said := w.said(t)
		if len(said) != 3 {
			t.Fatalf("%d answers to three cancels", len(said))
		}
		for i, id := range []uint64{5, 3, 2} {
			f := failed(t, said[i])
			if said[i].ID != protocol.NewID(id) || f.Code != protocol.FailureCancelled || f.Executed != protocol.ExecutedNo {
				t.Errorf("answer %d is %v, %v", i, said[i].ID, f)
			}
		}
		w.say(t, cancel(0, protocol.CancelEnough)) // running
		w.say(t, cancel(0, protocol.CancelGaveUp)) // the first counts
		synctest.Wait()
		if n := len(w.said(t)); n != 3 {
			t.Fatalf("%d answers before the handler returned", n)
		}
		if n := atOnce.Load(); n != 2 {
			t.Errorf("%d handlers run: the slot is free before the handler returned", n)
		}
		cause, _ := causes.Load("0")
		var reason *CancelError
		if err, _ := cause.(error); !errors.As(err, &reason) || reason.Reason != protocol.CancelEnough || !errors.Is(err, context.Canceled) {
			t.Errorf("the cause is %v", cause)
		}
		close(release)
		synctest.Wait()
		said = w.said(t)
		if len(said) != 4 {
			t.Fatalf("%d answers", len(said))
		}
		if f := failed(t, said[3]); said[3].ID != protocol.NewID(0) || f.Code != protocol.FailureCancelled || f.Executed != protocol.ExecutedMaybe {
			t.Errorf("it was answered with %v", f)
		}
		if n := most.Load(); n > 2 {
			t.Errorf("%d handlers ran at once", n)
		}
		if n := l.held().requests; n != 2 {
			t.Errorf("%d requests are left, not 2", n)
		}
	})
}

// A handler that succeeds although it was cancelled has its reply sent: there is always
// one answer, and one only.
func TestOneAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		_, w := alone(t, func(context.Context, *Incoming, protocol.Message) (protocol.Payload, error) {
			<-release
			return protocol.Text("done"), nil
		})
		w.say(t, ask(1, "x", nil))
		synctest.Wait()
		w.say(t, cancel(1, 0))
		synctest.Wait()
		close(release)
		synctest.Wait()
		w.say(t, cancel(1, 0))
		synctest.Wait()
		if said := w.said(t); len(said) != 1 || said[0].Kind != protocol.Reply {
			t.Errorf("answered %v", said)
		}
	})
}

// Which comes first of cancel, deadline and the end of the connection is the cause.
func TestCausesOfHandlers(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(t *testing.T, l *handling, w *wire)
		want error // of the context
		is   error // the cause
		code protocol.FailureCode
	}{
		"cancel": {func(t *testing.T, l *handling, w *wire) {
			w.say(t, cancel(1, protocol.CancelGaveUp))
			synctest.Wait()
			time.Sleep(2 * time.Second)
			l.Abort(errTestOver)
		}, context.Canceled, &CancelError{}, protocol.FailureCancelled},
		"deadline": {func(t *testing.T, l *handling, w *wire) {
			time.Sleep(time.Second)
			synctest.Wait()
			w.say(t, cancel(1, protocol.CancelDeadline))
			synctest.Wait()
			l.Abort(errTestOver)
		}, context.DeadlineExceeded, ErrDeadline, protocol.FailureDeadline},
		"connection": {func(t *testing.T, l *handling, w *wire) {
			l.Abort(errTestOver)
			time.Sleep(2 * time.Second)
		}, context.Canceled, errTestOver, 0},
	} {
		for _, how := range []string{"done", "derived", "polled"} {
			t.Run(name+" "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var err, cause error
					l, w := alone(t, func(ctx context.Context, _ *Incoming, _ protocol.Message) (protocol.Payload, error) {
						switch how {
						case "done":
							<-ctx.Done()
						case "derived":
							derived, stop := context.WithCancel(ctx)
							defer stop()
							<-derived.Done()
							ctx = derived
						case "polled":
							for ctx.Err() == nil {
								time.Sleep(time.Millisecond)
							}
						}
						err, cause = ctx.Err(), context.Cause(ctx)
						if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > time.Second {
							t.Errorf("deadline in %v, %t", time.Until(deadline), ok)
						}
						return protocol.Payload{}, fmt.Errorf("handler: %w", err)
					})
					w.say(t, ask(1, "x", protocol.Head{}.AppendDeadline(time.Second)))
					synctest.Wait()
					test.end(t, l, w)
					synctest.Wait()
					var cancelled *CancelError
					want := errors.Is(cause, test.is)
					if name == "cancel" {
						want = errors.As(cause, &cancelled)
					}
					if how == "polled" && name == "deadline" {
						want = want || cause == context.DeadlineExceeded
					}
					if err != test.want || !want {
						t.Errorf("the context ended with %v, cause %v", err, cause)
					}
					if said := w.said(t); test.code != 0 {
						if len(said) != 1 || failed(t, said[0]) != *test.code.Failure() {
							t.Errorf("answered %v", said)
						}
					}
				})
			})
		}
	}
}

// What waited past its deadline is answered without running.
func TestWaitedPastTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var ran atomic.Int32
		l, w := alone(t, func(context.Context, *Incoming, protocol.Message) (protocol.Payload, error) {
			ran.Add(1)
			<-release
			return protocol.Payload{}, nil
		}, concurrency(1))
		w.say(t, ask(1, "x", nil))
		w.say(t, ask(2, "x", protocol.Head{}.AppendDeadline(time.Second)))
		w.say(t, ask(3, "x", protocol.Head{}.AppendDeadline(time.Hour)))
		time.Sleep(time.Minute)
		close(release)
		synctest.Wait()
		said := w.said(t)
		if len(said) != 3 || ran.Load() != 2 {
			t.Fatalf("%d answers, %d ran", len(said), ran.Load())
		}
		for _, m := range said {
			if m.ID != protocol.NewID(2) {
				continue
			}
			if f := failed(t, m); f.Code != protocol.FailureDeadline || f.Executed != protocol.ExecutedNo {
				t.Errorf("answered %v", f)
			}
		}
		if l.held().requests != 0 {
			t.Error("a request is left")
		}
	})
}

// More requests than were announced are refused without running, and so are those with a
// critical field that is not known.
func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ran atomic.Int32
		l, w := alone(t, func(ctx context.Context, _ *Incoming, _ protocol.Message) (protocol.Payload, error) {
			ran.Add(1)
			<-ctx.Done()
			return protocol.Payload{}, nil
		}, func(c *Config) { c.Own.Requests = 3 })
		for id := range uint64(3) {
			w.say(t, ask(id, "x", nil))
		}
		w.say(t, ask(3, "x", nil))
		w.say(t, ask(4, "x", protocol.Head{}.Append(200, nil)))
		w.say(t, protocol.Message{Kind: protocol.Signal, Name: "x", Head: protocol.Head{}.Append(200, nil)})
		w.say(t, protocol.Message{Kind: protocol.Signal, Name: "y", Head: protocol.Head{}.Append(100, []byte("k\x00v"))})
		synctest.Wait()
		said := w.said(t)
		if len(said) != 2 || ran.Load() != 3 {
			t.Fatalf("%d answers, %d ran", len(said), ran.Load())
		}
		if f := failed(t, said[0]); f != *protocol.FailureTooMany.Failure() {
			t.Errorf("one too many: %v", f)
		}
		if f := failed(t, said[1]); f != *protocol.FailureUnsupported.Failure() {
			t.Errorf("critical field: %v", f)
		}
		if len(l.got) != 1 || l.got[0].Name != "y" {
			t.Errorf("got the signals %v", l.got)
		}
		w.say(t, cancel(0, 0)) // frees a place
		synctest.Wait()
		w.say(t, ask(5, "x", nil))
		synctest.Wait()
		if ran.Load() != 4 {
			t.Error("the place is not free")
		}
	})
}

// Answers that the reader has to give end a connection whose peer does not read.
func TestAnswersHaveRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.gate = make(chan struct{})
		conf := config3(w)
		conf.Limits.OutboxSize = 1000
		conf.Own.Requests = 0
		l := start(t, conf, echo)
		for id := range uint64(200) {
			w.say(t, ask(id, "x", nil))
		}
		synctest.Wait()
		if l.overflow == 0 {
			t.Error("the answers have no limit")
		}
	})
}

// Requests that are cancelled at once neither run nor hold memory, while the handlers
// before them take long.
func TestRapidReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ran atomic.Int32
		l, w := alone(t, func(ctx context.Context, _ *Incoming, _ protocol.Message) (protocol.Payload, error) {
			ran.Add(1)
			<-ctx.Done()
			time.Sleep(time.Second)
			return protocol.Payload{}, nil
		}, concurrency(4))
		const all = 10_000
		for id := range uint64(all) {
			w.say(t, ask(id, "x", nil))
			if id%100 == 99 {
				synctest.Wait()
			}
			w.say(t, cancel(id, 0))
			synctest.Wait()
			if _, n := l.InFlight(); n > 5 {
				t.Fatalf("%d tasks are held after %d requests", n, id)
			}
		}
		if n := l.held().requests; n > 5 {
			t.Errorf("%d requests are held", n)
		}
		time.Sleep(time.Minute)
		if n := len(w.said(t)); n != all {
			t.Errorf("%d answers to %d requests", n, all)
		}
		if n := ran.Load(); n > 100 {
			t.Errorf("%d requests ran", n)
		}
	})
}

// The table finds what is in it, whatever comes and goes.
func TestIncomingTable(t *testing.T) {
	var table incomingTable
	live := make(map[protocol.ID]*Incoming)
	for i := range uint64(20_000) {
		id := protocol.NewID(i << 40)
		in := &Incoming{id: id}
		table.add(in)
		live[id] = in
		if i%3 != 0 {
			gone := protocol.NewID(i / 2 << 40)
			if in := live[gone]; in != nil {
				table.remove(in)
				delete(live, gone)
			}
			if table.find(gone) != nil {
				t.Fatal("found what was removed")
			}
		}
	}
	for id, in := range live {
		if table.find(id) != in {
			t.Fatal("not found")
		}
		table.remove(in)
	}
	if table.requests != 0 || table.buckets != nil {
		t.Errorf("%d requests are left in %d buckets", table.requests, len(table.buckets))
	}
	longest := 0
	for i := range uint64(1 << 12) {
		table.add(&Incoming{id: protocol.NewID(i << 52)})
	}
	for _, in := range table.buckets {
		n := 0
		for ; in != nil; in = in.next {
			n++
		}
		longest = max(longest, n)
	}
	if longest > 40 {
		t.Errorf("a chain of %d for ids that the peer chose", longest)
	}
}

// The context of a handler gives what that of the connection gives, and ends with the
// handler.
func TestContextOfAHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept context.Context
		_, w := alone(t, func(ctx context.Context, _ *Incoming, m protocol.Message) (protocol.Payload, error) {
			kept = ctx
			if ctx.Err() != nil || context.Cause(ctx) != nil || ctx.Value("nothing") != nil {
				t.Errorf("a new context has %v, %v", ctx.Err(), ctx.Value("nothing"))
			}
			if _, ok := ctx.Deadline(); ok {
				t.Error("it has a deadline")
			}
			if m.Payload.Text() == "done" {
				ctx.Done()
			}
			return protocol.Payload{}, nil
		})
		for i, text := range []string{"done", "not"} {
			w.say(t, ask(uint64(i), text, nil))
			synctest.Wait()
			if kept.Err() != context.Canceled || context.Cause(kept) != context.Canceled {
				t.Errorf("%s: after the handler: %v, %v", text, kept.Err(), context.Cause(kept))
			}
			select {
			case <-kept.Done():
			default:
				t.Errorf("%s: it is not done", text)
			}
		}
	})
}

// Malformed and misdirected messages are violations, whatever they are for; what belongs
// to unknown requests is ignored.
func TestViolationsOf3(t *testing.T) {
	unknown := []protocol.Message{
		{Kind: protocol.Reply, ID: protocol.NewID(7)},
		{Kind: protocol.Item, ID: protocol.NewID(7)},
		{Kind: protocol.Credit, ID: protocol.NewID(7), Number: 1},
		cancel(7, 0),
		{Kind: protocol.Ack, Number: 7},
		protocol.FailureInternal.Failure().Message(protocol.NewID(7)),
	}
	synctest.Test(t, func(t *testing.T) {
		l, w := alone(t, echo)
		for _, m := range unknown {
			w.say(t, m)
		}
		synctest.Wait()
		if err := l.violation(); err != nil || len(l.got) > 0 || l.Cause() != nil {
			t.Errorf("%v, %v", err, l.got)
		}
	})
	for name, bad := range map[string][]byte{
		"reply":   {191, 1, 2},
		"cancel":  {9, 1},
		"failure": {13, 1, 0, 0, 0, 0, 0, 0, 0, 0, 9},
		"unknown": {200},
		"empty":   {},
	} {
		synctest.Test(t, func(t *testing.T) {
			l, w := alone(t, echo)
			w.arrive(bad)
			synctest.Wait()
			if err := l.violation(); !errors.Is(err, protocol.ErrMalformed) {
				t.Errorf("%s: %v", name, err)
			}
			if len(w.closes) == 0 || w.closes[0] != transport.StatusProtocolError {
				t.Errorf("%s: closed with %v", name, w.closes)
			}
		})
	}
}

// chained is a wire whose next message is there before the reader comes for it.
type chained struct{ *wire }

func (chained) Buffered() bool { return true }

// The deadline of a request is measured from its own arrival, also if the reader was busy
// with what arrived before, and never found nothing to read.
func TestDeadlineBehindABusyReader(t *testing.T) {
	for _, c := range []struct {
		name   string
		before int
		full   bool // the inbox is full while a handler runs
	}{
		{"full inbox", 3, true},
		{"many messages", 200, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				deadlines := make(chan time.Time, 1)
				budget := func(conf *Config) {
					conf.Conn = chained{conf.Conn.(*wire)}
					if c.full {
						conf.Limits.Tasks.Budget = 2 * Cost(ask(1, "busy", nil))
					}
				}
				_, w := alone(t, func(ctx context.Context, _ *Incoming, m protocol.Message) (protocol.Payload, error) {
					if m.Payload.Text() == "busy" {
						time.Sleep(time.Second)
						return m.Payload, nil
					}
					deadline, _ := ctx.Deadline()
					deadlines <- deadline
					return m.Payload, nil
				}, budget)
				for i := range c.before {
					if !c.full {
						time.Sleep(10 * time.Millisecond)
					}
					w.say(t, ask(uint64(i+1), "busy", nil))
				}
				time.Sleep(1500 * time.Millisecond)
				sent := time.Now()
				w.say(t, ask(1000, "x", protocol.Head(nil).AppendDeadline(5*time.Second)))
				// As much as the messages that were read together may take.
				const slack = maxTogether * 10 * time.Millisecond
				if early := sent.Add(5 * time.Second).Sub(<-deadlines); !c.full && early > slack+1500*time.Millisecond || c.full && early > 0 {
					t.Errorf("the deadline is %v early", early)
				}
			})
		})
	}
}

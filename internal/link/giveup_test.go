package link

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/protocol"
)

// begun makes a request on another goroutine and returns its outcome.
func begun(l *handling, ctx context.Context, m protocol.Message, timeout time.Duration) chan error {
	done := make(chan error, 1)
	go func() {
		_, err := l.Request(ctx, m, timeout, nil)
		done <- err
	}()
	synctest.Wait()
	return done
}

// A request that is given up is cancelled if it was written, and taken out of the outbox
// if not.
func TestGivingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w := alone(t, echo)
		w.gate = make(chan struct{}, 100)
		ctx, stop := context.WithCancel(t.Context())
		written := begun(l, ctx, ask(0, "written", nil), long)
		queued := begun(l, ctx, ask(0, "queued", nil), long)
		stays := begun(l, t.Context(), ask(0, "stays", nil), long)
		late := begun(l, t.Context(), ask(0, "late", nil), time.Second)
		stop()
		synctest.Wait()
		time.Sleep(2 * time.Second)
		var unsent *UnsentError
		if err := <-written; err != context.Canceled {
			t.Errorf("written: %v", err)
		}
		if err := <-queued; !errors.As(err, &unsent) || !errors.Is(err, context.Canceled) {
			t.Errorf("queued: %v", err)
		}
		var timeout *TimeoutError
		if err := <-late; !errors.As(err, &unsent) || !errors.As(err, &timeout) {
			t.Errorf("late: %v", err)
		}
		for range 100 {
			w.gate <- struct{}{}
		}
		synctest.Wait()
		said := w.said(t)
		if len(said) != 3 || said[1].Kind != protocol.Cancel || said[1].ID != said[0].ID || said[2].Payload.Text() != "stays" {
			t.Fatalf("wrote %v", said)
		}
		if c, err := said[1].Cancel(); err != nil || c.Reason != protocol.CancelGaveUp {
			t.Errorf("the reason is %v, %v", c.Reason, err)
		}

		// The late answer is ignored, and one only counts.
		if n := l.held().abandoned; n != 1 {
			t.Errorf("%d requests have no answer", n)
		}
		w.say(t, protocol.Message{Kind: protocol.Reply, ID: said[0].ID})
		w.say(t, protocol.Message{Kind: protocol.Reply, ID: said[0].ID})
		w.say(t, protocol.Message{Kind: protocol.Reply, ID: said[2].ID})
		if err := <-stays; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := l.held().abandoned; n != 0 || l.violation() != nil {
			t.Errorf("%d requests have no answer, %v", n, l.violation())
		}
	})
}

// The reason of a cancel is the deadline if that passed.
func TestReasonOfACancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w := alone(t, echo)
		within, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		for _, done := range []chan error{begun(l, within, ask(0, "x", nil), 0), begun(l, context.Background(), ask(0, "x", nil), time.Second)} {
			if err := <-done; !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		}
		synctest.Wait()
		said := w.said(t)
		for _, m := range said[2:] {
			if c, err := m.Cancel(); err != nil || c.Reason != protocol.CancelDeadline {
				t.Errorf("%v, %v", c, err)
			}
		}
		if len(said) != 4 {
			t.Errorf("wrote %v", said)
		}
	})
}

// The request says how long its caller waits, besides what the caller puts into its head.
func TestDeadlineIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w := alone(t, echo)
		within, stop := context.WithTimeout(t.Context(), 3*time.Second)
		defer stop()
		own := protocol.Head{}.AppendMetadata("k", "v")
		own = append(make(protocol.Head, 0, 100), own...)
		outcomes := []chan error{
			begun(l, t.Context(), ask(0, "none", nil), 0),
			begun(l, t.Context(), ask(0, "2s", nil), 2*time.Second),
			begun(l, within, ask(0, "3s", nil), 0),
			begun(l, within, ask(0, "3s", own), time.Minute),
			begun(l, within, ask(0, "1ms", own), time.Microsecond),
		}
		for i, m := range w.said(t)[:len(outcomes)] {
			d, ok := m.Head.Deadline()
			text := "none"
			if ok {
				text = d.String()
			}
			if text != m.Payload.Text() {
				t.Errorf("%s was sent instead of %s", text, m.Payload.Text())
			}
			if i >= 3 && !strings.Contains(string(m.Head), "k\x00v") {
				t.Error("the caller's own fields are missing")
			}
		}
		if tail := own[:cap(own)][len(own):]; string(tail) != strings.Repeat("\x00", len(tail)) {
			t.Error("the caller's head was written to")
		}
	})
}

// A request counts until its last answer, also after it was given up: the peer would
// refuse more than it takes.
func TestRequestsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w := alone(t, echo, func(c *Config) { c.Peer.Requests = 2 })
		ctx, stop := context.WithCancel(t.Context())
		first := begun(l, ctx, ask(0, "x", nil), long)
		begun(l, t.Context(), ask(0, "x", nil), long)
		stop()
		<-first
		var unsent *UnsentError
		if err := <-begun(l, t.Context(), ask(0, "x", nil), long); !errors.Is(err, protocol.ErrTooMany) || !errors.As(err, &unsent) {
			t.Errorf("one too many: %v", err)
		}
		w.say(t, protocol.FailureCancelled.Failure().Message(w.said(t)[0].ID))
		synctest.Wait()
		if done := begun(l, t.Context(), ask(0, "x", nil), long); len(done) > 0 {
			t.Errorf("after the answer: %v", <-done)
		}
	})
}

// Requests of before 3.0 are taken out of the outbox too, and never cancelled.
func TestGivingUpBefore3(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		conf := config(w)
		conf.Version = protocol.V2_0
		l := &handling{running: run(t, conf, ignoring{})}
		ctx, stop := context.WithCancel(t.Context())
		done := begun(l, ctx, ask(0, "x", nil), long)
		stop()
		if err := <-done; err != context.Canceled {
			t.Error(err)
		}
		synctest.Wait()
		if writes := w.written(); len(writes) != 1 {
			t.Errorf("wrote %q", writes)
		}
	})
}

// A reply with a critical field that is not known ends its request.
func TestUnsupportedReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w := alone(t, echo)
		done := begun(l, t.Context(), ask(0, "x", nil), long)
		w.say(t, protocol.Message{Kind: protocol.Reply, ID: w.said(t)[0].ID, Head: protocol.Head{}.Append(128, nil)})
		err := <-done
		var failure *protocol.FailureError
		if !errors.Is(err, protocol.ErrUnsupported) || !errors.As(err, &failure) || failure.Executed != protocol.ExecutedMaybe {
			t.Error(err)
		}
	})
}

// Requests and cancels over a connection, at any moment: every request has one outcome,
// and in the end nothing is left of it at either end.
func TestCancelAtAnyMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := both(t, echo, func(ctx context.Context, _ *Incoming, m protocol.Message) (protocol.Payload, error) {
			if len(m.Payload.Data)%2 == 0 {
				<-ctx.Done()
				return protocol.Payload{}, ctx.Err()
			}
			return m.Payload, nil
		}, concurrency(3), func(c *Config) { c.Own.Requests, c.Peer.Requests = 5000, 5000 })
		for i := range 3000 {
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				_, err := a.Request(ctx, ask(0, fmt.Sprint(i), nil), time.Minute, nil)
				done <- err
			}()
			if i%7 == 0 {
				synctest.Wait()
			}
			stop()
			if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second) // a reader that runs a handler is replaced
		synctest.Wait()
		if n := a.held().abandoned; n != 0 || b.held().requests != 0 {
			t.Errorf("%d requests are not answered, %d are handled", n, b.held().requests)
		}
		if err := errors.Join(a.violation(), b.violation()); err != nil {
			t.Error(err)
		}
	})
}

package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/internal/invariant"
	"github.com/webwire-go/webwire/protocol"
)

// stream begins a streamed request.
func stream(t *testing.T, ctx context.Context, l *handling, text string) *Stream {
	t.Helper()
	s, err := l.Stream(ctx, ask(0, text, nil), 0)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func item(id protocol.ID, text string) protocol.Message {
	return protocol.Message{Kind: protocol.Item, ID: id, Payload: protocol.Text(text)}
}

// lastError is why a handler ended last. The zero value is nil.
type lastError struct {
	mu  sync.Mutex
	err error
}

func (e *lastError) store(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.err = err
}

func (e *lastError) load() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

// counting returns a handler that sends numbers until it cannot. It stores how many it
// sent, and why it ended.
func counting(sent *atomic.Int64, ended *lastError, size int) handler {
	pad := strings.Repeat("x", size)
	return func(_ context.Context, in *Incoming, _ protocol.Message) (protocol.Payload, error) {
		for {
			if err := in.SendItem(protocol.Text(fmt.Sprint(sent.Load(), pad))); err != nil {
				ended.store(err)
				return protocol.Payload{}, err
			}
			sent.Add(1)
		}
	}
}

// Items arrive in order, and the last message is the reply.
func TestStream(t *testing.T) {
	for _, outbox := range []int{1 << 10, 1 << 20} {
		synctest.Test(t, func(t *testing.T) {
			const all = 5000
			send := func(_ context.Context, in *Incoming, m protocol.Message) (protocol.Payload, error) {
				if !in.TakesItems() {
					return protocol.Payload{}, protocol.FailureUnsupported.Failure()
				}
				for i := range all {
					if err := in.SendItem(protocol.Text(fmt.Sprint(i))); err != nil {
						return protocol.Payload{}, err
					}
				}
				return protocol.Text("end"), nil
			}
			a, b := both(t, send, send, func(c *Config) { c.Limits.OutboxSize = outbox })
			done := make(chan error, 2)
			for _, l := range []*handling{a, b} { // both directions at once
				go func() {
					s := stream(t, t.Context(), l, "x")
					defer s.Close()
					for i := range all {
						p, err := s.Next()
						if err != nil || p.Text() != fmt.Sprint(i) {
							done <- fmt.Errorf("item %d is %q, %w", i, p.Text(), err)
							return
						}
					}
					for range 2 {
						if _, err := s.Next(); err != io.EOF {
							done <- fmt.Errorf("at the end: %w", err)
							return
						}
					}
					if p := s.Reply(); p.Text() != "end" {
						done <- fmt.Errorf("the reply is %q", p.Text())
						return
					}
					done <- nil
				}()
			}
			if err := errors.Join(<-done, <-done); err != nil {
				t.Error(err)
			}
			if err := errors.Join(a.violation(), b.violation()); err != nil {
				t.Error(err)
			}
			// A request that takes no items is not streamed to.
			_, err := a.Request(t.Context(), ask(0, "x", nil), 0, nil)
			if !errors.Is(err, protocol.ErrUnsupported) {
				t.Errorf("without the field: %v", err)
			}
			if a.held().own != 0 || b.held().own != 0 {
				t.Error("streams are left")
			}
		})
	}
}

// The sender stops at the limit, whatever the size of the items, and goes on when half
// was consumed, not earlier.
func TestCredit(t *testing.T) {
	for _, size := range []int{0, 100, 10_000} {
		synctest.Test(t, func(t *testing.T) {
			var sent atomic.Int64
			var ended lastError
			a, b := both(t, echo, counting(&sent, &ended, size))
			s := stream(t, t.Context(), a, "x")
			synctest.Wait()
			const window = 4096
			first := sent.Load()
			costs := func(n int64) (sum int64) {
				for i := range n {
					sum += int64(len(fmt.Sprint(i))+size) + protocol.ItemOverhead
				}
				return sum
			}
			if costs(first) < window || costs(first-1) >= window {
				t.Errorf("%d items of %d bytes were sent within a window of %d", first, size, window)
			}
			var taken int64
			for sent.Load() == first {
				if _, err := s.Next(); err != nil {
					t.Fatal(err)
				}
				taken++
				synctest.Wait()
			}
			if costs(taken) < window/2 || costs(taken-1) >= window/2 {
				t.Errorf("credit came after %d items of %d bytes", taken, size)
			}
			for range 1000 {
				if _, err := s.Next(); err != nil {
					t.Fatal(err)
				}
				taken++
			}
			synctest.Wait()
			if held := costs(sent.Load()) - costs(taken); held > window+int64(size)+2*protocol.ItemOverhead {
				t.Errorf("%d bytes are on their way", held)
			}
			s.Close()
			synctest.Wait()
			var cancelled *CancelError
			if err := ended.load(); !errors.As(err, &cancelled) || cancelled.Reason != protocol.CancelEnough {
				t.Errorf("the sender ended with %v", err)
			}
			if n := a.held().abandoned; n != 0 || a.held().own != 0 || b.held().streams != 0 {
				t.Error("the stream is not over")
			}
			if err := errors.Join(a.violation(), b.violation()); err != nil {
				t.Error(err)
			}
		})
	}
}

// Credit is absolute: what comes twice, or too low, changes nothing.
func TestCreditTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int64
		var ended lastError
		_, w := alone(t, counting(&sent, &ended, 0), func(c *Config) { c.Peer.StreamCredit = 0 })
		id := protocol.NewID(1)
		w.say(t, ask(1, "x", protocol.Head{}.AppendStream()))
		synctest.Wait()
		for _, step := range []struct{ limit, want uint64 }{{0, 0}, {1, 1}, {1, 1}, {65, 1}, {66, 2}, {10, 2}, {66, 2}, {1000, 16}} {
			w.say(t, protocol.Message{Kind: protocol.Credit, ID: id, Number: step.limit})
			synctest.Wait()
			if n := sent.Load(); n != int64(step.want) {
				t.Errorf("limit %d: %d items, not %d", step.limit, n, step.want)
			}
		}
		w.say(t, cancel(1, protocol.CancelEnough))
		synctest.Wait()
		said := w.said(t)
		if last := said[len(said)-1]; failed(t, last).Code != protocol.FailureCancelled {
			t.Errorf("ended with %v", last)
		}
	})
}

// An item beyond the limit is a violation, as is one of a reply that is not streamed; after
// a cancel items are ignored.
func TestItemsBeyondTheLimit(t *testing.T) {
	for _, name := range []string{"overrun", "not streamed", "given up"} {
		synctest.Test(t, func(t *testing.T) {
			l, w := alone(t, echo)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var s *Stream
			if name == "not streamed" {
				begun(l, ctx, ask(0, "x", nil), 0)
			} else {
				s = stream(t, ctx, l, "x")
			}
			synctest.Wait()
			id := w.said(t)[0].ID
			big := strings.Repeat("x", 5000)
			var want error
			switch name {
			case "overrun":
				if !w.said(t)[0].Head.Stream() {
					t.Error("the request does not say that it takes items")
				}
				want = errOverrun
				w.say(t, item(id, big)) // any size may be sent below the limit
				synctest.Wait()
				if l.violation() != nil {
					t.Fatal(l.violation())
				}
			case "not streamed":
				want = errNoStream
			case "given up":
				w.say(t, item(id, big))
				synctest.Wait()
				stop()
				if _, err := s.Next(); err != context.Canceled {
					t.Errorf("got %v", err)
				}
				for range 100 {
					w.say(t, item(id, big))
				}
			}
			w.say(t, item(id, "x"))
			synctest.Wait()
			if err := l.violation(); !errors.Is(err, want) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// A stream that nobody reads holds no more than its window, and nothing else up.
func TestStreamThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int64
		var ended lastError
		count := counting(&sent, &ended, 32)
		a, _ := both(t, echo, func(ctx context.Context, in *Incoming, m protocol.Message) (protocol.Payload, error) {
			if in.TakesItems() {
				return count(ctx, in, m)
			}
			return m.Payload, nil
		})
		unread := stream(t, t.Context(), a, "x")
		synctest.Wait()
		for i := range 1000 {
			if p, err := a.Request(t.Context(), ask(0, fmt.Sprint(i), nil), time.Second, nil); err != nil || p.Text() != fmt.Sprint(i) {
				t.Fatal(p.Text(), err)
			}
		}
		s := stream(t, t.Context(), a, "x")
		for range 1000 {
			if _, err := s.Next(); err != nil {
				t.Fatal(err)
			}
		}
		if n := unread.in.held(); n > 64 {
			t.Errorf("%d items are held", n)
		}
		s.Close()
		unread.Close()
	})
}

// Both ends take a limited number of streams.
func TestStreamsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		many := func(c *Config) { c.Own.Requests, c.Peer.Requests = 1000, 1000 }
		l, w := alone(t, wait, many, concurrency(1000))
		for range MaxStreams {
			stream(t, t.Context(), l, "x")
		}
		var unsent *UnsentError
		if _, err := l.Stream(t.Context(), ask(0, "x", nil), 0); !errors.Is(err, protocol.ErrTooMany) || !errors.As(err, &unsent) {
			t.Errorf("one too many: %v", err)
		}
		begun(l, t.Context(), ask(0, "no stream", nil), 0)
		synctest.Wait()
		before := len(w.said(t))
		for id := range uint64(MaxStreams + 1) {
			w.say(t, ask(id, "x", protocol.Head{}.AppendStream()))
		}
		w.say(t, ask(1000, "x", nil))
		synctest.Wait()
		said := w.said(t)[before:]
		if len(said) != 1 || said[0].ID != protocol.NewID(MaxStreams) || failed(t, said[0]).Code != protocol.FailureTooMany {
			t.Errorf("answered %v", said)
		}
	})
}

// However a stream ends, its consumer gets the items that came before, then the error,
// once and for all.
func TestEndsOfStreams(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(*handling, *wire, protocol.ID)
		want func(error) bool
	}{
		"error reply": {func(l *handling, w *wire, id protocol.ID) {
			b, _ := protocol.V3_0.Append(nil, protocol.V3_0.Failure(id, &protocol.Error{Code: "NO"}))
			w.arrive(b)
		}, func(err error) bool { return protocol.CodeOf(err) == "NO" }},
		"connection": {func(l *handling, w *wire, id protocol.ID) { l.Abort(errTestOver) },
			func(err error) bool {
				var lost *LostError
				return errors.As(err, &lost) && lost.Sent
			}},
	} {
		synctest.Test(t, func(t *testing.T) {
			l, w := alone(t, echo)
			s := stream(t, t.Context(), l, "x")
			synctest.Wait()
			id := w.said(t)[0].ID
			w.say(t, item(id, "1"))
			w.say(t, item(id, "2"))
			synctest.Wait()
			test.end(l, w, id)
			synctest.Wait()
			for _, want := range []string{"1", "2"} {
				if p, err := s.Next(); err != nil || p.Text() != want {
					t.Errorf("%s: %q, %v", name, p.Text(), err)
				}
			}
			for range 2 {
				if _, err := s.Next(); !test.want(err) {
					t.Errorf("%s: %v", name, err)
				}
			}
			s.Close()
		})
	}
	synctest.Test(t, func(t *testing.T) { // timeout and deadline
		l, w := alone(t, echo)
		s, err := l.Stream(t.Context(), ask(0, "x", nil), time.Second)
		if err != nil {
			t.Fatal(err)
		}
		var late *TimeoutError
		if _, err := s.Next(); !errors.As(err, &late) {
			t.Error(err)
		}
		s.Close()
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		s = stream(t, ctx, l, "x")
		if _, err := s.Next(); err != context.DeadlineExceeded {
			t.Error(err)
		}
		synctest.Wait()
		if said := w.said(t); len(said) != 4 || said[1].Kind != protocol.Cancel || said[3].Kind != protocol.Cancel {
			t.Errorf("wrote %v", said)
		}
		before := New(context.Background(), config(newWire()))
		var unsent *UnsentError
		if _, err := before.Stream(t.Context(), ask(0, "x", nil), 0); !errors.Is(err, protocol.ErrUnsupported) || !errors.As(err, &unsent) {
			t.Errorf("before 3.0: %v", err)
		}
	})
}

// A million small items pass through a window, and hold no more memory than that.
func TestStreamMemory(t *testing.T) {
	all := 1_000_000
	if testing.Short() || invariant.Enabled {
		all = 50_000
	}
	var sent atomic.Int64
	a, _ := both(t, echo, func(_ context.Context, in *Incoming, _ protocol.Message) (protocol.Payload, error) {
		p := protocol.Bytes(make([]byte, 32))
		for range all {
			if err := in.SendItem(p); err != nil {
				return protocol.Payload{}, err
			}
			sent.Add(1)
		}
		return protocol.Payload{}, nil
	}, func(c *Config) { c.Own.StreamCredit, c.Peer.StreamCredit = DefaultStreamCredit, DefaultStreamCredit })
	s := stream(t, t.Context(), a, "x")
	defer s.Close()
	for taken := 0; ; taken++ {
		if taken == all/2 {
			if held := sent.Load() - int64(taken); held > DefaultStreamCredit/96+2 {
				t.Errorf("%d items are held", held)
			}
			s.in.mu.Lock()
			n := cap(s.in.items)
			s.in.mu.Unlock()
			if n > 2*DefaultStreamCredit/96+64 {
				t.Errorf("there is memory for %d items", n)
			}
		}
		_, err := s.Next()
		if err == io.EOF {
			if taken != all {
				t.Errorf("%d items", taken)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

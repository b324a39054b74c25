package outbox

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/protocol"
)

// newKeeping returns an outbox at the client's end of a connection that can be resumed, with
// a budget of size bytes.
func newKeeping(t *testing.T, w *wire, size int) *box {
	t.Helper()
	b := newBox(w, Config{Conn: w, Version: protocol.V3_0, Size: size, Keeping: &Keeping{}})
	t.Cleanup(func() {
		b.Fail(errTestOver)
		w.end()
		b.goroutines.Wait()
	})
	return b
}

// resume gives b another socket.
func (b *box) resume(t *testing.T, received uint64) *wire {
	t.Helper()
	w := newWire()
	flush, err := b.Resume(w, received, nil)
	if err != nil {
		t.Fatal(err)
	}
	if flush {
		b.Write(MaxRounds)
	}
	return w
}

// names returns the names of the signals that were written.
func (w *wire) names(t *testing.T) string {
	t.Helper()
	var all []string
	for _, batch := range w.written() {
		for _, msg := range batch {
			m, err := protocol.V3_0.Parse([]byte(msg))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, m.Name)
		}
	}
	return strings.Join(all, " ")
}

// What a client keeps above RingBytes counts against its budget, and acknowledgements give
// the room back.
func TestBudgetOfWhatIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size, each = 8 << 10, 4 << 10
		b := newKeeping(t, newWire(), size)
		n := 0
		for ; n < 1000; n++ {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			err := b.send(ctx, "s", strings.Repeat("x", each))
			cancel()
			synctest.Wait()
			if errors.Is(err, context.DeadlineExceeded) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if least, most := RingBytes/(each+100), (RingBytes+size)/each+1; n < least || n > most {
			t.Fatalf("%d messages were sent, want %d to %d", n, least, most)
		}
		sent := make(chan error, 1)
		go func() { sent <- b.send(t.Context(), "s", strings.Repeat("x", each)) }()
		synctest.Wait()
		if !b.Acknowledged(1) {
			t.Fatal("the acknowledgement is refused")
		}
		synctest.Wait()
		select {
		case err := <-sent:
			if err != nil {
				t.Error(err)
			}
		default:
			t.Fatal("an acknowledgement gives no room back")
		}
		// While it is away nothing counts as written: the budget is all there is.
		if !b.Acknowledged(uint64(n) + 1) {
			t.Fatal("the acknowledgement is refused")
		}
		b.Suspend()
		for n = 0; b.send(DontWait, "s", strings.Repeat("x", each)) == nil; n++ {
		}
		if n == 0 || n > size/each {
			t.Errorf("%d messages are queued", n)
		}
	})
}

// A message that was taken out, also while there is no socket, is neither sent nor counted.
func TestRemoveBesideResumption(t *testing.T) {
	w := newWire()
	b := newKeeping(t, w, 1<<20)
	var marks [8]Mark
	add := func(i int) {
		t.Helper()
		m := signal(string(rune('a'+i)), "x")
		if _, err := b.Add(t.Context(), &m, &marks[i]); err != nil {
			t.Fatal(err)
		}
	}
	b.Hold()
	for i := range 4 {
		add(i)
	}
	if !b.Remove(&marks[1]) {
		t.Error("b was not written")
	}
	b.Let()
	b.drain(t.Context())
	b.Suspend()
	for i := 4; i < 8; i++ {
		add(i)
	}
	if b.Remove(&marks[0]) || b.Remove(&marks[3]) || b.Remove(&marks[1]) {
		t.Error("what was written, or removed, was taken out")
	}
	if !b.Remove(&marks[5]) || !b.Remove(&marks[7]) {
		t.Error("what waits cannot be taken out")
	}
	if got := w.names(t); got != "a c d" {
		t.Errorf("first %q", got)
	}
	next := b.resume(t, 1)
	b.drain(t.Context())
	if got := next.names(t); got != "c d e g" {
		t.Errorf("then %q", got)
	}
	if b.Acknowledged(6) || !b.Acknowledged(5) || b.FirstKept() != 6 {
		t.Errorf("%d is kept first", b.FirstKept())
	}
}

// An outbox that keeps nothing takes any acknowledgement; one that keeps takes none of what
// it has not sent.
func TestAcknowledgements(t *testing.T) {
	w := newWire()
	b := newKeeping(t, w, 1<<20)
	if all, unwritten := b.Unacknowledged(); !b.Acknowledged(0) || b.Acknowledged(1) || b.FirstKept() != 1 || all+unwritten != 0 {
		t.Error("before the first message")
	}
	select {
	case <-b.Settled():
	default:
		t.Error("nothing is not acknowledged")
	}
	for _, name := range []string{"a", "b", "c"} {
		if err := b.send(t.Context(), name, "x"); err != nil {
			t.Fatal(err)
		}
	}
	b.drain(t.Context())
	settled := b.Settled()
	for _, step := range []struct {
		received uint64
		ok       bool
		first    uint64
	}{{2, true, 3}, {1, true, 3}, {2, true, 3}, {4, false, 3}, {3, true, 4}} {
		select {
		case <-settled:
			t.Error("settled too early")
		default:
		}
		if ok := b.Acknowledged(step.received); ok != step.ok || b.FirstKept() != step.first {
			t.Errorf("ack of %d: %t, %d is kept first", step.received, ok, b.FirstKept())
		}
	}
	<-settled
	b.Suspend()
	if _, err := b.Resume(newWire(), 2, nil); !errors.Is(err, ErrCannotResume) {
		t.Errorf("the peer has less than it has acknowledged: %v", err)
	}
	if _, err := b.Resume(newWire(), 4, nil); !errors.Is(err, ErrCannotResume) {
		t.Errorf("the peer has more than was sent: %v", err)
	}
	b.resume(t, 3)
	if _, err := b.Resume(newWire(), 3, nil); !errors.Is(err, ErrCannotResume) {
		t.Errorf("there is a socket: %v", err)
	}
	b.Fail(errTestOver)
	if _, err := b.Resume(newWire(), 3, nil); err != errTestOver {
		t.Errorf("after the end: %v", err)
	}
}

// An outbox whose peer does not resume connections keeps nothing, and its senders need not
// wait for acknowledgements.
func TestForgo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newKeeping(t, newWire(), 4<<10)
		if !b.Keeps() {
			t.Error("it does not keep")
		}
		for b.charge() == 0 {
			if err := b.send(t.Context(), "s", strings.Repeat("x", 3<<10)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		settled, sent := b.Settled(), make(chan error, 1)
		go func() { sent <- b.send(t.Context(), "s", strings.Repeat("x", 3<<10)) }()
		synctest.Wait()
		b.Forgo()
		<-settled
		if err := <-sent; err != nil {
			t.Error(err)
		}
		if b.Keeps() || b.FirstKept() != 1 || !b.Acknowledged(99) {
			t.Error("it keeps")
		}
		conn := b.Conn()
		if b.Suspend() != conn {
			t.Error("another connection")
		}
		if err := b.send(t.Context(), "s", "x"); err != nil {
			t.Error(err)
		}
		b.drain(t.Context()) // it is not away
	})
}

// Messages that are written one by one share memory, as long as they are written close to
// one another: the deadlines of requests count from then.
func TestShortMessagesShareMemory(t *testing.T) {
	w := newWire()
	b := newKeeping(t, w, 1<<20)
	clock := &ticking{box: b}
	b.owner = clock
	send := func(size int, shared bool) {
		t.Helper()
		m := signal("s", strings.Repeat("x", size))
		if shared {
			msg, _ := protocol.V3_0.Append(nil, m)
			if err := b.TrySend(msg); err != nil {
				t.Fatal(err)
			}
		} else if err := b.Send(context.Background(), &m); err != nil {
			t.Fatal(err)
		}
		b.drain(t.Context())
	}
	for _, step := range []struct {
		passed  time.Duration
		size    int
		shared  bool
		batches int
	}{
		{0, 10, false, 1},
		{0, 10, false, 1},
		{maxApart, 10, false, 1},
		{1, 10, false, 2},
		{0, maxAbsorbed, false, 3},
		{0, 10, true, 3},
		{0, maxAbsorbed, true, 3}, // its memory is shared with other outboxes
		{0, 10, false, 3},
	} {
		clock.now += step.passed
		send(step.size, step.shared)
		if n := len(b.kept.batches); n != step.batches {
			t.Fatalf("%+v: %d batches", step, n)
		}
	}
	for range maxMessages {
		send(10, false)
	}
	if n := len(b.kept.batches); n != 4 {
		t.Errorf("%d batches", n)
	}
	b.Suspend()
	next := b.resume(t, 0)
	b.drain(t.Context())
	if n := strings.Count(next.names(t), "s"); n != 8+maxMessages {
		t.Errorf("%d messages are sent again", n)
	}
}

// What counts as written while there is no socket is counted when it is written.
func TestCountsWhileAway(t *testing.T) {
	d := newDisplacing(t)
	d.add(signal("s", "x"))
	messages, bytes := d.Counts()
	d.Suspend()
	d.add(signal("s", "x"))
	if m, b := d.Counts(); m != messages || b != bytes {
		t.Errorf("%d messages, %d bytes were written, now %d, %d", messages, bytes, m, b)
	}
	d.again(1)
	welcome, _ := protocol.V3_0.Append(nil, protocol.WelcomeBody{}.Message())
	if m, b := d.Counts(); m != messages+2 || b != 2*bytes+uint64(len(welcome)) {
		t.Errorf("%d messages, %d bytes were written, now %d, %d", messages, bytes, m, b)
	}
}

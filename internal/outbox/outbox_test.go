package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/protocol"
)

// While one write is in progress everything that is added waits, and goes out with
// the next write: under load a few writes carry many messages, in order.
func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.gate = make(chan struct{})
		o := open(t, w, 1<<20)
		const all = 1000
		for i := range all {
			if err := o.send(t.Context(), "", fmt.Sprintf("%04d", i)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if n, _ := o.Counts(); n != 1 {
			t.Errorf("%d messages were handed to the connection while a write blocks", n)
		}
		close(w.gate)
		synctest.Wait()
		writes := w.written()
		if len(writes) != 2 || len(writes[0]) != 1 {
			t.Errorf("%d writes for %d messages, want one and all others", len(writes), all)
		}
		for i, msg := range slices.Concat(writes...) {
			if want := fmt.Sprintf("%04d", i); !strings.HasSuffix(msg, want) {
				t.Fatalf("message %q in the place of %s", msg, want)
			}
		}
	})
}

// One write must not grow so long that it cannot be done within its time limit.
func TestBatchesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.gate = make(chan struct{})
		o := open(t, w, 1<<20)
		for range 20 {
			if err := o.send(t.Context(), "", strings.Repeat("x", 50_000)); err != nil {
				t.Fatal(err)
			}
		}
		close(w.gate)
		synctest.Wait()
		for _, batch := range w.written() {
			size := 0
			for _, msg := range batch {
				size += len(msg)
			}
			if size > maxBatch+50_002 {
				t.Errorf("a write of %d bytes", size)
			}
		}
	})
}

// Messages stay what they were, whatever the memory of their batch goes through.
func TestBatchMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.gate = make(chan struct{})
		o := open(t, w, 1<<20)
		var want []string
		encoded := []byte("\x40\x00ready")
		for i := range 500 {
			text := strings.Repeat(string(rune('a'+i%26)), 1+i*7%3000)
			want = append(want, "\x40\x00"+text, "\x40\x00ready")
			payload := []byte(text)
			err := o.Send(t.Context(), &protocol.Message{Kind: protocol.Signal, Payload: protocol.Payload{Encoding: protocol.UTF8, Data: payload}})
			clear(payload) // it is the caller's again
			if err := errors.Join(err, o.TrySend(encoded)); err != nil {
				t.Fatal(err)
			}
			if i%20 == 0 {
				w.gate <- struct{}{}
				synctest.Wait()
			}
		}
		close(w.gate)
		synctest.Wait()
		if got := slices.Concat(w.written()...); !slices.Equal(got, want) {
			t.Error("messages were changed or lost")
		}
	})
}

func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.gate = make(chan struct{})
		o := open(t, w, 1000)
		msg := make([]byte, 100-addedCost)

		big := make([]byte, 5000) // of any size, as nothing else waits
		if err := o.TrySend(big); err != nil {
			t.Fatal(err)
		}
		if err := o.TrySend(msg); err != ErrFull {
			t.Errorf("got %v", err)
		}
		w.gate <- struct{}{}
		synctest.Wait()
		for i := range 10 {
			if err := o.TrySend(msg); err != nil {
				t.Fatal(i, err)
			}
		}
		if err := o.TrySend(nil); err != ErrFull {
			t.Errorf("even an empty message costs something: got %v", err)
		}

		// Who waits for room does so within its context...
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := o.send(ctx, "", "x"); err != context.DeadlineExceeded || time.Since(began) != time.Second {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		ctx, stop := context.WithCancel(t.Context())
		sent := make(chan error, 1)
		go func() { sent <- o.send(ctx, "", "x") }()
		synctest.Wait()
		stop()
		if err := <-sent; err != context.Canceled {
			t.Errorf("got %v", err)
		}

		// ... and gets it when something was written.
		go func() { sent <- o.send(t.Context(), "", "last") }()
		synctest.Wait()
		if len(sent) > 0 {
			t.Error("Send did not wait")
		}
		close(w.gate)
		if err := <-sent; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if all := slices.Concat(w.written()...); len(all) != 12 || !strings.HasSuffix(all[11], "last") {
			t.Errorf("%d messages were written", len(all))
		}
		if o.bytes != 0 {
			t.Errorf("an empty outbox counts %d bytes", o.bytes)
		}

		// The end of the connection ends the waiting too.
		w.gate = make(chan struct{})
		if err := o.TrySend(big); err != nil {
			t.Fatal(err)
		}
		go func() { sent <- o.send(t.Context(), "", "x") }()
		synctest.Wait()
		o.abort(errTestOver)
		if err := <-sent; err != errTestOver {
			t.Errorf("got %v", err)
		}
	})
}

// A context bounds its caller even if the caller would be the one to write.
func TestSendReturnsInTimeWhileAWriteIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.gate = make(chan struct{})
		o := open(t, w, 1<<20)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := o.send(ctx, "", "x"); err != nil || time.Since(began) != 0 {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
	})
}

// Who writes for others is not kept for ever, though they never stop adding.
func TestFlusherIsRelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.gate = make(chan struct{})
		o := open(t, w, 1<<20)
		sent := make(chan error, 1)
		go func() { sent <- o.send(context.Background(), "", "first") }()
		synctest.Wait()
		for range MaxRounds {
			if err := o.TrySend([]byte("\x40\x00more")); err != nil {
				t.Fatal(err)
			}
			w.gate <- struct{}{}
			synctest.Wait()
		}
		if len(sent) == 0 {
			t.Errorf("Send has not returned after %d writes for others", MaxRounds)
		}
		w.gate <- struct{}{}
		synctest.Wait()
		if n := len(slices.Concat(w.written()...)); n != MaxRounds+1 {
			t.Errorf("%d messages were written, want %d", n, MaxRounds+1)
		}
	})
}

func TestEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.gate = make(chan struct{})
		o := open(t, w, 1<<20)
		o.drain(t.Context()) // nothing to wait for
		if err := o.send(t.Context(), "", "a"); err != nil {
			t.Fatal(err)
		}
		empty := o.Empty()
		synctest.Wait()
		select {
		case <-empty:
			t.Error("empty while a write is in progress")
		default:
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if o.drain(ctx); time.Since(began) != time.Second {
			t.Errorf("Flush returned after %v", time.Since(began))
		}
		w.gate <- struct{}{}
		<-empty

		// What cannot be written any more is not waited for.
		if err := o.send(t.Context(), "", "b"); err != nil {
			t.Fatal(err)
		}
		empty = o.Empty()
		o.abort(errTestOver)
		<-empty
		<-o.Empty()
	})
}

// A message that cannot be composed leaves no trace.
func TestMalformedMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		o := open(t, w, 1<<20)
		o.conf.MaxMessage = 10
		for range 3 {
			if err := o.send(t.Context(), "имя", "x"); !errors.Is(err, protocol.ErrMalformed) {
				t.Errorf("got %v", err)
			}
			if err := o.send(t.Context(), "", "123456789"); !errors.Is(err, protocol.ErrTooBig) || !strings.Contains(err.Error(), "11 bytes instead of at most 10") {
				t.Errorf("got %v", err)
			}
			if err := o.TrySend(make([]byte, 11)); !errors.Is(err, protocol.ErrTooBig) {
				t.Errorf("got %v", err)
			}
			if err := o.send(t.Context(), "", "12345678"); err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		if all := slices.Concat(w.written()...); len(all) != 3 {
			t.Errorf("written: %q", all)
		}
		if n, bytes := o.Counts(); n != 3 || bytes != 30 || o.bytes != 0 {
			t.Errorf("counted %d messages, %d bytes, %d waiting", n, bytes, o.bytes)
		}
	})
}

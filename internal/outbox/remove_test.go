package outbox

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// add adds a signal without writing it and returns its mark.
func (b *box) add(t *testing.T, text string) (at Mark) {
	t.Helper()
	m := signal("", text)
	if _, err := b.Add(DontWait, &m, &at); err != nil {
		t.Fatal(err)
	}
	return at
}

// texts returns the payloads of what was written, without the header of a signal.
func (w *wire) texts() (all []string) {
	for _, msg := range slices.Concat(w.written()...) {
		all = append(all, msg[2:])
	}
	return all
}

// Whatever is removed is not written, and everything else is, in order.
func TestRemove(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		w := newWire()
		o := open(t, w, 1<<30)
		type entry struct {
			text    string
			at      Mark
			removed bool
		}
		var all []*entry
		var handed int // of all
		long := strings.Repeat("x", random.IntN(40_000))
		for i := range 300 {
			switch n := random.IntN(10); {
			case n < 5:
				e := &entry{text: fmt.Sprint(i)}
				if random.IntN(20) == 0 {
					e.text += long
				}
				e.at = o.add(t, e.text)
				all = append(all, e)
			case n < 9 && len(all) > 0:
				e := all[len(all)-1-random.IntN(min(len(all), 20))]
				want := !e.removed && slices.Index(all, e) >= handed
				if o.Remove(&e.at) != want {
					t.Fatalf("seed %d, step %d: removed is not %t", seed, i, want)
				}
				e.removed = e.removed || want
			case random.IntN(4) == 0 && o.flushing:
				o.Write(MaxRounds)
				handed = len(all)
			}
		}
		if o.flushing {
			o.Write(MaxRounds)
		}
		var want []string
		for _, e := range all {
			if !e.removed {
				want = append(want, e.text)
			}
			if o.WasHanded(&e.at) == e.removed {
				t.Fatalf("seed %d: %q was handed: %t", seed, e.text, !e.removed)
			}
		}
		if got := w.texts(); !slices.Equal(got, want) {
			t.Fatalf("seed %d: wrote %q, want %q", seed, got, want)
		}
		if n, _ := o.Counts(); int(n) != len(want) || o.bytes != 0 {
			t.Fatalf("seed %d: counted %d messages of %d, and %d bytes in an empty outbox", seed, n, len(want), o.bytes)
		}
	}
}

// A message that is being written is not removed.
func TestRemoveOfWhatIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.gate = make(chan struct{})
		o := open(t, w, 1<<20)
		at := o.add(t, "1")
		o.Write(0)
		synctest.Wait()
		if o.Remove(&at) || !o.WasHanded(&at) {
			t.Error("it was removed during the write")
		}
		close(w.gate)
		synctest.Wait()
		if o.Remove(&at) || o.Remove(&Mark{}) {
			t.Error("it was removed after the write")
		}
		if got := w.texts(); !slices.Equal(got, []string{"1"}) {
			t.Errorf("wrote %q", got)
		}
		at = o.add(t, "2")
		o.abort(errTestOver)
		if !o.Remove(&at) || o.WasHanded(&at) {
			t.Error("a message that will never be written was not removed")
		}
	})
}

// While a write is stuck, requests that come and are given up hold no memory beyond the
// budget, and none at all if the last that came are given up first.
func TestRemovedHoldNoMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.gate = make(chan struct{})
		const budget = 64 << 10
		o := open(t, w, budget)
		o.add(t, "stuck")
		o.Write(0)
		synctest.Wait()
		for range 100_000 {
			first, second := o.add(t, "first"), o.add(t, "second")
			if !o.Remove(&first) || !o.Remove(&second) {
				t.Fatal("not removed")
			}
		}
		if len(o.queue) != 0 {
			t.Errorf("%d batches are queued", len(o.queue))
		}

		// One that is alive is always behind those that are not.
		last := o.add(t, "alive")
		for i := range 100_000 {
			m := signal("", "next")
			var at Mark
			if _, err := o.Add(DontWait, &m, &at); errors.Is(err, ErrFull) {
				break
			}
			o.Remove(&last)
			if last = at; i == 99_999 {
				t.Error("the outbox takes more than its budget")
			}
		}
		memory := 0
		for _, b := range o.queue {
			for _, p := range b.pieces {
				memory += cap(p)
			}
		}
		if memory > 4*budget {
			t.Errorf("%d bytes are held", memory)
		}
		close(w.gate)
		synctest.Wait()
		if got := w.texts(); !slices.Equal(got, []string{"stuck", "next"}) {
			t.Errorf("wrote %q", got)
		}
	})
}

// Whoever waits for room gets that of a message that is removed.
func TestRemoveMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.gate = make(chan struct{})
		o := open(t, w, 1000)
		o.add(t, "stuck")
		o.Write(0)
		synctest.Wait()
		at := o.add(t, strings.Repeat("x", 900))
		sent := make(chan error, 1)
		go func() { sent <- o.send(t.Context(), "", strings.Repeat("y", 900)) }()
		synctest.Wait()
		if len(sent) > 0 {
			t.Fatal("there was room")
		}
		o.Remove(&at)
		synctest.Wait()
		if len(sent) == 0 {
			t.Error("nobody was woken")
		}
	})
}

// After a write that failed halfway the marks of what was sent are right, even if
// messages of the batch were removed.
func TestRemovedInAPartialWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.fail = &transport.PartialError{Sent: 2, Err: errTestOver}
		o := open(t, w, 1<<20)
		var at [6]Mark
		for i := range at {
			at[i] = o.add(t, fmt.Sprint(i))
		}
		o.Remove(&at[0])
		o.Remove(&at[3])
		o.Write(MaxRounds) // 1, 2 are sent; 4, 5 are not
		for i, want := range []bool{false, true, true, false, false, false} {
			if o.WasHanded(&at[i]) != want {
				t.Errorf("message %d may have been sent: %t", i, !want)
			}
		}
	})
}

// A short message of a caller that cannot wait exceeds the budget, within a limit, and keeps
// its place among the others.
func TestAddBeyond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.gate = make(chan struct{})
		o := newBox(w, Config{Conn: w, Version: protocol.V3_0, Size: 100})
		defer func() {
			o.abort(errTestOver)
			o.goroutines.Wait()
		}()
		o.add(t, "first")
		o.Write(0)
		synctest.Wait()
		before := 0
		for m := signal("", "queued"); ; before++ {
			if _, err := o.Add(DontWait, &m, nil); errors.Is(err, ErrFull) {
				break
			}
		}
		beyond := 0
		for m := (protocol.Message{Kind: protocol.Reply}); ; beyond++ {
			if _, err := o.AddBeyond(&m); err != nil {
				if !errors.Is(err, ErrFull) {
					t.Error(err)
				}
				break
			}
		}
		if n := Beyond / (addedCost + overhead3); beyond < n || o.bytes > 100+Beyond {
			t.Errorf("%d messages, %d bytes", beyond, o.bytes)
		}
		close(w.gate)
		synctest.Wait()
		written := slices.Concat(w.written()[1:]...)
		if len(written) != before+beyond || !strings.HasSuffix(written[before-1], "queued") {
			t.Errorf("%d messages are written", len(written))
		}
		o.abort(errTestOver)
		if _, err := o.AddBeyond(new(protocol.Message)); err != errTestOver {
			t.Error(err)
		}
	})
}

func TestUrgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.gate = make(chan struct{})
		o := newBox(w, Config{Conn: w, Version: protocol.V3_0, Size: 100})
		defer func() {
			o.abort(errTestOver)
			o.goroutines.Wait()
		}()
		at := o.add(t, "first")
		o.Write(0)
		synctest.Wait()
		for {
			m := signal("", "queued")
			if _, err := o.Add(DontWait, &m, nil); errors.Is(err, ErrFull) {
				break
			}
		}
		full := o.bytes
		for i := range 100 {
			m := protocol.Message{Kind: protocol.Credit, Number: uint64(i)}
			if flush, err := o.Urge(&m); err != nil || flush {
				t.Fatalf("flush %t, %v", flush, err)
			}
		}
		if o.bytes != full {
			t.Error("urgent messages count against the budget")
		}
		close(w.gate)
		synctest.Wait()
		if o.Remove(&at) || !o.WasHanded(&at) {
			t.Error("the marks are wrong")
		}
		writes := w.written()
		if len(writes) < 3 || len(writes[1]) != 100 || writes[1][0][0] != 10 || !strings.HasSuffix(writes[2][0], "queued") {
			t.Errorf("wrote %q", writes)
		}
		select {
		case <-o.Empty():
		default:
			t.Error("the outbox is not empty")
		}

		// One alone is written, whoever is the flusher.
		m := protocol.Message{Kind: protocol.Ack}
		flush, err := o.Urge(&m)
		if !flush || err != nil {
			t.Fatal(flush, err)
		}
		select {
		case <-o.Empty():
			t.Error("the outbox is empty before it was written")
		default:
		}
		o.Write(1)
		if n := len(w.written()); n != len(writes)+1 {
			t.Errorf("%d writes", n)
		}
		if n, bytes := o.Counts(); int(n) != len(slices.Concat(w.written()...)) || int(bytes) != len(strings.Join(slices.Concat(w.written()...), "")) {
			t.Errorf("counted %d messages of %d bytes", n, bytes)
		}
		m.Kind = protocol.Heartbeat
		if flush, err := o.Urge(&m); flush || !errors.Is(err, protocol.ErrMalformed) || o.urgent != nil {
			t.Errorf("a message that 3.0 does not have: %t, %v", flush, err)
		}
		o.abort(errTestOver)
		if _, err := o.Urge(&m); err != errTestOver {
			t.Errorf("after the end: %v", err)
		}
	})
}

// Whoever waits until everything is written, or acknowledged, need not wait for what was removed.
func TestNothingIsLeftToWrite(t *testing.T) {
	for _, keeping := range []*Keeping{nil, {}, {Displace: true}} {
		w := newWire()
		b := newBox(w, Config{Conn: w, Version: protocol.V3_0, Size: 1 << 20, Keeping: keeping})
		if err := b.send(t.Context(), "s", "x"); err != nil {
			t.Fatal(err)
		}
		b.drain(t.Context())
		b.Acknowledged(1)
		b.Hold()
		at := b.add(t, "x")
		empty, settled := b.Empty(), b.Settled()
		if !b.Remove(&at) {
			t.Fatal("it is not removed")
		}
		for name, ch := range map[string]<-chan struct{}{"Empty": empty, "Settled": settled} {
			select {
			case <-ch:
			default:
				t.Errorf("%s waits, %+v", name, keeping)
			}
		}
		b.Fail(errTestOver)
	}
}

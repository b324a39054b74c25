package outbox

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/webwire-go/webwire/protocol"
)

// memoryOf returns the memory of a batch, in bytes.
func memoryOf(b *batch) (bytes int) {
	for _, p := range b.pieces {
		bytes += cap(p)
	}
	return bytes + addedCost*cap(b.msgs)
}

// What is kept holds little more memory than its limit, however it was written.
func TestMemoryOfWhatIsKept(t *testing.T) {
	for name, c := range map[string]struct {
		size, together int
		apart          time.Duration
		reused         int // pieces of the batch that is used again
		piece          int // of so many bytes
		shared         int // how many of those together outboxes share
		least          int // messages that are kept
	}{
		"one by one":                 {size: 1000, together: 1, least: 200},
		"in batches with much space": {size: 2000, together: 1, reused: 3, piece: 64 << 10, least: 100},
		"short, now and then":        {size: 10, together: 1, apart: 2 * maxApart, least: 500},
		"short, with much space":     {size: 10, together: 1, apart: 2 * maxApart, reused: 3, piece: 64 << 10, least: 500},
		"together":                   {size: 1000, together: 20, reused: 1, piece: 64 << 10, least: 200},
		"long":                       {size: 50_000, together: 1, reused: 3, piece: 64 << 10, least: 4},
		"shared, with much space":    {size: 10, together: 1, apart: 2 * maxApart, reused: 3, piece: 64 << 10, shared: 1, least: 1000},
		"shared, with some space":    {size: 10, together: 1, apart: 2 * maxApart, reused: 1, piece: 10 << 10, shared: 1, least: 1000},
		"some of them shared":        {size: 10, together: 2, apart: 2 * maxApart, reused: 3, piece: 64 << 10, shared: 1, least: 1000},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDisplacing(t)
			clock := &ticking{box: d.box}
			d.owner = clock
			for range 1100 {
				if c.reused > 0 {
					b := new(batch)
					for range c.reused {
						b.pieces = append(b.pieces, make([]byte, 0, c.piece))
					}
					b.release()
				}
				clock.now += c.apart
				d.Hold()
				for i := range c.together {
					m := signal("s", strings.Repeat("x", c.size))
					if i < c.shared {
						msg, err := protocol.V3_0.Append(nil, m)
						if err == nil {
							err = d.TrySend(msg)
						}
						if err != nil {
							t.Fatal(err)
						}
					} else if _, err := d.Add(DontWait, &m, nil); err != nil {
						t.Fatal(err)
					}
				}
				d.Let()
				d.drain(t.Context())
			}
			k, held := d.kept, 0
			for _, b := range k.batches {
				held += memoryOf(b)
			}
			youngest := memoryOf(k.batches[len(k.batches)-1])
			if most := d.mostHeld() + RingBytes/4; held-youngest > most || youngest > 256<<10 {
				t.Errorf("%d bytes in %d batches, and %d in the youngest", held-youngest, len(k.batches)-1, youngest)
			}
			if n := int(k.end - k.first); n < c.least {
				t.Errorf("only %d messages are kept", n)
			}
		})
	}
}

// What is queued takes at most twice the memory that a small budget allows.
func TestMemoryOfASmallBudget(t *testing.T) {
	const budget = 64 << 10
	for range 10 { // those of an outbox with a large budget
		b := &batch{pieces: [][]byte{make([]byte, 0, 128<<10)}, msgs: make([][]byte, 0, 4000)}
		b.release()
	}
	for _, size := range []int{1000, 5000, 9000, 20_000} {
		b := open(t, newWire(), budget)
		b.mu.Lock()
		b.flushing = true // a write does not return
		b.mu.Unlock()
		var err error
		for err == nil {
			err = b.send(DontWait, "s", strings.Repeat("x", size))
		}
		if !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
		held := 0
		for _, b := range b.queue {
			held += memoryOf(b)
		}
		if held > 2*budget {
			t.Errorf("messages of %d bytes: %d bytes of %d", size, held, budget)
		}
	}
}

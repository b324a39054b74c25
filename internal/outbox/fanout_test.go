package outbox

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A peer to which nothing can be written holds up neither Fanout nor the others.
func TestFanout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const outboxes = 100
		var wires []*wire
		var out Fanout
		began := time.Now()
		for i := range outboxes {
			w := newWire()
			if i%3 > 0 {
				w.gate = make(chan struct{})
			}
			wires = append(wires, w)
			o := open(t, w, 1<<20)
			if err := out.TrySend(&o.Outbox, []byte("x")); err != nil {
				t.Fatal(err)
			}
			if i == 50 {
				o.abort(errTestOver)
			}
		}
		gone := open(t, newWire(), 1<<20)
		gone.abort(errTestOver)
		if err := out.TrySend(&gone.Outbox, []byte("x")); !errors.Is(err, errTestOver) {
			t.Errorf("sent on a connection that is gone: %v", err)
		}
		synctest.Wait()
		for i, w := range wires {
			if len(w.written()) > 0 {
				t.Fatalf("%d was sent before Flush", i)
			}
		}
		out.Flush()
		time.Sleep(20 * patience)
		for i, w := range wires {
			if n := len(w.written()); i%3 == 0 && n != 1 || i%3 > 0 && n != 0 {
				t.Errorf("%d messages to %d after %v", n, i, time.Since(began))
			}
		}
	})
}

package link

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A peer to which nothing can be written holds up neither Fanout nor the others.
func TestFanout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const links = 100
		var wires []*wire
		var out Fanout
		began := time.Now()
		for i := range links {
			w := newWire()
			if i%3 > 0 {
				w.gate = make(chan struct{})
			}
			wires = append(wires, w)
			l := run(t, config(w), ignoring{})
			if err := out.TrySendEncoded(l.Link, []byte("x")); err != nil {
				t.Fatal(err)
			}
			if i == 50 {
				l.Abort(errTestOver)
			}
		}
		gone := run(t, config(newWire()), ignoring{})
		gone.Abort(errTestOver)
		if err := out.TrySendEncoded(gone.Link, []byte("x")); !errors.Is(err, errTestOver) {
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

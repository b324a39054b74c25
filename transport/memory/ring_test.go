package memory

import (
	"bytes"
	"testing"
)

// The ring returns what was stored, in order, wherever its head is.
func FuzzRing(f *testing.F) {
	f.Add([]byte{1, 0, 2, 200, 0, 0, 255, 255, 255, 0, 0, 7})
	f.Fuzz(func(t *testing.T, ops []byte) {
		var r ring
		var want [][]byte
		take := func() {
			if n := r.first(); n != len(want[0]) {
				t.Fatalf("first %d, want %d", n, len(want[0]))
			}
			got := make([]byte, len(want[0]))
			if r.take(got); !bytes.Equal(got, want[0]) {
				t.Fatalf("take %x, want %x", got, want[0])
			}
			want = want[1:]
		}
		for i, op := range ops {
			// An odd byte takes a message, an even one stores one of its size squared.
			if op%2 == 1 {
				if len(want) > 0 {
					take()
				}
				continue
			}
			msg := bytes.Repeat([]byte{byte(i)}, int(op)*int(op))
			if !r.room(len(msg)) {
				continue
			}
			r.put(msg)
			want = append(want, msg)
			if len(r.buf) > maxRing || r.used > maxRing {
				t.Fatalf("a ring of %d bytes", len(r.buf))
			}
		}
		for len(want) > 0 {
			take()
		}
		if r.used != 0 {
			t.Fatalf("%d bytes left", r.used)
		}
	})
}

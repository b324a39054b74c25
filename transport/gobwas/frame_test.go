package gobwas

import (
	"bytes"
	"testing"

	"github.com/gobwas/ws"
)

// parseHeader understands what the library understands, except lengths in more
// bytes than necessary, and never more than there is.
func FuzzParseHeader(f *testing.F) {
	for _, n := range []int{0, 125, 126, 65_535, 65_536, 1 << 40} {
		for _, client := range []bool{false, true} {
			b, _ := appendHeader(nil, ws.OpBinary, n, client)
			f.Add(b)
			f.Add(b[:len(b)-1])
		}
	}
	f.Add([]byte{0x82, 126, 0, 1})
	f.Add([]byte{0x82, 127, 0xFF, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, size, err := parseHeader(b)
		r := bytes.NewReader(b)
		want, wantErr := ws.ReadHeader(r)
		switch {
		case err != nil:
			minimal := want.Length >= 1<<16 || b[1]&0x7F == 126 && want.Length >= 126
			if wantErr == nil && minimal {
				t.Errorf("% x: %v, want %+v", b, err, want)
			}
		case size == 0:
			if wantErr == nil {
				t.Errorf("% x: incomplete, want %+v", b, want)
			}
		case wantErr != nil || h != want || size != len(b)-r.Len():
			t.Errorf("% x: %+v and %d bytes, want %+v and %d, %v", b, h, size, want, len(b)-r.Len(), wantErr)
		}
	})
}

package gobwas

import (
	"bytes"
	"testing"

	"github.com/gobwas/ws"

	"github.com/webwire-go/webwire/transport"
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

func TestCloseRoundTrip(t *testing.T) {
	for _, c := range []transport.CloseError{
		{Status: transport.StatusNone},
		{Status: transport.StatusNormal},
		{Status: 4999, Reason: "größer"},
	} {
		status, reason, err := parseClose(appendClose(nil, c.Status, c.Reason))
		if err != nil || status != c.Status || reason != c.Reason {
			t.Errorf("%+v came back as %d %q, %v", c, status, reason, err)
		}
	}
}

// A reader borrows a large buffer while there is a lot to read, and gives it back
// when that is over.
func TestReaderBuffers(t *testing.T) {
	var stream bytes.Buffer
	r := reader{src: func(p []byte, _ bool) (int, error) { return stream.Read(p) }}
	next := func(size int) {
		t.Helper()
		b, _ := appendHeader(nil, ws.OpBinary, size, false)
		stream.Write(append(b, make([]byte, size)...))
		h, err := r.next()
		if err != nil {
			t.Fatal(err)
		}
		if msg, err := r.payload(nil, &h); err != nil || len(msg) != size {
			t.Fatalf("%d bytes, %v", len(msg), err)
		}
	}
	for range 3 {
		next(20)
	}
	if len(r.buf) != idleBuffer {
		t.Errorf("a calm reader has a buffer of %d bytes", len(r.buf))
	}
	for range 3 {
		next(1000)
	}
	if len(r.buf) != busyBuffer {
		t.Errorf("a busy reader has a buffer of %d bytes", len(r.buf))
	}
	for range calmReads + 2 {
		next(20)
	}
	if len(r.buf) != idleBuffer || r.busy != nil {
		t.Errorf("a reader that calmed down has a buffer of %d bytes", len(r.buf))
	}
}

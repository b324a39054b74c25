package stream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"runtime"
	"testing"

	"github.com/webwire-go/webwire/transport"
)

// source returns the src of a reader that gets at most size bytes of data at a time.
func source(data []byte, size int) func([]byte, bool) (int, error) {
	rest := bytes.NewReader(data)
	return func(p []byte, _ bool) (int, error) { return rest.Read(p[:min(len(p), size)]) }
}

// Whatever arrives, in whatever pieces, is either taken apart into frames that
// give the same bytes again, or refused; memory is in proportion to it.
func FuzzReader(f *testing.F) {
	closeFrame := appendControl(nil, opClose, appendClose(nil, transport.StatusGoingAway, "restart"))
	f.Add([]byte{}, 1)
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 2, 'h', 'i'}, 3)
	f.Add(append(appendControl(appendControl(nil, opPing, nil), opPong, nil), closeFrame...), 5)
	f.Add([]byte{0x7f, 0xff, 0xff, 0xff, 1, 2, 3}, 100)
	f.Add([]byte{0x83, 0, 0, 126, 1, 2, 3}, 100)
	f.Add([]byte{0x83, 0, 0, 1, 1}, 100)
	f.Add([]byte{0x84, 0, 0, 0}, 100)
	f.Add(append(appendHeader(nil, 10_000), make([]byte, 10_003)...), 4096)
	f.Fuzz(func(t *testing.T, data []byte, size int) {
		r := reader{src: source(data, max(size, 1))}
		var again []byte
		for {
			o, length, err := r.next()
			if errors.Is(err, errFrame) {
				if err := r.skip(); !errors.Is(err, io.EOF) {
					t.Fatalf("skip after a malformed frame: %v", err)
				}
				break
			}
			if err != nil {
				break
			}
			if o == opMessage {
				msg, err := r.message(nil)
				if err != nil {
					break
				}
				if len(msg) != length || cap(msg) > firstStep+2*length {
					t.Fatalf("length %d, capacity %d, announced %d", len(msg), cap(msg), length)
				}
				again = append(appendHeader(again, length), msg...)
				continue
			}
			if length > maxControl {
				t.Fatalf("a control frame of %d bytes", length)
			}
			body, err := r.body()
			if err != nil {
				break
			}
			again = appendControl(again, o, body)
			if o != opClose {
				continue
			}
			status, reason, err := parseClose(body)
			if err == nil && !bytes.Equal(appendClose(nil, status, reason), body) {
				t.Fatalf("close %x became %d %q", body, status, reason)
			}
		}
		if !bytes.HasPrefix(data, again) {
			t.Fatalf("read %x\nof   %x", again, data)
		}
		if len(r.buf) > maxBuffer {
			t.Fatalf("a buffer of %d bytes", len(r.buf))
		}
	})
}

// A message that does not come costs no memory, whatever length was announced.
func TestAnnouncedLengthAllocatesNothing(t *testing.T) {
	data := append(binary.BigEndian.AppendUint32(nil, math.MaxInt32), make([]byte, 1<<20)...)
	r := reader{src: source(data, 10_000)}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, length, err := r.next(); length != math.MaxInt32 || err != nil {
		t.Fatal(length, err)
	}
	if _, err := r.message(nil); !errors.Is(err, io.EOF) {
		t.Fatalf("message: %v", err)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 5<<20 {
		t.Errorf("%d bytes allocated for %d", grown, len(data))
	}
}

func TestBrokenSource(t *testing.T) {
	r := reader{src: func([]byte, bool) (int, error) { return 0, nil }}
	if _, _, err := r.next(); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("next: %v", err)
	}
}

// Reading and writing allocate nothing once the buffers are there.
func TestAllocations(t *testing.T) {
	msgs := [][]byte{make([]byte, 10), nil, make([]byte, 100_000)}
	var wire bytes.Buffer
	b := batch{buf: make([]byte, 0, batchSize), conn: discardConn{w: &wire}}
	if err := b.write(msgs); err != nil {
		t.Fatal(err)
	}
	frames := bytes.Clone(wire.Bytes())
	rest := bytes.NewReader(nil)
	r := reader{src: func(p []byte, _ bool) (int, error) { return rest.Read(p) }}
	buf := make([]byte, 0, 100_000)
	if n := testing.AllocsPerRun(100, func() {
		rest.Reset(frames)
		for _, msg := range msgs {
			if _, length, err := r.next(); err != nil || length != len(msg) {
				t.Fatal(length, err)
			}
			if _, err := r.message(buf); err != nil {
				t.Fatal(err)
			}
		}
	}); n > 0.2 {
		t.Errorf("%v allocations to read", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		wire.Reset()
		if err := b.write(msgs); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations to write", n)
	}
}

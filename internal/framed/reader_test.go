package framed

import (
	"bytes"
	"errors"
	"io"
	"math"
	"net"
	"runtime"
	"testing"
	"time"
)

// noDeadlines is a net.Conn that can do nothing but have deadlines set.
type noDeadlines struct{ net.Conn }

func (noDeadlines) SetReadDeadline(time.Time) error { return nil }

// readFunc is an io.Reader.
type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// arriving returns the Reader of a connection on which src arrives.
func arriving(src io.Reader) *Reader {
	c := new(Conn)
	c.Init("test", Wire{Reader: src, Net: noDeadlines{}}, nil)
	return &c.In
}

// take takes a frame that has a header of one byte.
func take(r *Reader, length int, dst []byte) ([]byte, error) {
	r.Next()
	for len(r.Peek()) < 1 {
		if err := r.Fill(); err != nil {
			return nil, err
		}
	}
	r.Begin(1, length)
	return r.Append(dst)
}

// A reader borrows a large buffer while there is a lot to read, and gives it back
// when that is over.
func TestReaderBuffers(t *testing.T) {
	var stream bytes.Buffer
	r := arriving(&stream)
	next := func(size int) {
		t.Helper()
		stream.Write(make([]byte, 1+size))
		if msg, err := take(r, size, nil); err != nil || len(msg) != size {
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

// A message that does not come costs no memory, whatever length was announced.
func TestAnnouncedLengthAllocatesNothing(t *testing.T) {
	const sent = 1 << 20
	rest := bytes.NewReader(make([]byte, sent))
	r := arriving(readFunc(func(p []byte) (int, error) { return rest.Read(p[:min(len(p), 10_000)]) }))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := take(r, math.MaxInt, nil); !errors.Is(err, io.EOF) {
		t.Fatalf("Append: %v", err)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 5*sent {
		t.Errorf("%d bytes allocated for %d", grown, sent)
	}
}

func TestBrokenStream(t *testing.T) {
	r := arriving(readFunc(func([]byte) (int, error) { return 0, nil }))
	for range 2 {
		if err := r.Fill(); !errors.Is(err, io.ErrNoProgress) {
			t.Errorf("Fill: %v", err)
		}
	}
}

// Reading allocates nothing once the buffers are there.
func TestReadingAllocatesNothing(t *testing.T) {
	sizes := []int{10, 0, 100_000}
	frames := make([]byte, 10+100_000+len(sizes))
	rest := bytes.NewReader(nil)
	r := arriving(rest)
	buf := make([]byte, 0, 100_000)
	if n := testing.AllocsPerRun(100, func() {
		rest.Reset(frames)
		for _, size := range sizes {
			if _, err := take(r, size, buf); err != nil {
				t.Fatal(err)
			}
		}
	}); n > 0.2 {
		t.Errorf("%v allocations", n)
	}
}

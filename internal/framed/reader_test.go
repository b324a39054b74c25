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

	"github.com/webwire-go/webwire/transport"
)

// noDeadlines is a net.Conn that can do nothing but have deadlines set.
type noDeadlines struct{ net.Conn }

func (noDeadlines) SetReadDeadline(time.Time) error  { return nil }
func (noDeadlines) SetWriteDeadline(time.Time) error { return nil }

// readFunc is an io.Reader.
type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// arriving returns the Reader of a connection on which src arrives.
func arriving(src io.Reader) *Reader {
	c := new(Conn)
	c.Init("test", Wire{Reader: src, Net: noDeadlines{}}, nil, transport.Limits{})
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

// A reader waits with a large buffer only where it is of use again and again.
func TestReaderBuffers(t *testing.T) {
	const small, large, huge = 20, 300, 100_000
	for _, c := range []struct {
		name     string
		arrivals [][]int // sizes of messages, between which nothing comes
		want     int
	}{
		{"nothing", nil, idleBuffer},
		{"small ones", [][]int{{small}, {small}, {small}}, idleBuffer},
		{"a large one", [][]int{{large}}, idleBuffer},
		{"a larger one", [][]int{{1000}}, idleBuffer},
		{"a huge one", [][]int{{huge}}, idleBuffer},
		{"a batch", [][]int{{small, small, small, small, small, small, small, small, small, small, small, small, small, small}}, idleBuffer},
		{"a large one now and then", [][]int{{large}, {small}, {small}, {large}, {small}, {small}, {large}}, idleBuffer},
		{"large ones", [][]int{{large}, {large}}, busyBuffer},
		{"larger ones", [][]int{{1000}, {1000}}, busyBuffer},
		{"huge ones", [][]int{{huge}, {huge}}, busyBuffer},
		{"as many small ones as large ones", [][]int{{large}, {small}, {large}, {small}, {large}, {small}, {large}}, busyBuffer},
		{"a small one among large ones", [][]int{{large}, {large}, {large}, {small}}, busyBuffer},
		{"large ones and then small ones", [][]int{{large}, {large}, {large}, {large}, {small}, {small}, {small}}, idleBuffer},
	} {
		waiting := 0 // size of the buffer that the reader waits with
		var stream bytes.Buffer
		var r *Reader
		arrivals := c.arrivals
		r = arriving(readFunc(func(p []byte) (int, error) {
			if stream.Len() == 0 {
				waiting = len(r.buf)
				if len(arrivals) == 0 {
					return 0, io.EOF
				}
				for _, size := range arrivals[0] {
					stream.Write(make([]byte, 1+size))
				}
				arrivals = arrivals[1:]
			}
			return stream.Read(p)
		}))
		for _, sizes := range c.arrivals {
			for _, size := range sizes {
				if msg, err := take(r, size, nil); err != nil || len(msg) != size {
					t.Fatalf("%s: %d bytes, %v", c.name, len(msg), err)
				}
			}
		}
		if err := r.Fill(); err != io.EOF {
			t.Fatalf("%s: Fill: %v", c.name, err)
		}
		if waiting != c.want || (r.busy != nil) != (waiting == busyBuffer) {
			t.Errorf("%s: the reader waits with a buffer of %d bytes, want %d", c.name, waiting, c.want)
		}
	}
}

// What arrives at once is read at once, by a reader that is used to it.
func TestReaderReadsMuch(t *testing.T) {
	const size, count = 300, 1000
	reads := 0
	rest := bytes.NewReader(make([]byte, count*(1+size)))
	r := arriving(readFunc(func(p []byte) (int, error) { reads++; return rest.Read(p) }))
	for range count {
		if _, err := take(r, size, nil); err != nil {
			t.Fatal(err)
		}
	}
	if most := count*(1+size)/busyBuffer + 10; reads > most {
		t.Errorf("%d reads, want at most %d", reads, most)
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

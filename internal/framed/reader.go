package framed

import (
	"io"
	"math"
	"sync"
)

const (
	idleBuffer = 256      // of every connection
	busyBuffer = 16 << 10 // of one that has a lot to read, borrowed

	firstStep = 64 << 10 // memory for a longer payload grows from this with what arrives
)

// What arrives between two waits for the network heats a reader if it is too much for
// an idle buffer, and cools it otherwise. A warm one waits with a busy buffer: that
// saves the system call which reads the beginning into an idle one.
const (
	heating = 2
	cooling = 1
	warm    = 4
	hottest = 6
)

// busyBuffers is shared by all connections.
var busyBuffers = sync.Pool{New: func() any { return new([busyBuffer]byte) }}

// A Reader takes frames from the byte stream of its connection. It has one buffer. Memory
// for a message grows as the message arrives: first 64 KiB, then at most twice the bytes
// that have arrived, whatever length the peer announces.
//
// A frame is read by calling Next, then Peek and Fill until its header is complete, then
// Begin, and then Body, Append or Skip.
type Reader struct {
	// Open reports whether a fragmented message has begun and not ended.
	Open bool
	lost bool   // where frames begin is unknown, all is dropped
	heat int8   // of late; from 0 to hottest
	got  uint16 // bytes that were read since the last wait, at most idleBuffer+1

	conn *Conn
	buf  []byte
	busy *[busyBuffer]byte // what buf is if it is borrowed
	idle *[idleBuffer]byte // what buf is otherwise
	r, w int               // buf[r:w] is read from the network and not yet taken
	left int               // what remains of the payload of the present frame
	err  error             // of the network, final

	silent   moment // the read deadline that is set
	slow     moment // when the current message is too slow without more progress; never if it has not begun
	progress int    // bytes of its payload that arrived since slow was set
}

// Next begins the next frame.
func (r *Reader) Next() {
	if !r.Open {
		r.slow = never
	}
}

// Peek returns the bytes that were read from the network and not taken yet.
func (r *Reader) Peek() []byte { return r.buf[r.r:r.w] }

// Begin takes the header, of header bytes, of a frame with a payload of length bytes.
func (r *Reader) Begin(header, length int) {
	r.r += header
	r.left = length
}

// lose makes Skip drop all that is still to come.
func (r *Reader) lose() {
	r.lost = true
	r.left = math.MaxInt
}

// Body takes the payload of a control frame. The result is valid until the next call.
func (r *Reader) Body() ([]byte, error) {
	for r.w-r.r < r.left {
		if err := r.Fill(); err != nil {
			return nil, err
		}
	}
	body := r.buf[r.r : r.r+r.left]
	r.r += r.left
	r.left = 0
	return body, nil
}

// Append takes the payload and appends it to dst, which contains the preceding fragments of
// the message.
func (r *Reader) Append(dst []byte) ([]byte, error) {
	have := len(dst)
	if room := min(r.left, max(firstStep, have)); cap(dst)-have < room {
		// More fragments may follow, each of which would be as costly as all
		// before it together if there was room for one only.
		dst = grow(dst, max(room, min(have, r.conn.Limits.MaxMessageSize-have)))
	}
	for r.left > 0 {
		if len(dst) == cap(dst) {
			dst = grow(dst, min(r.left, len(dst)))
		}
		if r.r == r.w && r.left < len(r.buf) {
			// What follows the frame arrives with it.
			if err := r.Fill(); err != nil {
				return nil, err
			}
		}
		free := dst[len(dst):min(cap(dst), len(dst)+r.left)]
		n := copy(free, r.buf[r.r:r.w])
		r.r += n
		if n == 0 {
			var err error
			if n, err = r.read(free); err != nil {
				return nil, err
			}
			r.r, r.w = 0, 0 // what was read into the buffer last says nothing any more
		}
		dst = dst[:len(dst)+n]
		r.left -= n
		r.progress += n
	}
	return dst, nil
}

// grow returns dst with room for n more bytes, no more than that.
func grow(dst []byte, n int) []byte {
	return append(make([]byte, 0, len(dst)+n), dst...)
}

// Skip takes the rest of the frame and discards it.
func (r *Reader) Skip() error {
	for r.left > 0 {
		if r.r == r.w {
			if err := r.Fill(); err != nil {
				return err
			}
		}
		n := min(r.left, r.w-r.r)
		r.r += n
		if !r.lost {
			r.left -= n
		}
	}
	return nil
}

// Fill reads from the network into the buffer once. The buffer has room for the largest
// control frame behind any incomplete one.
func (r *Reader) Fill() error {
	switch {
	case r.r == r.w:
		r.chooseBuffer()
	case len(r.buf)-r.w < maxHeader+MaxControl:
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
	}
	n, err := r.read(r.buf[r.w:])
	r.w += n
	return err
}

// chooseBuffer gives an empty reader the buffer that suits the traffic.
func (r *Reader) chooseBuffer() {
	full := r.w == len(r.buf) && r.w > 0 // the last read could have brought more
	r.r, r.w = 0, 0
	if !full && !r.Open && r.left == 0 {
		// The network was found empty, so the next read waits, perhaps for long.
		if r.measure(); r.heat < warm {
			r.release()
		}
	}
	switch {
	case r.busy != nil:
	case full || r.heat >= warm:
		r.busy = busyBuffers.Get().(*[busyBuffer]byte)
		r.buf = r.busy[:]
	default:
		if r.idle == nil {
			r.idle = new([idleBuffer]byte)
		}
		r.buf = r.idle[:]
	}
}

// measure takes the heat.
func (r *Reader) measure() {
	if r.got > idleBuffer {
		r.heat = min(r.heat+heating, hottest)
	} else {
		r.heat = max(r.heat-cooling, 0)
	}
	r.got = 0
}

// release gives a borrowed buffer back, if there is one. What was in it is lost.
func (r *Reader) release() {
	if r.busy != nil {
		busyBuffers.Put(r.busy)
	}
	r.busy, r.buf, r.r, r.w = nil, nil, 0, 0
}

// read reads at least one byte from the network or fails for good.
func (r *Reader) read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	const most = 100 // empty reads, before a byte stream is considered broken
	within := r.Open || r.left > 0 || r.r < r.w
	for range most {
		n, err := r.conn.receive(p, within)
		if err != nil {
			r.err = err
		}
		if n > 0 {
			r.got = uint16(min(int(r.got)+n, idleBuffer+1))
			r.conn.arrived()
			if rest := &r.conn.rest; *rest > 0 {
				if *rest -= int32(n); *rest <= 0 {
					r.err = errDrained
				}
			}
			return n, nil // the error is for the next call
		}
		if err != nil {
			return 0, err
		}
	}
	r.err = io.ErrNoProgress
	return 0, r.err
}

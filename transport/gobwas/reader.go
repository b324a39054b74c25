package gobwas

import (
	"io"
	"math"
	"slices"
	"sync"

	"github.com/gobwas/ws"
)

const (
	idleBuffer = 256      // of every connection
	busyBuffer = 16 << 10 // of one that has a lot to read, borrowed
	calmReads  = 8        // reads that an idle buffer would do for, until a busy one goes back

	firstStep = 64 << 10 // memory for a longer payload grows from this with what arrives
)

// busyBuffers is shared by all connections.
var busyBuffers = sync.Pool{New: func() any { return new([busyBuffer]byte) }}

// A reader takes frames out of a byte stream. It holds one buffer, and no more
// memory than twice what arrived, whatever a peer announces.
type reader struct {
	// src reads from the stream; within tells that a frame has begun.
	src func(p []byte, within bool) (int, error)

	buf   []byte
	busy  *[busyBuffer]byte // what buf is if it is borrowed
	idle  *[idleBuffer]byte // what buf is otherwise
	calm  int               // reads in a row that the idle buffer would have done for
	r, w  int               // buf[r:w] is read from src and not yet taken
	left  int               // what remains of the payload of the present frame
	err   error             // of src, final
	drops bool              // where frames begin is unknown, all is dropped
}

// next takes the header of the next frame; payload, control or skip take the
// rest of it. After an error that is not of the stream only skip makes sense.
func (r *reader) next() (h ws.Header, err error) {
	for {
		h, size, err := parseHeader(r.buf[r.r:r.w])
		if err != nil {
			return h, r.confused(err)
		}
		if size > 0 {
			r.r += size
			r.left = int(min(h.Length, math.MaxInt))
			return h, nil
		}
		if err := r.fill(r.w > r.r); err != nil {
			return h, err
		}
	}
}

// confused makes skip drop all that is still to come.
func (r *reader) confused(err error) error {
	r.drops = true
	r.left = math.MaxInt
	return err
}

// control takes the payload of a control frame. It is valid until the next call.
func (r *reader) control(h *ws.Header) ([]byte, error) {
	for r.w-r.r < r.left {
		if err := r.fill(true); err != nil {
			return nil, err
		}
	}
	payload := r.buf[r.r : r.r+r.left]
	r.r += r.left
	r.left = 0
	if h.Masked {
		ws.Cipher(payload, h.Mask, 0)
	}
	return payload, nil
}

// payload appends the payload of a data frame to dst.
func (r *reader) payload(dst []byte, h *ws.Header) ([]byte, error) {
	start := len(dst)
	if cap(dst)-start < r.left {
		dst = slices.Grow(dst, min(r.left, max(firstStep, start)))
	}
	for r.left > 0 {
		if len(dst) == cap(dst) {
			dst = slices.Grow(dst, min(r.left, len(dst)))
		}
		if r.r == r.w && r.left < len(r.buf) {
			// What follows the frame arrives with it.
			if err := r.fill(true); err != nil {
				return nil, err
			}
		}
		free := dst[len(dst):min(cap(dst), len(dst)+r.left)]
		n := copy(free, r.buf[r.r:r.w])
		r.r += n
		if n == 0 {
			var err error
			if n, err = r.read(free, true); err != nil {
				return nil, err
			}
		}
		dst = dst[:len(dst)+n]
		r.left -= n
	}
	if h.Masked {
		ws.Cipher(dst[start:], h.Mask, 0)
	}
	return dst, nil
}

// skip takes the rest of a frame and drops it.
func (r *reader) skip() error {
	for r.left > 0 {
		if r.r == r.w {
			if err := r.fill(true); err != nil {
				return err
			}
		}
		n := min(r.left, r.w-r.r)
		r.r += n
		if !r.drops {
			r.left -= n
		}
	}
	return nil
}

// fill reads once into the buffer, which has room for the largest control frame
// behind any part of one.
func (r *reader) fill(within bool) error {
	switch {
	case r.r == r.w:
		r.chooseBuffer()
	case len(r.buf)-r.w < maxHeader+maxControl:
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
	}
	n, err := r.read(r.buf[r.w:], within)
	r.w += n
	return err
}

// chooseBuffer gives an empty reader the buffer that suits the traffic.
func (r *reader) chooseBuffer() {
	full := r.w == len(r.buf) && r.w > 0
	if r.w > idleBuffer {
		r.calm = 0
	} else {
		r.calm++
	}
	r.r, r.w = 0, 0
	switch {
	case r.busy == nil && full: // the last read could have brought more
		r.busy = busyBuffers.Get().(*[busyBuffer]byte)
		r.buf = r.busy[:]
		r.calm = 0
	case r.busy != nil && r.calm > calmReads:
		r.release()
		r.buf = r.idle[:]
	case r.buf == nil:
		if r.idle == nil {
			r.idle = new([idleBuffer]byte)
		}
		r.buf = r.idle[:]
	}
}

// release gives a borrowed buffer back. What was in it is lost.
func (r *reader) release() {
	if r.busy != nil {
		busyBuffers.Put(r.busy)
	}
	r.busy, r.buf, r.r, r.w = nil, nil, 0, 0
}

// read reads at least one byte from src or fails for good.
func (r *reader) read(p []byte, within bool) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	const most = 100 // empty reads, before a source is considered broken
	for range most {
		n, err := r.src(p, within)
		if err != nil {
			r.err = err
		}
		if n > 0 {
			return n, nil // the error is for the next call
		}
		if err != nil {
			return 0, err
		}
	}
	r.err = io.ErrNoProgress
	return 0, r.err
}

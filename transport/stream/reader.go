package stream

import (
	"io"
	"math"
)

const (
	minBuffer = 4 << 10  // of an idle connection
	maxBuffer = 32 << 10 // of a busy one
	firstStep = 64 << 10 // memory for a longer message grows from this with what arrives
)

// A reader takes frames out of a byte stream. It holds one buffer, and no more
// memory than twice what arrived, whatever a peer announces.
type reader struct {
	// src reads from the stream; within tells that a frame has begun.
	src func(p []byte, within bool) (int, error)

	buf  []byte
	r, w int   // buf[r:w] is read from src and not yet taken
	left int   // what remains of the body of the current frame
	err  error // of src, final
}

// next takes the header of the next frame; body, message or skip take the rest
// of it. After errFrame nothing but skip makes sense.
func (r *reader) next() (o op, length int, err error) {
	for r.w-r.r < headerSize {
		if err := r.fill(r.w > r.r); err != nil {
			return 0, 0, err
		}
	}
	o, length, err = parseHeader(r.buf[r.r:])
	r.r += headerSize
	r.left = length
	if err != nil {
		r.left = math.MaxInt // where the next frame begins is unknown
	}
	return o, length, err
}

// body takes the rest of a control frame. It is valid until the next call.
func (r *reader) body() ([]byte, error) {
	for r.w-r.r < r.left {
		if err := r.fill(true); err != nil {
			return nil, err
		}
	}
	body := r.buf[r.r : r.r+r.left]
	r.r += r.left
	r.left = 0
	return body, nil
}

// message takes the rest of a message, into dst if its capacity suffices.
func (r *reader) message(dst []byte) ([]byte, error) {
	dst = dst[:0]
	if cap(dst) < r.left {
		dst = make([]byte, 0, min(r.left, firstStep))
	}
	for r.left > 0 {
		if len(dst) == cap(dst) {
			grown := make([]byte, len(dst), len(dst)+min(r.left, len(dst)))
			copy(grown, dst)
			dst = grown
		}
		if r.r == r.w && r.left < len(r.buf) {
			// What follows the message arrives with it.
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
		r.left -= n
	}
	return nil
}

// fill reads once into the buffer, which has room for the largest control frame
// behind any part of one.
func (r *reader) fill(within bool) error {
	switch {
	case r.buf == nil:
		r.buf = make([]byte, minBuffer)
	case r.r == r.w:
		if r.w == len(r.buf) && len(r.buf) < maxBuffer {
			r.buf = make([]byte, 2*len(r.buf)) // the last read could have brought more
		}
		r.r, r.w = 0, 0
	case r.r > 0 && len(r.buf)-r.w < headerSize+maxControl:
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
	}
	n, err := r.read(r.buf[r.w:], within)
	r.w += n
	return err
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

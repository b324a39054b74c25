package memory

import "encoding/binary"

const (
	minRing = 512
	maxRing = 64 << 10

	prefixSize = 4 // of the length before each message
)

// A ring is a queue of messages that are stored one behind the other in one
// circle of bytes, which grows from nothing to maxRing. The zero ring is empty.
type ring struct {
	buf  []byte // its length is zero or a power of two
	head int    // the index of the first byte that is used
	used int
}

// fits reports whether a message of n bytes could be stored in an empty ring.
func fits(n int) bool { return n <= maxRing-prefixSize }

// room reports whether a message of n bytes can be stored now.
func (r *ring) room(n int) bool { return n <= maxRing-prefixSize-r.used }

// put stores a copy of msg, for which there must be room.
func (r *ring) put(msg []byte) {
	need := r.used + prefixSize + len(msg)
	if need > len(r.buf) {
		r.grow(need)
	}
	var prefix [prefixSize]byte
	binary.BigEndian.PutUint32(prefix[:], uint32(len(msg)))
	r.write(prefix[:])
	r.write(msg)
}

// first returns the length of the first message of a ring that is not empty.
func (r *ring) first() int {
	n := 0
	for i := range prefixSize {
		n = n<<8 | int(r.buf[(r.head+i)&(len(r.buf)-1)])
	}
	return n
}

// take moves the first message to dst, whose length is that of the message.
func (r *ring) take(dst []byte) {
	r.skip(prefixSize)
	n := copy(dst, r.buf[r.head:])
	copy(dst[n:], r.buf)
	r.skip(len(dst))
}

func (r *ring) write(b []byte) {
	tail := (r.head + r.used) & (len(r.buf) - 1)
	n := copy(r.buf[tail:], b)
	copy(r.buf, b[n:])
	r.used += len(b)
}

func (r *ring) skip(n int) {
	r.used -= n
	if r.used == 0 {
		r.head = 0 // most often the next message is in one piece then
		return
	}
	r.head = (r.head + n) & (len(r.buf) - 1)
}

func (r *ring) grow(need int) {
	size := max(minRing, len(r.buf))
	for size < need {
		size *= 2
	}
	grown := make([]byte, size)
	n := copy(grown, r.buf[r.head:min(len(r.buf), r.head+r.used)])
	copy(grown[n:], r.buf[:r.used-n])
	r.buf, r.head = grown, 0
}

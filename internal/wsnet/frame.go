package wsnet

import (
	"encoding/binary"
	"sync/atomic"
)

// The opcodes of RFC 6455, section 5.2, that need attention.
const (
	opContinuation = 0x0
	opBinary       = 0x2
	opControl      = 0x8 // this bit tells control frames from data frames
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

// finBit in the first byte of a frame says that it ends its message, maskBit in
// the second that it is masked.
const (
	finBit  = 0x80
	maskBit = 0x80
)

// maxHeader is the length of the longest frame header.
const maxHeader = 14

// frame follows the frames in a stream of bytes that arrives in pieces. It
// looks at nothing but the headers. The zero value is at the start of a frame.
type frame struct {
	head [maxHeader]byte
	have int    // bytes of the header that have been seen
	left uint64 // bytes of the payload that have not
}

// opcode returns the opcode of the frame whose first byte was seen last.
func (f *frame) opcode() byte { return f.head[0] & 0xF }

// started reports whether some but not all of a frame has been seen.
func (f *frame) started() bool { return f.have > 0 }

// advance takes bytes of at most one frame from the start of p. It returns how
// many, and whether the frame ended with them. It takes at least one if p has any.
func (f *frame) advance(p []byte) (n int, ended bool) {
	for n < len(p) && !f.complete() {
		f.head[f.have] = p[n]
		f.have++
		n++
		if f.complete() {
			f.left = f.length()
		}
	}
	if !f.complete() {
		return n, false
	}
	take := min(uint64(len(p)-n), f.left)
	f.left -= take
	n += int(take)
	if f.left > 0 {
		return n, false
	}
	f.have = 0
	return n, true
}

// complete reports whether the whole header has been seen.
func (f *frame) complete() bool {
	if f.have < 2 {
		return false
	}
	size := 2
	switch f.head[1] & 0x7F {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if f.head[1]&maskBit != 0 {
		size += 4
	}
	return f.have >= size
}

// length returns the payload length that a complete header announces.
func (f *frame) length() uint64 {
	switch n := f.head[1] & 0x7F; n {
	case 126:
		return uint64(binary.BigEndian.Uint16(f.head[2:]))
	case 127:
		return binary.BigEndian.Uint64(f.head[2:])
	default:
		return uint64(n)
	}
}

// messages follows the messages in a stream of bytes that arrives in pieces.
// The zero value is between two messages. What is against the protocol is left to
// the library to find.
type messages struct {
	frame
	open   bool          // the last data frame did not end its message
	size   uint64        // bytes that the frames of the present message have announced
	tooBig bool          // one announced more than the limit
	ends   atomic.Uint64 // messages that have ended, before one was too big
}

// scan takes all of p. No message in it may announce more than limit bytes.
func (m *messages) scan(p []byte, limit uint64) {
	for len(p) > 0 {
		announced := m.complete()
		n, ended := m.advance(p)
		if !announced && (ended || m.complete()) && m.opcode()&opControl == 0 {
			if m.opcode() != opContinuation {
				m.size = 0
			}
			length := m.length()
			if length > limit || m.size > limit-length {
				m.tooBig = true
			}
			m.size += length
			m.open = m.head[0]&finBit == 0
		}
		if ended && !m.open && !m.tooBig && m.opcode()&opControl == 0 {
			m.ends.Add(1)
		}
		p = p[n:]
	}
}

// unfinished reports whether a frame or a message has begun and not ended.
func (m *messages) unfinished() bool { return m.started() || m.open }

// An empty ping, from a server and from a client. The payload of what a client
// sends is masked; there is none here, so the key does not matter.
var (
	serverPing = []byte{0x80 | opPing, 0}
	clientPing = []byte{0x80 | opPing, 0x80, 0, 0, 0, 0}
)

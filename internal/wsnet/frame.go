package wsnet

import (
	"encoding/binary"
	"sync/atomic"
)

// The opcodes of RFC 6455, section 5.2, that need attention.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opControl      = 0x8 // this bit tells control frames from data frames
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

// finBit in the first byte of a frame says that it ends its message, rsvBits are for
// extensions, of which there are none; maskBit in the second byte says that the frame is
// masked.
const (
	finBit  = 0x80
	rsvBits = 0x70
	maskBit = 0x80
)

// maxControl is the length of the longest payload of a control frame.
const maxControl = 125

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
// the library to find; nothing behind it is counted, as nothing behind a close frame
// or a message that is too big.
type messages struct {
	frame
	open   bool          // the last data frame did not end its message
	size   uint64        // bytes that the frames of the present message have announced
	tooBig bool          // one announced more than the limit
	over   bool          // no message comes any more
	ends   atomic.Uint64 // messages that have ended
	text   atomic.Uint64 // number of the last text, ended or not; the first message has number one
}

// scan takes all of p, which arrived at an end of that role. No message in it may
// announce more than limit bytes.
func (m *messages) scan(p []byte, limit uint64, role Role) {
	for len(p) > 0 {
		announced := m.complete()
		n, ended := m.advance(p)
		if !announced && (ended || m.complete()) {
			m.begin(limit, role)
		}
		if ended && !m.open && !m.over && m.opcode()&opControl == 0 {
			m.ends.Add(1)
		}
		p = p[n:]
	}
}

// begin takes note of the frame whose header has just been completed.
func (m *messages) begin(limit uint64, role Role) {
	m.over = m.over || m.opcode() == opClose || !m.allowed(role)
	if m.opcode()&opControl != 0 {
		return
	}
	if m.opcode() != opContinuation {
		m.size = 0
	}
	length := m.length()
	if length > limit || m.size > limit-length {
		m.tooBig, m.over = true, true
	}
	m.size += length
	m.open = m.head[0]&finBit == 0
	if m.opcode() == opText && !m.over {
		m.text.Store(m.ends.Load() + 1)
	}
}

// allowed reports whether the standard lets such a frame arrive at this point, at an end
// of that role. Lengths in more bytes than necessary are let pass.
func (m *messages) allowed(role Role) bool {
	first, second := m.head[0], m.head[1]
	if first&rsvBits != 0 || (second&maskBit != 0) == (role == Client) {
		return false
	}
	switch m.opcode() {
	case opContinuation:
		return m.open
	case opText, opBinary:
		return !m.open
	case opClose, opPing, opPong:
		return first&finBit != 0 && second&^maskBit <= maxControl
	}
	return false
}

// unfinished reports whether a frame or a message has begun and not ended.
func (m *messages) unfinished() bool { return m.started() || m.open }

// An empty ping, from a server and from a client. The payload of what a client
// sends is masked; there is none here, so the key does not matter.
var (
	serverPing = []byte{0x80 | opPing, 0}
	clientPing = []byte{0x80 | opPing, 0x80, 0, 0, 0, 0}
)

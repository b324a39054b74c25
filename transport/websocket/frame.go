package websocket

import (
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"

	"github.com/webwire-go/webwire/internal/framed"
)

// An opcode says what a frame is for (RFC 6455, section 5.2).
type opcode byte

const (
	opContinuation opcode = 0x0
	opText         opcode = 0x1
	opBinary       opcode = 0x2
	opClose        opcode = 0x8
	opPing         opcode = 0x9
	opPong         opcode = 0xA
)

func (o opcode) isControl() bool { return o >= opClose }

func (o opcode) known() bool { return o <= opBinary || o >= opClose && o <= opPong }

// The opcodes of control frames, by what they are to package framed, and back.
var (
	opcodes = [...]opcode{framed.OpPing: opPing, framed.OpPong: opPong, framed.OpClose: opClose}
	ops     = [...]framed.Op{opPing: framed.OpPing, opPong: framed.OpPong, opClose: framed.OpClose}
)

// Bits of the first two bytes of a header.
const (
	finBit  = 0x80
	rsvBits = 0x70
	opBits  = 0x0F
	maskBit = 0x80
)

// maxHeader is the length of the longest header: two bytes, a length of 64 bits, a mask.
const maxHeader = 14

// header is the header of a frame.
type header struct {
	fin    bool
	rsv    byte // the reserved bits where they are, zero if none is set
	op     opcode
	masked bool
	mask   [4]byte
	length int64
}

var (
	errLength   = errors.New("a length in more bytes than it needs, or below zero")
	errRsv      = errors.New("reserved bits are set, and no extension was agreed on")
	errOpcode   = errors.New("an unknown opcode")
	errControl  = errors.New("a control frame that is fragmented or longer than 125 bytes")
	errUnmasked = errors.New("a frame of a client without a mask")
	errMasked   = errors.New("a frame of a server with a mask")
	errNoBegin  = errors.New("the continuation of no message")
	errNoEnd    = errors.New("a new message before the end of the last one")
)

// check returns why a frame may not come from the peer. client says that this side is
// the client, open that a message has begun.
func (h *header) check(client, open bool) error {
	switch {
	case h.rsv != 0:
		return errRsv
	case !h.op.known():
		return errOpcode
	case h.op.isControl() && (!h.fin || h.length > framed.MaxControl):
		return errControl
	case h.masked && client:
		return errMasked
	case !h.masked && !client:
		return errUnmasked
	case h.op == opContinuation && !open:
		return errNoBegin
	case h.op != opContinuation && !h.op.isControl() && open:
		return errNoEnd
	}
	return nil
}

// sizes returns the lengths of the header at the start of b and of the payload
// behind it. Both are zero if b does not have all of the header.
func sizes(b []byte) (header int, payload int64, err error) {
	if len(b) < 2 {
		return 0, 0, nil
	}
	header, payload = 2, int64(b[1]&^maskBit)
	least := int64(0)
	switch {
	case payload == 126 && len(b) >= 4:
		header, payload, least = 4, int64(binary.BigEndian.Uint16(b[2:])), 126
	case payload == 127 && len(b) >= 10:
		header, payload, least = 10, int64(binary.BigEndian.Uint64(b[2:])), 1<<16
	case payload >= 126:
		return 0, 0, nil
	}
	if b[1]&maskBit != 0 {
		header += 4
	}
	if len(b) < header {
		return 0, 0, nil
	}
	if payload < least {
		err = errLength
	}
	return header, payload, err
}

// parseHeader returns the header at the start of b and its size in bytes. The
// size is zero if b does not have all of it.
func parseHeader(b []byte) (h header, size int, err error) {
	size, length, err := sizes(b)
	if size == 0 || err != nil {
		return h, size, err
	}
	h = header{
		fin:    b[0]&finBit != 0,
		rsv:    b[0] & rsvBits,
		op:     opcode(b[0] & opBits),
		masked: b[1]&maskBit != 0,
		length: length,
	}
	if h.masked {
		h.mask = [4]byte(b[size-4:])
	}
	return h, size, nil
}

// appendHeader appends the header of a frame that is not a fragment, with a mask
// if it is a client's.
func appendHeader(dst []byte, op opcode, length int, client bool) (_ []byte, mask [4]byte) {
	bit := byte(0)
	if client {
		bit = maskBit
	}
	dst = append(dst, finBit|byte(op))
	switch {
	case length < 126:
		dst = append(dst, bit|byte(length))
	case length <= math.MaxUint16:
		dst = binary.BigEndian.AppendUint16(append(dst, bit|126), uint16(length))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, bit|127), uint64(length))
	}
	if client {
		// Masks keep what a program sends from looking like HTTP to what is between
		// the two; they need not be secret from the program.
		binary.NativeEndian.PutUint32(mask[:], rand.Uint32())
		dst = append(dst, mask[:]...)
	}
	return dst, mask
}

// appendControl appends a control frame.
func appendControl(dst []byte, op opcode, payload []byte, client bool) []byte {
	dst, mask := appendHeader(dst, op, len(payload), client)
	start := len(dst)
	dst = append(dst, payload...)
	if client {
		cipher(dst[start:], mask, 0)
	}
	return dst
}

// keyLength is for how many bytes a mask is repeated at once: XORBytes is vectorised,
// and fastest for a few cache lines.
const keyLength = 256

// cipher masks or unmasks p, which is what begins at offset in its payload.
func cipher(p []byte, mask [4]byte, offset int) {
	k := binary.LittleEndian.Uint32(mask[:])
	shift := 8 * (offset % 4)
	k = k>>shift | k<<((32-shift)%32)
	wide := uint64(k)<<32 | uint64(k)
	if len(p) <= keyLength { // up to here to repeat the key costs more than XORBytes saves
		for ; len(p) >= 32; p = p[32:] {
			q := p[:32]
			binary.LittleEndian.PutUint64(q, binary.LittleEndian.Uint64(q)^wide)
			binary.LittleEndian.PutUint64(q[8:], binary.LittleEndian.Uint64(q[8:])^wide)
			binary.LittleEndian.PutUint64(q[16:], binary.LittleEndian.Uint64(q[16:])^wide)
			binary.LittleEndian.PutUint64(q[24:], binary.LittleEndian.Uint64(q[24:])^wide)
		}
		for ; len(p) >= 8; p = p[8:] {
			binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^wide)
		}
		for i := range p {
			p[i] ^= byte(wide >> (8 * (i % 4)))
		}
		return
	}
	var key [keyLength]byte
	for i := 0; i < keyLength; i += 8 {
		binary.LittleEndian.PutUint64(key[i:], wide)
	}
	for len(p) > 0 {
		n := subtle.XORBytes(p, p, key[:min(keyLength, len(p))])
		p = p[n:]
	}
}

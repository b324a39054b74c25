package gobwas

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"

	"github.com/gobwas/ws"

	"github.com/webwire-go/webwire/internal/framed"
)

const maxHeader = ws.MaxHeaderSize

// Bits of the first two bytes of a header.
const (
	finBit  = 0x80
	opBits  = 0x0F
	maskBit = 0x80
)

// The opcodes of control frames, by what they are to package framed, and back.
var (
	opCodes = [...]ws.OpCode{framed.OpPing: ws.OpPing, framed.OpPong: ws.OpPong, framed.OpClose: ws.OpClose}
	ops     = [...]framed.Op{ws.OpPing: framed.OpPing, ws.OpPong: framed.OpPong, ws.OpClose: framed.OpClose}
)

var errLength = errors.New("a length in more bytes than it needs, or below zero")

// sizes returns the lengths of the header at the start of b and of the payload
// behind it. Both are zero if b does not have all of the header.
func sizes(b []byte) (header int, payload int64, err error) {
	if len(b) < 2 {
		return 0, 0, nil
	}
	header, payload = 2, int64(b[1]&0x7F)
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
func parseHeader(b []byte) (h ws.Header, size int, err error) {
	size, length, err := sizes(b)
	if size == 0 || err != nil {
		return h, size, err
	}
	h = ws.Header{
		Fin:    b[0]&finBit != 0,
		Rsv:    b[0] >> 4 & 7,
		OpCode: ws.OpCode(b[0] & opBits),
		Masked: b[1]&maskBit != 0,
		Length: length,
	}
	if h.Masked {
		h.Mask = [4]byte(b[size-4:])
	}
	return h, size, nil
}

// appendHeader appends the header of a frame that is not a fragment, with a mask
// if it is a client's.
func appendHeader(dst []byte, op ws.OpCode, length int, client bool) (_ []byte, mask [4]byte) {
	bit := byte(0)
	if client {
		bit = maskBit
	}
	dst = append(dst, finBit|byte(op))
	switch {
	case length < 126:
		dst = append(dst, bit|byte(length))
	case length < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, bit|126), uint16(length))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, bit|127), uint64(length))
	}
	if client {
		binary.NativeEndian.PutUint32(mask[:], rand.Uint32())
		dst = append(dst, mask[:]...)
	}
	return dst, mask
}

// appendControl appends a control frame.
func appendControl(dst []byte, op ws.OpCode, payload []byte, client bool) []byte {
	dst, mask := appendHeader(dst, op, len(payload), client)
	start := len(dst)
	dst = append(dst, payload...)
	if client {
		ws.Cipher(dst[start:], mask, 0)
	}
	return dst
}

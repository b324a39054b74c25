package gobwas

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/webwire-go/webwire/transport"
)

const (
	maxHeader  = ws.MaxHeaderSize
	maxControl = ws.MaxControlFramePayloadSize
)

// Bits of the first two bytes of a header.
const (
	finBit  = 0x80
	maskBit = 0x80
)

var (
	errLength = errors.New("a length in more bytes than it needs, or below zero")
	errClose  = errors.New("a close frame with a status or reason that may not be sent")
)

// parseHeader returns the header at the start of b and its size in bytes. The
// size is zero if b does not have all of it.
func parseHeader(b []byte) (h ws.Header, size int, err error) {
	if len(b) < 2 {
		return h, 0, nil
	}
	h.Fin = b[0]&finBit != 0
	h.Rsv = b[0] >> 4 & 7
	h.OpCode = ws.OpCode(b[0] & 0xF)
	h.Length = int64(b[1] & 0x7F)
	size = 2
	switch h.Length {
	case 126:
		if size += 2; len(b) < size {
			return h, 0, nil
		}
		if h.Length = int64(binary.BigEndian.Uint16(b[2:])); h.Length < 126 {
			err = errLength
		}
	case 127:
		if size += 8; len(b) < size {
			return h, 0, nil
		}
		if h.Length = int64(binary.BigEndian.Uint64(b[2:])); h.Length < 1<<16 {
			err = errLength
		}
	}
	if b[1]&maskBit != 0 {
		h.Masked = true
		if size += 4; len(b) < size {
			return h, 0, nil
		}
		h.Mask = [4]byte(b[size-4:])
	}
	return h, size, err
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

// appendClose appends the payload of a close frame.
func appendClose(dst []byte, status transport.Status, reason string) []byte {
	if status == transport.StatusNone {
		return dst
	}
	return append(binary.BigEndian.AppendUint16(dst, uint16(status)), reason...)
}

// parseClose is the inverse of appendClose.
func parseClose(payload []byte) (transport.Status, string, error) {
	if len(payload) == 0 {
		return transport.StatusNone, "", nil
	}
	if len(payload) == 1 {
		return 0, "", errClose
	}
	status, reason := transport.Status(binary.BigEndian.Uint16(payload)), payload[2:]
	if !status.Sendable() || !utf8.Valid(reason) {
		return 0, "", errClose
	}
	return status, string(reason), nil
}

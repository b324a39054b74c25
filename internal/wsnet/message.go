package wsnet

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
)

// errMiddle is the error of Fragment when a library holds back a part of a
// control frame, which none does.
var errMiddle = errors.New("a frame of the library is not complete")

// Fragment adds a frame of a binary message: the first of it or a later one, the
// last or not. Libraries take several locks for each frame, and some hand it to
// another goroutine; the frames of a batch need none of that. Only the adapter may
// call it, and must not have the library write messages too.
func (k *cork) Fragment(p []byte, first, last bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.err != nil:
		return k.err
	case k.closed:
		return net.ErrClosed
	case k.frame.started():
		return errMiddle
	case k.closeAt > 0: // dropped, as everything behind a close frame
		k.end++
		return nil
	}
	k.open()
	before := len(k.held.b)
	k.held.b = appendData(k.held.b, p, first, last, k.c.role)
	k.end += uint64(len(k.held.b) - before)
	return nil
}

// appendData appends a frame of a binary message.
func appendData(dst, p []byte, first, last bool, role Role) []byte {
	op, bit := byte(opContinuation), byte(0)
	if first {
		op = opBinary
	}
	if last {
		op |= finBit
	}
	if role == Client {
		bit = maskBit
	}
	dst = append(dst, op)
	switch n := len(p); {
	case n < 126:
		dst = append(dst, bit|byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, bit|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, bit|127), uint64(n))
	}
	if role == Server {
		return append(dst, p...)
	}
	// The random generator of the runtime is seeded by the system; nobody
	// can predict it who sees earlier keys.
	key := rand.Uint32()
	dst = binary.LittleEndian.AppendUint32(dst, key)
	start := len(dst)
	dst = append(dst, p...)
	mask(dst[start:], key)
	return dst
}

// mask masks p with a key whose first byte is the lowest.
func mask(p []byte, key uint32) {
	long := uint64(key)<<32 | uint64(key)
	for ; len(p) >= 8; p = p[8:] {
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^long)
	}
	for i := range p {
		p[i] ^= byte(long >> (8 * i))
	}
}

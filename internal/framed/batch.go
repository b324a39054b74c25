package framed

import (
	"net"
	"sync"

	"github.com/webwire-go/webwire/transport"
)

const (
	batchSize    = 128 << 10 // bytes that are copied together for one system call
	batchParts   = 1024      // as many as one writev(2) takes
	largeMessage = 16 << 10  // from this size on, not copying is cheaper than copying
)

// A Batch collects frames and writes them with few system calls. Small messages are copied
// into one buffer; large messages are not copied if the connection can write several buffers
// in one system call. After an error a Batch discards everything; Send returns the error.
type Batch struct {
	// Buf is the buffer frames are copied to: append the header after calling Room.
	Buf []byte // of batchSize at most; parts point into it, or into what it was before it grew

	conn    *Conn
	scatter bool        // several buffers are written in one system call
	begin   int         // Buf[begin:] is not yet in parts
	parts   net.Buffers // in order; empty if Buf is all there is
	rest    net.Buffers // what is left of parts while they are being written
	large   int         // bytes that are only pointed to
	err     error       // the first one

	// How far a Write came, if it fails.
	open bool  // a message has begun
	ends []int // where messages end in what was collected
	sent int   // messages that were written before that
}

// mostEnds limits the memory that an idle Batch keeps.
const mostEnds = 8 << 10

// batches is shared by all connections: an idle one has none.
var batches = sync.Pool{New: func() any { return &Batch{Buf: make([]byte, 0, 4<<10)} }}

// Batch returns an empty Batch. The caller must hold the write turn, and must call Send.
func (c *Conn) Batch() *Batch {
	b := batches.Get().(*Batch)
	b.conn, b.scatter = c, c.socket
	return b
}

// Room begins a message: it makes room for a header of at most n bytes and returns Buf. It
// must be called once for each message.
func (b *Batch) Room(n int) []byte {
	b.endMessage()
	b.open = true
	if batchSize-len(b.Buf) < n || len(b.parts)+2 > batchParts {
		b.flush()
	}
	return b.Buf
}

// endMessage ends the message that has begun, if there is one.
func (b *Batch) endMessage() {
	if b.open {
		b.ends = append(b.ends, len(b.Buf)+b.large)
		b.open = false
	}
}

// Add adds p, which must not be modified until Send has returned.
func (b *Batch) Add(p []byte) {
	switch {
	case b.scatter && len(p) >= largeMessage:
		b.parts = append(b.parts, b.Buf[b.begin:], p)
		b.begin = len(b.Buf)
		b.large += len(p)
	case len(p) <= batchSize-len(b.Buf):
		b.Buf = append(b.Buf, p...)
	default:
		for len(p) > 0 {
			p = p[len(b.Copy(p)):]
		}
	}
}

// Copy adds a copy of as much of the beginning of p as there is room for, and returns the
// copy. The caller may modify it until the next call of a method.
func (b *Batch) Copy(p []byte) []byte {
	if len(b.Buf) == batchSize {
		b.flush()
	}
	start := len(b.Buf)
	b.Buf = append(b.Buf, p[:min(len(p), batchSize-start)]...)
	return b.Buf[start:]
}

// Send writes the remaining frames and releases the Batch, which must not be used any more.
// Its error is a *transport.PartialError.
func (b *Batch) Send() error {
	b.endMessage()
	b.flush()
	var err error
	if b.err != nil {
		err = &transport.PartialError{Sent: b.sent, Err: b.err}
	}
	if cap(b.ends) > mostEnds {
		b.ends = nil
	}
	b.conn, b.scatter, b.err, b.sent = nil, false, nil, 0
	batches.Put(b)
	return err
}

// flush writes what was collected, and forgets it.
func (b *Batch) flush() {
	if b.err == nil {
		var n int
		switch {
		case len(b.parts) > 0:
			if b.begin < len(b.Buf) {
				b.parts = append(b.parts, b.Buf[b.begin:])
			}
			b.rest = b.parts
			n, b.err = b.conn.writeBuffers(&b.rest)
		case len(b.Buf) > 0:
			n, b.err = b.conn.write(b.Buf)
		}
		for _, end := range b.ends {
			if end > n {
				break
			}
			b.sent++
		}
	}
	clear(b.parts)
	b.Buf, b.begin, b.parts, b.rest = b.Buf[:0], 0, b.parts[:0], nil
	b.large, b.ends = 0, b.ends[:0]
}

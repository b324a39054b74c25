package framed

import (
	"io"
	"net"
	"sync"
)

const (
	batchSize    = 128 << 10 // bytes that are copied together for one system call
	batchParts   = 1024      // as many as one writev(2) takes
	largeMessage = 16 << 10  // from this size on, not copying is cheaper than copying
)

// A Batch collects frames until they are worth a system call. Small messages are
// copied behind one another, large ones are only pointed to if the connection can
// write scattered memory. After an error it drops them all; Send returns it.
type Batch struct {
	// Buf is where frames are copied to: append what Room made room for.
	Buf []byte // of batchSize at most; parts point into it, or into what it was before it grew

	w       io.Writer
	scatter bool        // w writes net.Buffers in one system call
	begin   int         // Buf[begin:] is not yet in parts
	parts   net.Buffers // in order; empty if Buf is all there is
	rest    net.Buffers // what is left of parts while they are being written
	err     error       // the first one
}

// batches is shared by all connections: an idle one has none.
var batches = sync.Pool{New: func() any { return &Batch{Buf: make([]byte, 0, 4<<10)} }}

// Batch returns an empty Batch. The caller holds the write turn and calls Send.
func (c *Conn) Batch() *Batch {
	b := batches.Get().(*Batch)
	b.w = c.wire.Writer
	switch b.w.(type) {
	case *net.TCPConn, *net.UnixConn:
		b.scatter = true
	}
	return b
}

// Room makes room for n bytes and returns Buf.
func (b *Batch) Room(n int) []byte {
	if batchSize-len(b.Buf) < n || len(b.parts)+2 > batchParts {
		b.flush()
	}
	return b.Buf
}

// Add adds p, which must not change before Send.
func (b *Batch) Add(p []byte) {
	switch {
	case b.scatter && len(p) >= largeMessage:
		b.parts = append(b.parts, b.Buf[b.begin:], p)
		b.begin = len(b.Buf)
	case len(p) <= batchSize-len(b.Buf):
		b.Buf = append(b.Buf, p...)
	default:
		for len(p) > 0 {
			p = p[len(b.Copy(p)):]
		}
	}
}

// Copy adds a copy of the beginning of p, as much as there is room for, and returns
// it. It may be changed until the next call.
func (b *Batch) Copy(p []byte) []byte {
	if len(b.Buf) == batchSize {
		b.flush()
	}
	start := len(b.Buf)
	b.Buf = append(b.Buf, p[:min(len(p), batchSize-start)]...)
	return b.Buf[start:]
}

// Send writes what is left, and ends the use of the Batch.
func (b *Batch) Send() error {
	b.flush()
	err := b.err
	b.w, b.scatter, b.err = nil, false, nil
	batches.Put(b)
	return err
}

// flush writes what was collected, and forgets it.
func (b *Batch) flush() {
	switch {
	case b.err != nil:
	case len(b.parts) > 0:
		if b.begin < len(b.Buf) {
			b.parts = append(b.parts, b.Buf[b.begin:])
		}
		b.rest = b.parts
		_, b.err = b.rest.WriteTo(b.w)
	case len(b.Buf) > 0:
		_, b.err = b.w.Write(b.Buf)
	}
	clear(b.parts)
	b.Buf, b.begin, b.parts, b.rest = b.Buf[:0], 0, b.parts[:0], nil
}

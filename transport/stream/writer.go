package stream

import (
	"net"
	"sync"
)

const (
	batchSize    = 64 << 10 // bytes that are copied together for one system call
	batchParts   = 1024     // as many as one writev(2) takes
	largeMessage = 16 << 10 // from this size on, not copying is cheaper than copying
)

// A batch collects frames until they are worth a system call. Small messages
// are copied behind one another, large ones are only pointed to if the
// connection can write scattered memory.
type batch struct {
	conn    net.Conn
	scatter bool

	buf   []byte      // never grows beyond its capacity, so parts may point into it
	begin int         // buf[begin:] is not yet in parts
	parts net.Buffers // in order; empty if buf is all there is
	rest  net.Buffers // what is left of parts while they are being written
}

// batches are shared by all connections: an idle one has none.
var batches = sync.Pool{New: func() any { return &batch{buf: make([]byte, 0, batchSize)} }}

// scatters reports whether conn writes net.Buffers in one system call.
func scatters(conn net.Conn) bool {
	switch conn.(type) {
	case *net.TCPConn, *net.UnixConn:
		return true
	}
	return false
}

// writeMessages writes the frames of msgs.
func writeMessages(conn net.Conn, scatter bool, msgs [][]byte) error {
	b := batches.Get().(*batch)
	b.conn, b.scatter = conn, scatter
	err := b.write(msgs)
	b.reset()
	b.conn = nil
	batches.Put(b)
	return err
}

func (b *batch) write(msgs [][]byte) error {
	for _, msg := range msgs {
		if cap(b.buf)-len(b.buf) < headerSize || len(b.parts)+2 > batchParts {
			if err := b.flush(); err != nil {
				return err
			}
		}
		b.buf = appendHeader(b.buf, len(msg))
		if b.scatter && len(msg) >= largeMessage {
			b.parts = append(b.parts, b.buf[b.begin:], msg)
			b.begin = len(b.buf)
			continue
		}
		for {
			n := min(len(msg), cap(b.buf)-len(b.buf))
			b.buf = append(b.buf, msg[:n]...)
			if msg = msg[n:]; len(msg) == 0 {
				break
			}
			if err := b.flush(); err != nil {
				return err
			}
		}
	}
	return b.flush()
}

// flush writes what was collected.
func (b *batch) flush() (err error) {
	switch {
	case len(b.parts) > 0:
		if b.begin < len(b.buf) {
			b.parts = append(b.parts, b.buf[b.begin:])
		}
		b.rest = b.parts
		_, err = b.rest.WriteTo(b.conn)
	case len(b.buf) > 0:
		_, err = b.conn.Write(b.buf)
	}
	b.reset()
	return err
}

// reset forgets what was collected and whom it belonged to.
func (b *batch) reset() {
	clear(b.parts)
	b.buf, b.begin, b.parts, b.rest = b.buf[:0], 0, b.parts[:0], nil
}

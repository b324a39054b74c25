package gobwas

import (
	"io"
	"net"
	"sync"

	"github.com/gobwas/ws"

	"github.com/webwire-go/webwire/internal/wsnet"
)

const (
	batchSize    = 128 << 10 // bytes that are copied together for one system call
	batchParts   = 1024      // as many as one writev(2) takes
	largeMessage = 16 << 10  // from this size on, not copying is cheaper than copying
)

// output is the sending side of a connection.
type output struct {
	w       io.Writer
	scatter bool // large messages may be sent from where they are
	client  bool // they may not then, because they have to be masked
}

func newOutput(bare wsnet.Bare, client bool) output {
	if bare.TLS {
		return output{w: bare.Stream, client: client}
	}
	o := output{w: bare.Wire, client: client}
	switch bare.Wire.(type) {
	case *net.TCPConn, *net.UnixConn: // they have writev(2)
		o.scatter = !client
	}
	return o
}

// write sends messages, each as one frame.
func (o *output) write(msgs [][]byte) error {
	b := batches.Get().(*batch)
	b.output = *o
	err := b.write(msgs)
	b.reset()
	b.output = output{}
	batches.Put(b)
	return err
}

// control sends a control frame.
func (o *output) control(op ws.OpCode, payload []byte) error {
	_, err := o.w.Write(appendControl(make([]byte, 0, maxHeader+maxControl), op, payload, o.client))
	return err
}

// A batch collects frames until they are worth a system call. Small messages
// are copied behind one another.
type batch struct {
	output

	buf   []byte      // of batchSize at most; parts point into it, or into what it was before it grew
	begin int         // buf[begin:] is not yet in parts
	parts net.Buffers // in order; empty if buf is all there is
	rest  net.Buffers // what is left of parts while they are being written
}

// batches is shared by all connections: an idle one has none.
var batches = sync.Pool{New: func() any { return &batch{buf: make([]byte, 0, 4<<10)} }}

func (b *batch) write(msgs [][]byte) error {
	for _, msg := range msgs {
		if batchSize-len(b.buf) < maxHeader || len(b.parts)+2 > batchParts {
			if err := b.flush(); err != nil {
				return err
			}
		}
		var mask [4]byte
		b.buf, mask = appendHeader(b.buf, ws.OpBinary, len(msg), b.client)
		if b.scatter && len(msg) >= largeMessage {
			b.parts = append(b.parts, b.buf[b.begin:], msg)
			b.begin = len(b.buf)
			continue
		}
		if err := b.copy(msg, mask); err != nil {
			return err
		}
	}
	return b.flush()
}

// copy adds the payload of a frame to the buffer.
func (b *batch) copy(msg []byte, mask [4]byte) error {
	for done := 0; ; {
		start := len(b.buf)
		n := min(len(msg)-done, batchSize-start)
		b.buf = append(b.buf, msg[done:done+n]...)
		if b.client {
			ws.Cipher(b.buf[start:], mask, done)
		}
		if done += n; done == len(msg) {
			return nil
		}
		if err := b.flush(); err != nil {
			return err
		}
	}
}

// flush writes what was collected.
func (b *batch) flush() (err error) {
	switch {
	case len(b.parts) > 0:
		if b.begin < len(b.buf) {
			b.parts = append(b.parts, b.buf[b.begin:])
		}
		b.rest = b.parts
		_, err = b.rest.WriteTo(b.w)
	case len(b.buf) > 0:
		_, err = b.w.Write(b.buf)
	}
	b.reset()
	return err
}

// reset forgets what was collected and whom it belonged to.
func (b *batch) reset() {
	clear(b.parts)
	b.buf, b.begin, b.parts, b.rest = b.buf[:0], 0, b.parts[:0], nil
}

package main

import (
	"context"
	"io"
	"sync/atomic"
	"time"
)

// frames is one end of a connection of a raw contender.
type frames interface {
	// read returns the next message, in buf's space.
	read(buf []byte) ([]byte, error)

	// more reports whether another message has arrived already: what was
	// written may wait for the answer to that.
	more() bool

	// write sends a message, or holds it back until flush.
	write(msg []byte) error
	flush() error

	close()
}

// unbatched is the half of frames for libraries that write each message at once
// and do not tell whether more arrived.
type unbatched struct{}

func (unbatched) more() bool   { return false }
func (unbatched) flush() error { return nil }

// A message that begins with oneWay is not echoed.
const oneWay = 0

// echo is the server of the raw contenders: one goroutine per connection, which
// reads into a buffer of its own and answers.
func echo(f frames, size int) {
	defer f.close()
	buf := newBuffer(size)
	for {
		var err error
		if buf, err = f.read(buf); err != nil {
			return
		}
		if len(buf) > 0 && buf[0] == oneWay {
			continue
		}
		if err := f.write(buf); err != nil {
			return
		}
		if !f.more() {
			if err := f.flush(); err != nil {
				return
			}
		}
	}
}

// echoConn is the client of the raw contenders. There is no request to match a
// reply to: messages come back in the order they were sent in.
type echoConn struct {
	frames
	msg []byte
	buf []byte
}

func newEchoConn(f frames, size int) *echoConn {
	return &echoConn{frames: f, msg: payload(size), buf: newBuffer(size)}
}

// maxLoop is how many bytes in flight surely fit the buffers of two sockets.
const maxLoop = 128 << 10

func (c *echoConn) load(depth int, r *run) error {
	w := newWindow(depth, r)
	if depth*len(c.msg) <= maxLoop {
		return c.loop(w)
	}
	return c.duplex(w)
}

// loop answers each message that comes back with the next one, on one goroutine.
// No library has a faster way to keep messages in flight: nothing is handed from
// one goroutine to another. Libraries that can batch do.
func (c *echoConn) loop(w *window) error {
	for range w.depth {
		w.sending()
		if err := c.write(c.msg); err != nil {
			return err
		}
	}
	if err := c.flush(); err != nil {
		return err
	}
	for !w.done() {
		if err := c.receive(w); err != nil {
			return err
		}
		if w.next() {
			w.sending()
			if err := c.write(c.msg); err != nil {
				return err
			}
		}
		if !c.more() {
			if err := c.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// duplex writes on a goroutine of its own: with more in flight than fits the
// sockets' buffers, both ends would wait for room for ever otherwise.
func (c *echoConn) duplex(w *window) error {
	credits := make(chan struct{}, w.depth)
	for range w.depth {
		credits <- struct{}{}
	}
	written := make(chan error, 1)
	go func() {
		for range credits {
			w.sending()
			err := c.write(c.msg)
			if err == nil && len(credits) == 0 {
				err = c.flush()
			}
			if err != nil {
				c.close() // ends the reading
				written <- err
				return
			}
		}
		written <- c.flush()
	}()
	open := true
	for !w.done() {
		if err := c.receive(w); err != nil {
			return err
		}
		if w.next() {
			credits <- struct{}{}
		} else if open {
			open = false
			close(credits)
		}
	}
	return <-written
}

func (c *echoConn) receive(w *window) (err error) {
	if c.buf, err = c.read(c.buf); err != nil {
		return err
	}
	w.got()
	return checkReply(len(c.buf), len(c.msg))
}

// signal implements signaller.
func (c *echoConn) signal(r *run) error {
	l := r.lane()
	msg := append([]byte(nil), c.msg...)
	msg[0] = oneWay
	for !r.over() {
		if err := c.write(msg); err != nil {
			return err
		}
		l.count++
	}
	// The echo of one more message means that the others have arrived.
	if err := c.write(c.msg); err != nil {
		return err
	}
	if err := c.flush(); err != nil {
		return err
	}
	_, err := c.read(c.buf)
	return err
}

// readInto reads a message that fits into buf with a byte to spare: that is where
// the end of the message is seen.
func readInto(r io.Reader, buf []byte) ([]byte, error) {
	buf = buf[:0]
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case err == io.EOF:
			return buf, nil
		case err != nil:
			return nil, err
		case len(buf) == cap(buf):
			return nil, io.ErrShortBuffer
		}
	}
}

// newBuffer returns memory for readInto.
func newBuffer(size int) []byte { return make([]byte, 0, size+1) }

// background is a context that never ends, for libraries that want one.
var background = context.Background()

// window is what one connection has in flight. Messages are numbered; their
// replies come in the same order.
type window struct {
	*lane
	depth    int
	sent     uint64 // by the writer
	granted  uint64 // to be sent, as the reader decided
	received uint64
	at       []atomic.Int64 // when each in flight was sent, since epoch; zero: not timed
	epoch    time.Time
}

func newWindow(depth int, r *run) *window {
	return &window{
		lane: r.lane(), depth: depth, granted: uint64(depth),
		at: make([]atomic.Int64, depth), epoch: time.Now(),
	}
}

// sending is called before a message is written.
func (w *window) sending() {
	at := int64(0)
	if w.run.timed(w.sent) {
		at = int64(time.Since(w.epoch)) + 1
	}
	w.at[w.sent%uint64(w.depth)].Store(at)
	w.sent++
}

// got is called when a message was received.
func (w *window) got() {
	if at := w.at[w.received%uint64(w.depth)].Load(); at != 0 {
		w.latencies.add(time.Since(w.epoch) + 1 - time.Duration(at))
	}
	w.received++
	w.count++
}

// next decides whether to send another message.
func (w *window) next() bool {
	if w.run.over() {
		return false
	}
	w.granted++
	return true
}

// done reports whether everything is received and nothing more is to be sent.
func (w *window) done() bool { return w.run.over() && w.received == w.granted }

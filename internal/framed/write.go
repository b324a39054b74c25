package framed

import (
	"errors"
	"net"
	"os"
)

// A write is late if, for the write timeout, the network accepted no byte of it and
// nothing arrived from the peer. How the writer finds out depends on the connection:
//
// A socket reports how much it accepted before a deadline passed, and the rest can be
// written later. Its deadline is at most slack away; each time it passes,
// the writer looks for progress and continues, unless the write is late.
//
// Any other connection may be useless after a write deadline has passed, TLS in
// particular. There the deadline is the timeout itself: the writer sets it anew before
// each chunk, and the reader moves it when something arrives. Without TLS, a chunk is
// what a Batch collects.

// chunkSize is that of a TLS record, so that chunks cost no additional system call.
const chunkSize = 16 << 10

// write writes p and returns how much of it the network accepted. The caller holds
// the write turn.
func (c *Conn) write(p []byte) (sent int, err error) {
	if !c.socket {
		return c.writeChunks(p)
	}
	c.armStep()
	for {
		n, err := c.wire.Write(p[sent:])
		sent += n
		if err == nil || !c.resume(n, err) {
			return sent, err
		}
	}
}

// writeBuffers is write for several buffers on a socket. It consumes bufs.
func (c *Conn) writeBuffers(bufs *net.Buffers) (sent int, err error) {
	c.armStep()
	for {
		n, err := bufs.WriteTo(c.wire.Writer)
		sent += int(n)
		if err == nil || !c.resume(int(n), err) {
			return sent, err
		}
	}
}

func (c *Conn) writeChunks(p []byte) (sent int, err error) {
	size := len(p)
	if c.wire.TLS {
		size = chunkSize
	}
	for sent < len(p) {
		c.armChunk()
		n, err := c.wire.Write(p[sent:min(len(p), sent+size)])
		sent += n
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// armStep sets the deadline of the first step of a write to a socket.
func (c *Conn) armStep() {
	now, limit := c.now(), c.Limits.WriteTimeout
	c.progress = now
	if c.heard.Load() {
		c.heard.Store(false)
	}
	if d := moment(c.stuck.Load()); d < now.add(slack(limit)/2) || d > now.add(slack(limit)) {
		c.setWriteDeadline(now.add(slack(limit)))
	}
}

// resume reports whether a write to a socket, which accepted n more bytes and then
// failed with err, goes on. If so, it sets the deadline of the next step.
func (c *Conn) resume(n int, err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	if c.over.Load() {
		return c.now() < c.last // the step ended when the final deadline was about to be set
	}
	now, limit := c.now(), c.Limits.WriteTimeout
	if c.heard.Swap(false) || n > 0 {
		c.progress = now
	}
	late := c.progress.add(limit)
	if now >= late {
		return false
	}
	c.setWriteDeadline(min(late, now.add(slack(limit))))
	return true
}

// armChunk sets the deadline of a chunk.
func (c *Conn) armChunk() {
	now, limit := c.now(), c.Limits.WriteTimeout
	if d := moment(c.stuck.Load()); d < now.add(limit) || d > now.add(limit+slack(limit)) {
		c.setWriteDeadline(now.add(limit + slack(limit)))
	}
}

// arrived tells the writer that something arrived. The caller holds the read turn.
func (c *Conn) arrived() {
	c.arrivals.Add(1)
	if !c.socket {
		c.postpone()
	} else if !c.heard.Load() {
		c.heard.Store(true)
	}
}

// postpone moves the deadline of a chunk that may be under way.
func (c *Conn) postpone() {
	if c.stuck.Load() == int64(never) {
		return
	}
	now, limit := c.now(), c.Limits.WriteTimeout
	if moment(c.stuck.Load()) >= now.add(limit) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// Above TLS the writer may just have removed the deadline.
	if c.cause == nil && c.stuck.Load() != int64(never) {
		deadline := now.add(limit + slack(limit))
		c.stuck.Store(int64(deadline))
		c.wire.Net.SetWriteDeadline(c.time(deadline)) // if it fails, so does the write
	}
}

// disarmWrite is for TLS, where a read may have to write: a deadline left behind
// by some earlier write would end the connection.
func (c *Conn) disarmWrite() {
	if c.wire.TLS {
		c.setWriteDeadline(never)
	}
}

func (c *Conn) setWriteDeadline(deadline moment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stuck.Store(int64(deadline))
	if c.cause == nil {
		c.wire.Net.SetWriteDeadline(c.time(deadline)) // if it fails, so does the write
	}
}

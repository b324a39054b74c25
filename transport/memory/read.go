package memory

import (
	"fmt"
	"time"

	"github.com/webwire-go/webwire/transport"
)

// Read implements transport.Conn.
func (c *conn) Read(buf []byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var since time.Time // the silence of the peer; zero until we wait
	for {
		if c.cause != nil {
			return nil, c.cause
		}
		if c.pings {
			c.pings = false
			since = time.Time{}
			c.peer.alive = true
			c.peer.noteProgress()
			c.peer.wakeReader()
		}
		if c.alive {
			c.alive = false
			since = time.Time{}
		}
		switch {
		case c.queue.used > 0:
			return c.takeFirst(buf)
		case c.direct != nil:
			return c.takeDirect(buf)
		case c.closed != nil:
			c.end(c.closed)
			return nil, c.cause
		}
		if since.IsZero() {
			since = time.Now()
		}
		limit := c.limits.ReadTimeout
		if c.silent {
			limit = transport.MaxTimeout
		}
		if !c.waitForPeer(since.Add(limit)) {
			c.lose(errReadTimeout)
		}
	}
}

// Buffered implements transport.Peeker.
func (c *conn) Buffered() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.queue.used > 0 || c.direct != nil
}

// takeFirst returns the first message of the queue.
func (c *conn) takeFirst(buf []byte) ([]byte, error) {
	size := c.queue.first()
	if size > c.limits.MaxMessageSize {
		return nil, c.refuse()
	}
	buf = sized(buf, size)
	c.queue.take(buf)
	c.peer.noteProgress()
	// A writer that waits is woken when it can store a good deal: waking it
	// for each message would cost more than the messages.
	if c.queue.used <= maxRing/2 {
		c.peer.wakeWriter()
	}
	return buf, nil
}

// takeDirect returns the message that the peer's Write holds out to us.
func (c *conn) takeDirect(buf []byte) ([]byte, error) {
	if len(c.direct) > c.limits.MaxMessageSize {
		return nil, c.refuse()
	}
	buf = sized(buf, len(c.direct))
	copy(buf, c.direct)
	c.direct = nil
	c.peer.taken = true
	c.peer.wakeWriter()
	return buf, nil
}

// refuse ends the connection because of a message over the limit.
func (c *conn) refuse() error {
	c.close(transport.StatusMessageTooBig, fmt.Sprintf("message over %d bytes", c.limits.MaxMessageSize))
	return c.cause
}

// waitForPeer waits until something arrives or this side ends. It reports
// whether that happened before the deadline. It gives up the lock meanwhile.
func (c *conn) waitForPeer(deadline time.Time) bool {
	// The timer goes on from Read to Read, each of which moves the deadline. It
	// is set anew only when it fires before the deadline, so that a Read which
	// has to wait a little does nothing about it.
	if c.silence == nil {
		c.silence = time.NewTimer(time.Until(deadline))
	}
	c.reading = true
	c.mu.Unlock()
	defer c.mu.Lock()
	for {
		select {
		case <-c.wake:
			return true
		case <-c.silence.C:
		}
		c.mu.Lock()
		if !c.reading {
			// Woken at the same time.
			<-c.wake
			c.silence.Reset(time.Until(deadline))
			c.mu.Unlock()
			return true
		}
		left := time.Until(deadline)
		if left <= 0 {
			c.reading = false
			c.mu.Unlock()
			return false
		}
		c.silence.Reset(left)
		c.mu.Unlock()
	}
}

// sized returns buf with length n, or new memory if its capacity is smaller.
func sized(buf []byte, n int) []byte {
	if cap(buf) < n {
		return make([]byte, n)
	}
	return buf[:n]
}

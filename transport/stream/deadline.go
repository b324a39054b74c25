package stream

import (
	"time"
)

// Setting a deadline costs as much as a short read. So a deadline that is
// roughly right is left alone: the read deadline may be an eighth of the timeout
// too late, the write deadline an eighth too early.

// receive is the source of the reader: it reads from the network within the
// limits of time. The caller holds the read turn.
func (c *conn) receive(p []byte, within bool) (int, error) {
	limit := c.limits.ReadTimeout
	now := time.Now()
	switch {
	case !within:
		if c.silent.Sub(now) < limit {
			c.armRead(now.Add(limit + limit/8))
		}
	case c.complete.IsZero():
		c.complete = now.Add(limit)
		c.armRead(c.complete)
	}
	return c.net.Read(p)
}

func (c *conn) armRead(deadline time.Time) {
	c.silent = deadline
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		c.net.SetReadDeadline(deadline) // if it fails, so does the read
	}
}

// armWrite sets the deadline of a write that began at start. The caller holds
// the write turn.
func (c *conn) armWrite(start time.Time) {
	limit := c.limits.WriteTimeout
	if d := c.stuck.Sub(start); d <= limit && d >= limit-limit/8 {
		return
	}
	c.stuck = start.Add(limit)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		c.net.SetWriteDeadline(c.stuck) // if it fails, so does the write
	}
}

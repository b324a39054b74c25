package framed

import "time"

// moment is a point in time, as what has passed since the connection began. It
// needs a third of the memory of a time.Time.
type moment time.Duration

// never is no moment.
const never moment = 0

func (c *Conn) now() moment { return moment(time.Since(c.base)) + 1 }

func (c *Conn) time(m moment) time.Time {
	if m == never {
		return time.Time{}
	}
	return c.base.Add(time.Duration(m))
}

func (m moment) add(d time.Duration) moment { return m + moment(d) }

// Setting a deadline costs as much as a small message. So a deadline that is
// roughly right is left alone: the read deadline may be an eighth of the timeout
// too late, the write deadline an eighth too early.

// receive reads from the network within the limits of time; within says that
// something has begun that has to end. The caller holds the read turn.
func (c *Conn) receive(p []byte, within bool) (int, error) {
	limit, now := c.Limits.ReadTimeout, c.now()
	switch {
	case !within:
		if c.In.silent < now.add(limit) {
			c.armRead(now.add(limit + limit/8))
		}
	case c.In.complete == never:
		c.In.complete = now.add(limit)
		c.armRead(c.In.complete)
	}
	return c.wire.Read(p)
}

func (c *Conn) armRead(deadline moment) {
	c.In.silent = deadline
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		c.wire.Net.SetReadDeadline(c.time(deadline)) // if it fails, so does the read
	}
}

// armWrite sets the deadline of a write that began at start. The caller holds
// the write turn.
func (c *Conn) armWrite(start moment) {
	limit := c.Limits.WriteTimeout
	if till := start.add(limit); c.stuck > till || c.stuck < till.add(-limit/8) {
		c.setWriteDeadline(till)
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
	c.stuck = deadline
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		c.wire.Net.SetWriteDeadline(c.time(deadline)) // if it fails, so does the write
	}
}

// SetDeadline sets both deadlines, unless the end has begun. It is for what comes
// before the first Read and Write.
func (c *Conn) SetDeadline(deadline time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		c.wire.Net.SetDeadline(deadline) // if it fails, so does what it is for
	}
}

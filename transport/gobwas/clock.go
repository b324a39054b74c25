package gobwas

import "time"

// Setting a deadline costs as much as a small message. So a deadline that is
// roughly right is left alone: the read deadline may be an eighth of the timeout
// too late, the write deadline an eighth too early.

// readClock is what a Read knows of time.
type readClock struct {
	silent   time.Time // the read deadline that is set
	complete time.Time // when the present message has to be; never if it need not yet
	window   time.Time // when spent was last forgiven
}

// never is no moment.
var never time.Time

// receive is the source of the reader: it reads from the network within the
// limits of time. The caller holds the read turn.
func (c *conn) receive(p []byte, within bool) (int, error) {
	if len(c.net.Early) > 0 {
		n := copy(p, c.net.Early)
		if c.net.Early = c.net.Early[n:]; len(c.net.Early) == 0 {
			c.net.Early = nil
		}
		return n, nil
	}
	limit, clock := c.limits.ReadTimeout, &c.clock
	now := time.Now()
	switch {
	case !within && !c.fragments:
		// While no message is under way, keep-alives may go on for ever,
		// though not faster than the budget allows.
		if now.Sub(clock.window) >= limit {
			clock.window = now
			c.spent = 0
		}
		if clock.silent.Sub(now) < limit {
			c.armRead(now.Add(limit + limit/8))
		}
	case clock.complete.IsZero():
		clock.complete = now.Add(limit)
		c.armRead(clock.complete)
	}
	return c.net.Stream.Read(p)
}

func (c *conn) armRead(deadline time.Time) {
	c.clock.silent = deadline
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		c.net.Wire.SetReadDeadline(deadline) // if it fails, so does the read
	}
}

// armWrite sets the deadline of a write that began at start. The caller holds
// the write turn.
func (c *conn) armWrite(start time.Time) {
	limit := c.limits.WriteTimeout
	if d := c.stuck.Sub(start); d <= limit && d >= limit-limit/8 {
		return
	}
	c.setWriteDeadline(start.Add(limit))
}

// disarmWrite is for TLS, where a read may have to write: a deadline left behind
// by some earlier write would end the connection.
func (c *conn) disarmWrite() {
	if c.net.TLS {
		c.setWriteDeadline(never)
	}
}

func (c *conn) setWriteDeadline(deadline time.Time) {
	c.stuck = deadline
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		c.net.Wire.SetWriteDeadline(deadline) // if it fails, so does the write
	}
}

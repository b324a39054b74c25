package gobwas

import "time"

// moment is a point in time, as what has passed since the connection began. It
// needs a third of the memory of a time.Time.
type moment time.Duration

// never is no moment.
const never moment = 0

func (c *conn) now() moment { return moment(time.Since(c.base)) + 1 }

func (c *conn) time(m moment) time.Time {
	if m == never {
		return time.Time{}
	}
	return c.base.Add(time.Duration(m))
}

func (m moment) add(d time.Duration) moment { return m + moment(d) }

// Setting a deadline costs as much as a small message. So a deadline that is
// roughly right is left alone: the read deadline may be an eighth of the timeout
// too late, the write deadline an eighth too early.

// readClock is what a Read knows of time.
type readClock struct {
	silent   moment // the read deadline that is set
	complete moment // when the present message has to be; never if it need not yet
	window   moment // when spent was last forgiven
}

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
	limit, clock, now := c.limits.ReadTimeout, &c.clock, c.now()
	switch {
	case !within && !c.fragments:
		// While no message is under way, keep-alives may go on for ever,
		// though not faster than the budget allows.
		if now >= clock.window.add(limit) {
			clock.window = now
			c.spent = 0
		}
		if clock.silent < now.add(limit) {
			c.armRead(now.add(limit + limit/8))
		}
	case clock.complete == never:
		clock.complete = now.add(limit)
		c.armRead(clock.complete)
	}
	return c.net.Stream.Read(p)
}

func (c *conn) armRead(deadline moment) {
	c.clock.silent = deadline
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		c.net.Wire.SetReadDeadline(c.time(deadline)) // if it fails, so does the read
	}
}

// armWrite sets the deadline of a write that began at start. The caller holds
// the write turn.
func (c *conn) armWrite(start moment) {
	limit := c.limits.WriteTimeout
	if till := start.add(limit); c.stuck > till || c.stuck < till.add(-limit/8) {
		c.setWriteDeadline(till)
	}
}

// disarmWrite is for TLS, where a read may have to write: a deadline left behind
// by some earlier write would end the connection.
func (c *conn) disarmWrite() {
	if c.net.TLS {
		c.setWriteDeadline(never)
	}
}

func (c *conn) setWriteDeadline(deadline moment) {
	c.stuck = deadline
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		c.net.Wire.SetWriteDeadline(c.time(deadline)) // if it fails, so does the write
	}
}

package framed

import (
	"time"

	"github.com/webwire-go/webwire/transport"
)

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
// roughly right is left alone: it may be slack too late.

// slack returns by how much a limit may be exceeded.
func slack(limit time.Duration) time.Duration { return limit / 32 }

// receive reads from the network within the limits of time; within says that a
// message has begun, which has to make progress. The caller holds the read turn.
func (c *Conn) receive(p []byte, within bool) (int, error) {
	limit, now := c.Limits.ReadTimeout, c.now()
	if !within && c.silence.Load() {
		if c.In.silent != never {
			c.armRead(never)
		}
	} else if !within {
		if c.In.silent < now.add(limit) {
			c.armRead(now.add(limit + slack(limit)))
		}
	} else if c.In.slow == never || c.In.slow < now.add(limit) && c.In.progress >= leastProgress(limit) {
		c.In.slow = now.add(limit + slack(limit))
		c.In.progress = 0
		c.armRead(c.In.slow)
	}
	return c.wire.Read(p)
}

// leastProgress is how many bytes of a message have to arrive within limit.
func leastProgress(limit time.Duration) int {
	return max(1, int(limit.Seconds()*transport.MinReadRate))
}

func (c *Conn) armRead(deadline moment) {
	c.In.silent = deadline
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		c.wire.Net.SetReadDeadline(c.time(deadline)) // if it fails, so does the read
	}
}

// SetDeadline sets the read and the write deadline unless the connection has begun to end.
// It is used before the first Read and Write.
func (c *Conn) SetDeadline(deadline time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		c.wire.Net.SetDeadline(deadline) // if it fails, so does what it is for
	}
}

package memory

import (
	"time"
)

// Write implements transport.Conn.
func (c *conn) Write(msgs ...[]byte) error {
	p := patience{limit: c.limits.WriteTimeout}
	defer p.stop()
	inTurn := c.takeWriteTurn(&p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !inTurn {
		c.lose(errWriteTimeout)
		return c.cause
	}
	defer func() { <-c.writeTurn }()
	err := c.writable()
	for _, msg := range msgs {
		if err != nil {
			break
		}
		err = c.store(msg, &p)
	}
	c.peer.wakeReader()
	return err
}

// store gives one message to the peer, waiting for room if need be.
func (c *conn) store(msg []byte, p *patience) error {
	if !fits(len(msg)) {
		return c.holdOut(msg, p)
	}
	for !c.peer.queue.room(len(msg)) {
		if err := c.waitForRoom(p); err != nil {
			return err
		}
	}
	if c.peer.cause == nil {
		c.peer.queue.put(msg)
	}
	return nil
}

// holdOut waits until the peer has read a message that is not to be stored.
func (c *conn) holdOut(msg []byte, p *patience) error {
	if c.peer.cause == nil {
		c.peer.direct = msg
	}
	for c.peer.direct != nil {
		if err := c.waitForRoom(p); err != nil {
			return err
		}
	}
	return nil
}

// writable returns why nothing can be written any more, or nil. A close of the
// peer counts once nothing is left to read before it: until then what is written
// is lost on the way, as it would be on a network.
func (c *conn) writable() error {
	if c.cause == nil && c.closed != nil && c.queue.used == 0 {
		c.end(c.closed)
	}
	return c.cause
}

// waitForRoom waits until there may be room, this side ends or patience is
// over, after which it waits no more. It gives up the lock meanwhile.
func (c *conn) waitForRoom(p *patience) error {
	if p.over {
		c.lose(errWriteTimeout)
		return c.cause
	}
	c.peer.wakeReader()
	c.writing = true
	c.mu.Unlock()
	select {
	case <-c.room:
	case <-p.expired():
		p.over = true // there may be room nevertheless
	}
	c.mu.Lock()
	if p.over && !c.writing {
		<-c.room // woken at the same time
	}
	c.writing = false
	return c.writable()
}

// takeWriteTurn reports whether the turn came, or this side ended, in time.
func (c *conn) takeWriteTurn(p *patience) bool {
	select {
	case c.writeTurn <- struct{}{}:
		return true
	default:
	}
	select {
	case c.writeTurn <- struct{}{}:
		return true
	case <-c.ended:
		// The one who has it was released as well.
		c.writeTurn <- struct{}{}
		return true
	case <-p.expired():
		return false
	}
}

// patience is the time one Write may take. It costs nothing until the Write waits.
type patience struct {
	limit time.Duration
	timer *time.Timer
	over  bool
}

// expired returns the channel that receives once, when the time is over.
func (p *patience) expired() <-chan time.Time {
	if p.timer == nil {
		p.timer = time.NewTimer(p.limit)
	}
	return p.timer.C
}

func (p *patience) stop() {
	if p.timer != nil {
		p.timer.Stop()
	}
}

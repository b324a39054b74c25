package memory

import (
	"time"

	"github.com/webwire-go/webwire/transport"
)

// Write implements transport.Conn.
func (c *conn) Write(msgs ...[]byte) error {
	c.takeWriteTurn()
	defer func() { <-c.writeTurn }()
	c.mu.Lock()
	defer c.mu.Unlock()
	p := patience{limit: c.limits.WriteTimeout}
	defer p.stop()
	err := c.writable()
	sent := 0
	for err == nil && sent < len(msgs) {
		if err = c.store(msgs[sent], &p); err == nil || c.taken {
			sent++
		}
		c.taken, p.progress = false, time.Time{}
	}
	c.peer.wakeReader()
	if err != nil {
		return &transport.PartialError{Sent: sent, Err: err}
	}
	return nil
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
	c.peer.noteProgress()
	return nil
}

// holdOut waits until the peer has read a message that is not to be stored.
func (c *conn) holdOut(msg []byte, p *patience) error {
	if c.peer.cause == nil {
		c.peer.direct = msg
	}
	c.peer.noteProgress()
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

// waitForRoom waits until there may be room or this side ends, and ends it if the
// Write is late. It gives up the lock meanwhile.
func (c *conn) waitForRoom(p *patience) error {
	c.peer.wakeReader()
	c.writing = true
	if c.moved = p.progress; c.moved.IsZero() {
		c.moved = time.Now()
	}
	expired := p.expired(c.moved)
	c.mu.Unlock()
	woken := false
	select {
	case <-c.room:
		woken = true
	case <-expired:
	}
	c.mu.Lock()
	if !woken && !c.writing {
		<-c.room // at the same time
		woken = true
	}
	c.writing = false
	switch {
	case woken:
		p.progress = time.Time{}
	case time.Since(c.moved) < p.limit:
		p.progress = c.moved
	default:
		c.lose(errWriteTimeout)
	}
	return c.writable()
}

// takeWriteTurn needs no limit of time: whoever has the turn makes progress, or ends
// the connection because it does not.
func (c *conn) takeWriteTurn() { c.writeTurn <- struct{}{} }

// patience decides when a Write is late. It costs nothing until the Write waits.
type patience struct {
	limit    time.Duration
	timer    *time.Timer
	progress time.Time // the last one before a wait; zero: now
}

// expired returns the channel that receives once, when there was no progress after
// the last one for limit.
func (p *patience) expired(last time.Time) <-chan time.Time {
	left := time.Until(last.Add(p.limit))
	if p.timer == nil {
		p.timer = time.NewTimer(left)
	} else {
		p.timer.Reset(left)
	}
	return p.timer.C
}

func (p *patience) stop() {
	if p.timer != nil {
		p.timer.Stop()
	}
}

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
		c.taken = false
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
	c.peer.stir()
	p.progress = time.Time{}
	return nil
}

// holdOut waits until the peer has read a message that is not to be stored.
func (c *conn) holdOut(msg []byte, p *patience) error {
	if c.peer.cause == nil {
		c.peer.direct = msg
	}
	c.peer.stir()
	for c.peer.direct != nil {
		if err := c.waitForRoom(p); err != nil {
			return err
		}
	}
	p.progress = time.Time{}
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
	step := p.next()
	c.mu.Unlock()
	passed := false
	select {
	case <-c.room:
	case <-step:
		passed = true
	}
	c.mu.Lock()
	if !passed {
		return c.writable()
	}
	if !c.writing {
		<-c.room // woken at the same time
		return c.writable()
	}
	c.writing = false
	if p.over(c.moved) {
		c.lose(errWriteTimeout)
	}
	c.moved = false
	return c.writable()
}

// takeWriteTurn needs no limit of time: whoever has the turn makes progress, or ends
// the connection because it does not.
func (c *conn) takeWriteTurn() { c.writeTurn <- struct{}{} }

// patience decides when a Write is late. It costs nothing until the Write waits, and
// then looks for progress each time an eighth of the limit has passed.
type patience struct {
	limit    time.Duration
	timer    *time.Timer
	progress time.Time // the last one, as far as is known; zero if the wait begins
}

// next returns the channel that receives once, when the next step has passed.
func (p *patience) next() <-chan time.Time {
	now := time.Now()
	if p.progress.IsZero() {
		p.progress = now
	}
	step := min(max(p.limit/8, 1), p.progress.Add(p.limit).Sub(now))
	if p.timer == nil {
		p.timer = time.NewTimer(step)
	} else {
		p.timer.Reset(step)
	}
	return p.timer.C
}

// over reports, at the end of a step, whether the Write is late.
func (p *patience) over(moved bool) bool {
	now := time.Now()
	if moved {
		p.progress = now
	}
	return now.Sub(p.progress) >= p.limit
}

func (p *patience) stop() {
	if p.timer != nil {
		p.timer.Stop()
	}
}

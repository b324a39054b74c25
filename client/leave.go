package client

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// leaveGrace is the time that a server has to close a connection by itself.
const leaveGrace = time.Second

var errServerLeaves = fmt.Errorf("client: left the server: %w", &protocol.PeerError{Err: protocol.ErrShutdown})

// leave leaves a server that answered that it shuts down, once it has answered the
// other requests on the connection and handlers have answered its own, or after Options.Timeout,
// unless the connection goes on with another socket before. Published servers keep such connections open for ever.
func (c *Client) leave(l *link.Link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaveSoon(l)
}

// leaveSoon is leave for callers that hold mu.
func (c *Client) leaveSoon(l *link.Link) {
	if c.status == Closed || c.leaving.Load() == l {
		return
	}
	c.served.Store(math.MinInt64) // it is refused requests already
	c.leaving.Store(l)
	over := l.SocketOver()
	c.owned.Go(func() {
		late, cancel := context.WithTimeout(l.Context(), c.opts.Timeout)
		defer cancel()
		if !calm(late, l, over) {
			return
		}
		grace := time.NewTimer(leaveGrace)
		defer grace.Stop()
		select {
		case <-grace.C:
			l.Disconnect(transport.StatusNormalClosure, "", errServerLeaves)
		case <-over:
		case <-l.Context().Done():
		}
	})
}

// leaveLook is how often calm looks whether handlers still run.
const leaveLook = 50 * time.Millisecond

// calm waits until no request is in flight, in either direction, or it is late. It returns false
// if the socket is over.
func calm(late context.Context, l *link.Link, over <-chan struct{}) bool {
	idle := l.Drain
	if l.Version() >= protocol.V3_0 {
		idle = l.Quiet // draining refuses requests of the server, for ever
	}
	for {
		select {
		case <-idle():
		case <-late.Done():
			return true
		case <-over:
			return false
		}
		if _, tasks := l.InFlight(); tasks == 0 {
			return true
		}
		if !passed(leaveLook, over) {
			return false
		}
	}
}

// settleTime is how long the client waits for the server to acknowledge what it has sent,
// before it moves.
const settleTime = 2 * time.Second

// move does what a server of 3.0 asks for: it leaves the socket, once nothing is in flight or
// the server is about to close it, and goes on with another one, or with another connection.
// Until then new requests wait. A client that does not connect by itself leaves, too: its
// application learns in time that it has to connect.
func (c *Client) move(l *link.Link, d protocol.DrainBody) {
	c.mu.Lock()
	defer c.mu.Unlock()
	over := l.SocketOver()
	if c.status == Closed || c.leaving.Load() == l || c.moving == over {
		return
	}
	c.moving = over // however often it asks
	c.served.Store(int64(link.Now() + d.Spread + serveTime))
	c.owned.Go(func() {
		most := d.Grace / 10 * 9
		late, cancel := context.WithTimeout(l.Context(), most)
		defer cancel()
		wait := time.Duration(0)
		if d.Spread > 0 {
			wait = rand.N(d.Spread)
		}
		if !passed(min(wait, most), over) {
			return
		}
		if !c.leaveSocket(l, over) || !settled(late, l, over) {
			return
		}
		if d.Spread > 0 && wait <= most {
			c.mu.Lock()
			c.trying.spread = true
			c.mu.Unlock()
		}
		if l.CloseSocket(transport.StatusServiceRestart, "moving", errServerLeaves) {
			return
		}
		select {
		case <-l.Quiet(): // what is in flight would be lost
			l.Disconnect(transport.StatusServiceRestart, "moving", errServerLeaves)
		case <-over:
		}
	})
}

// leaveSocket holds new requests back, and reports whether the socket is not over: after that
// the connection goes on with another one, which is not to be left.
func (c *Client) leaveSocket(l *link.Link, over <-chan struct{}) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-over:
		return false
	default:
	}
	if c.link.Load() == l {
		c.leaving.Store(l)
		c.notify()
	}
	return true
}

// settled waits until nothing is in flight and the server has acknowledged everything, or it
// is late. It returns false if the socket is over: the server has closed it, or it is lost.
func settled(late context.Context, l *link.Link, over <-chan struct{}) bool {
	select {
	case <-l.Quiet():
	case <-late.Done():
		return true
	case <-over:
		return false
	}
	limit, cancel := context.WithTimeout(late, settleTime)
	defer cancel()
	l.Flush(limit) // a server that keeps nothing acknowledges nothing
	select {
	case <-l.Settled():
	case <-limit.Done():
	case <-over:
		return false
	}
	return true
}

// serveTime is for how long after the spread a server handles signals: five seconds (section
// 11.9), less a second for their way.
const serveTime = 4 * time.Second

// takesSignals reports whether signals may be sent on a connection that the client leaves:
// on its socket as long as the server handles them, and on the next one.
func (c *Client) takesSignals(l *link.Link) bool {
	return l.IsAway() || link.Now() < time.Duration(c.served.Load())
}

// passed waits for d, and reports whether it has passed before over was closed.
func passed(d time.Duration, over <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-over:
		return false
	}
}

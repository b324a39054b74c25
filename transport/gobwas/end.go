package gobwas

import (
	"errors"
	"net"
	"os"
	"time"

	"github.com/gobwas/ws"

	"github.com/webwire-go/webwire/transport"
)

// Close implements transport.Conn.
func (c *conn) Close(status transport.Status, reason string) error {
	if !status.Sendable() {
		status = transport.StatusNormal
	}
	c.end(&transport.CloseError{Status: status, Reason: transport.CutReason(reason), Local: true})
	return nil
}

// Abort implements transport.Conn.
func (c *conn) Abort() error {
	first := c.begin(&transport.CloseError{Status: transport.StatusNone, Local: true})
	// This releases everything that waits for the network, the end included.
	c.drop()
	if first {
		c.finish(nil)
	}
	c.awaitGone()
	return nil
}

// failure waits until the connection is gone and returns why. The end has begun.
func (c *conn) failure() error {
	c.awaitGone()
	return c.cause
}

// awaitGone waits for the end of the end, which has begun.
func (c *conn) awaitGone() {
	c.mu.Lock()
	gone := c.gone
	c.mu.Unlock()
	<-gone
}

// endBegan is what awaitEnding returns when the end has begun.
var endBegan = func() chan struct{} {
	ch := make(chan struct{})
	close(ch)
	return ch
}()

// awaitEnding returns a channel that is closed when the end begins.
func (c *conn) awaitEnding() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return endBegan
	}
	if c.ending == nil {
		c.ending = make(chan struct{})
	}
	return c.ending
}

// begin makes cause the reason why the connection ends, unless there is one
// already, and bounds how long everything that goes on may go on.
func (c *conn) begin(cause error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return false
	}
	c.cause = cause
	limit := c.limits.CloseTimeout - c.limits.CloseTimeout/8
	c.net.Wire.SetDeadline(time.Now().Add(limit))
	// Not every net.Conn obeys deadlines.
	c.hard = time.AfterFunc(limit+limit/16, func() { c.net.Wire.Close() })
	c.over.Store(true)
	c.gone = make(chan struct{})
	if c.ending != nil {
		close(c.ending)
	}
	return true
}

// end ends the connection as its cause demands, unless somebody else did: it
// sends a close frame if one is due, waits for that of the peer, and returns
// when nothing is left, within the close timeout. The caller holds no turn.
func (c *conn) end(cause error) {
	if !c.begin(cause) {
		return
	}
	if errors.Is(cause, os.ErrDeadlineExceeded) {
		// The peer had its time.
		c.drop()
		c.finish(nil)
		return
	}
	// What the peer still sends has to be read: it may be stuck in a write and
	// would never see the close frame, and closing a socket with unread data
	// may take back what was sent. After a failed write it is the peer's close
	// frame that says why.
	var peerClose *transport.CloseError
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		peerClose = c.drain()
	}()
	var closed *transport.CloseError
	polite := errors.As(cause, &closed) && c.farewell(closed)
	<-drained
	if !polite {
		c.drop()
	}
	if closed != nil {
		peerClose = nil // the cause says it all
	}
	c.finish(peerClose)
}

// farewell sends the close frame, the last one, and reports whether it could.
func (c *conn) farewell(closed *transport.CloseError) bool {
	c.writeTurn <- struct{}{}
	defer func() { <-c.writeTurn }()
	if c.torn {
		return false
	}
	c.torn = true
	reason := closed.Reason
	if !closed.Local {
		reason = "" // it is the peer's own
	}
	return c.out.control(ws.OpClose, appendClose(nil, closed.Status, reason)) == nil
}

// drain reads and drops everything up to the peer's close frame, and returns
// what that says, or nil if there is none.
func (c *conn) drain() *transport.CloseError {
	c.readTurn.Lock()
	defer c.readTurn.Unlock()
	defer c.reader.release()
	for c.peerClose == nil {
		if err := c.reader.skip(); err != nil {
			return nil
		}
		h, err := c.nextFrame()
		switch {
		case c.reader.err != nil:
			return nil
		case err != nil || h.OpCode != ws.OpClose:
			continue // skip drops what is left of the frame, or of everything
		}
		payload, err := c.reader.control(&h)
		if err != nil {
			return nil
		}
		status, reason, err := parseClose(payload)
		if err != nil {
			status, reason = transport.StatusNone, ""
		}
		c.peerClose = &transport.CloseError{Status: status, Reason: reason}
	}
	return c.peerClose
}

// drop closes the network connection and takes back what the system has not
// sent yet, so that nothing is kept for a peer that is not there.
func (c *conn) drop() {
	if tcp, ok := c.net.Wire.(*net.TCPConn); ok {
		tcp.SetLinger(0) // if it fails, the socket is closed already
	}
	c.net.Wire.Close()
}

// finish releases what is left and makes the cause known. It is called once, by
// whom begin returned true.
func (c *conn) finish(better *transport.CloseError) {
	c.net.Wire.Close() // nobody is left who could do anything about an error
	c.hard.Stop()
	c.answers.Wait()
	if better != nil {
		c.mu.Lock()
		c.cause = better
		c.mu.Unlock()
	}
	close(c.gone)
}

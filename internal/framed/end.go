package framed

import (
	"errors"
	"net"
	"os"
	"time"

	"github.com/webwire-go/webwire/transport"
)

// Close implements transport.Conn.
func (c *Conn) Close(status transport.Status, reason string) error {
	if !status.Sendable() {
		status = transport.StatusNormalClosure
	}
	c.end(&transport.CloseError{Status: status, Reason: transport.CutReason(reason), Local: true})
	return nil
}

// Abort implements transport.Conn.
func (c *Conn) Abort() error {
	first := c.begin(&transport.CloseError{Status: transport.StatusNoStatusReceived, Reason: "aborted", Local: true})
	// This releases everything that waits for the network, the end included.
	c.drop()
	if first {
		c.finish(nil)
	}
	_ = c.failure() // waits
	return nil
}

// Fail ends the connection because of cause, unless it is ending already, and returns the
// reason why it ended. The caller must not hold a turn.
func (c *Conn) Fail(cause error) error {
	c.end(cause)
	return c.failure()
}

// failure waits until the connection is gone and returns why.
func (c *Conn) failure() error {
	c.mu.Lock()
	if c.gone == nil {
		c.gone = make(chan struct{})
	}
	gone := c.gone
	c.mu.Unlock()
	<-gone
	return c.cause
}

// closedChan stands for a channel that nobody waited for in time.
var closedChan = func() chan struct{} {
	ch := make(chan struct{})
	close(ch)
	return ch
}()

// awaitEnding returns a channel that is closed when the end begins.
func (c *Conn) awaitEnding() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return closedChan
	}
	if c.ending == nil {
		c.ending = make(chan struct{})
	}
	return c.ending
}

// begin makes cause the reason why the connection ends, unless there is one
// already, and bounds how long everything that goes on may go on.
func (c *Conn) begin(cause error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return false
	}
	c.cause = cause
	limit := c.Limits.CloseTimeout - c.Limits.CloseTimeout/8
	c.last = c.now().add(limit)
	c.wire.Net.SetDeadline(c.time(c.last)) // if it fails, so does what goes on
	// Not every net.Conn obeys deadlines.
	c.hard = time.AfterFunc(limit+limit/16, func() { c.wire.Net.Close() })
	c.over.Store(true)
	if c.ending != nil {
		close(c.ending)
	}
	return true
}

// end ends the connection as its cause demands, unless somebody else did: it
// sends a close frame if one is due, waits for that of the peer, and returns
// when nothing is left, within the close timeout. The caller holds no turn.
func (c *Conn) end(cause error) {
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
func (c *Conn) farewell(closed *transport.CloseError) bool {
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
	return c.send(OpClose, appendClose(nil, closed.Status, reason)) == nil
}

// maxDrain is the number of bytes that are dropped while the peer's close frame is awaited:
// more than what is under way when it gets ours. A peer that floods is not read for longer.
const maxDrain = 8 << 20

var errDrained = errors.New("framed: the peer answers a close with data")

// drain reads and drops everything up to the peer's close frame, and returns
// what that says, or nil if there is none.
func (c *Conn) drain() *transport.CloseError {
	c.readTurn.seize()
	defer c.In.release()
	c.rest = maxDrain
	for c.peerClose == nil {
		if err := c.In.Skip(); err != nil {
			return nil
		}
		op, payload, err := c.frames.NextFrame()
		switch {
		case err != nil && c.In.err != nil:
			return nil
		case err != nil || op != OpClose:
			continue // Skip drops what is left of the frame, or of everything
		}
		c.peerClose = &transport.CloseError{Status: transport.StatusNoStatusReceived}
		if status, reason, ok := parseClose(payload); ok {
			c.peerClose.Status, c.peerClose.Reason = status, reason
		}
	}
	return c.peerClose
}

// drop closes the network connection and takes back what the system has not
// sent yet, so that nothing is kept for a peer that is not there.
func (c *Conn) drop() {
	if tcp, ok := c.wire.Net.(*net.TCPConn); ok {
		tcp.SetLinger(0) // if it fails, the socket is closed already
	}
	c.wire.Net.Close()
}

// finish releases what is left and makes the cause known. It is called once, by
// whom begin returned true.
func (c *Conn) finish(better *transport.CloseError) {
	c.wire.Net.Close() // nobody is left who could do anything about an error
	c.hard.Stop()
	c.answers.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if better != nil {
		c.cause = better
	}
	if c.gone == nil {
		c.gone = closedChan
		return
	}
	close(c.gone)
}

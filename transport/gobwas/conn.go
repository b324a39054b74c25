package gobwas

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"github.com/webwire-go/webwire/internal/wsnet"
	"github.com/webwire-go/webwire/transport"
)

// conn is a transport.Conn over an upgraded network connection.
//
// Two turns order its users: who holds the read turn owns reader and everything
// a Read needs, who holds the write turn owns the sending side. Whoever ends the
// connection (end.go) waits for both, which is bounded by the final deadline that
// begin sets and nothing extends.
type conn struct {
	net      wsnet.Bare
	client   bool
	out      output
	limits   transport.Limits
	base     time.Time // moments count from here
	protocol string
	text     atomic.Bool // text messages are accepted

	readTurn  sync.Mutex
	reader    reader
	fragments bool // a message has begun with frames that do not end it
	spent     int  // bytes of frames since the last whole message, with overhead
	clock     readClock
	peerClose *transport.CloseError // what the peer closed with

	writeTurn chan struct{}
	stuck     moment // the write deadline that is set
	torn      bool   // a write failed, or the close frame is sent: no frame may follow

	over atomic.Bool // the end has begun

	mu        sync.Mutex    // guards what follows, and the deadlines of the network
	cause     error         // why the connection ends; nil if it does not
	ending    chan struct{} // closed when the end begins; nil if nobody waits for that
	gone      chan struct{} // closed when nothing is left; cause is fixed then; nil before the end
	hard      *time.Timer   // drops the connection when the final deadline does not help
	pong      []byte        // payload of the last ping that is to be answered
	answering bool          // a goroutine is about to do so
	answers   sync.WaitGroup
}

func newConn(bare wsnet.Bare, role wsnet.Role, protocol string, acceptText bool) *conn {
	c := &conn{
		net:       bare,
		client:    role == wsnet.Client,
		limits:    transport.Limits{}.WithDefaults(),
		base:      time.Now(),
		protocol:  protocol,
		writeTurn: make(chan struct{}, 1),
	}
	c.out = newOutput(bare, c.client)
	c.text.Store(acceptText)
	c.reader.src = c.receive
	return c
}

// SetLimits implements transport.Conn.
func (c *conn) SetLimits(limits transport.Limits) { c.limits = limits.WithDefaults() }

// Protocol implements transport.Conn.
func (c *conn) Protocol() string { return c.protocol }

// RemoteAddr implements transport.Conn.
func (c *conn) RemoteAddr() net.Addr { return c.net.Wire.RemoteAddr() }

// AcceptText implements TextAccepter.
func (c *conn) AcceptText(accept bool) { c.text.Store(accept) }

// Read implements transport.Conn.
func (c *conn) Read(buf []byte) ([]byte, error) {
	c.readTurn.Lock()
	msg, err := c.readMessage(buf[:0])
	c.readTurn.Unlock()
	if err != nil {
		c.end(err)
		return nil, c.failure()
	}
	return msg, nil
}

// Write implements transport.Conn.
func (c *conn) Write(msgs ...[]byte) error {
	if err := c.takeWriteTurn(); err != nil {
		c.end(err)
		return c.failure()
	}
	return c.written(c.out.write(msgs))
}

// Ping implements transport.Conn.
func (c *conn) Ping() error {
	if err := c.takeWriteTurn(); err != nil {
		c.end(err)
		return c.failure()
	}
	return c.written(c.out.control(ws.OpPing, nil))
}

// takeWriteTurn waits for the write turn and sets the write deadline.
func (c *conn) takeWriteTurn() error {
	start := c.now()
	select {
	case c.writeTurn <- struct{}{}:
	default:
		timer := time.NewTimer(c.limits.WriteTimeout)
		defer timer.Stop()
		select {
		case c.writeTurn <- struct{}{}:
		case <-timer.C:
			return fmt.Errorf("websocket: write: %w", os.ErrDeadlineExceeded)
		case <-c.awaitEnding():
			return net.ErrClosed // failure knows better
		}
	}
	if c.over.Load() {
		<-c.writeTurn
		return net.ErrClosed
	}
	c.armWrite(start)
	return nil
}

// written gives back the write turn after a write that ended with err.
func (c *conn) written(err error) error {
	if err != nil {
		c.torn = true
	}
	c.disarmWrite()
	<-c.writeTurn
	if err != nil {
		c.end(fmt.Errorf("websocket: write: %w", err))
		return c.failure()
	}
	return nil
}

// answer sends a pong, in another goroutine, because the reader must not wait
// for a peer that does not read. Pings that come before it is sent share it.
func (c *conn) answer(payload []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return
	}
	c.pong = append(c.pong[:0], payload...)
	if c.answering {
		return
	}
	c.answering = true
	c.answers.Add(1)
	go c.sendPong()
}

func (c *conn) sendPong() {
	err := c.takeWriteTurn()
	c.mu.Lock()
	payload := c.pong
	c.answering, c.pong = false, nil
	c.mu.Unlock()
	if err == nil {
		if err = c.out.control(ws.OpPong, payload); err != nil {
			c.torn = true
			err = fmt.Errorf("websocket: write: %w", err)
		}
		c.disarmWrite()
		<-c.writeTurn
	}
	// Not later, because the end waits for the answers.
	c.answers.Done()
	if err != nil {
		c.end(err)
	}
}

// readError says what an error of reading means for the connection.
func readError(err error) error {
	var closed *transport.CloseError
	var violation ws.ProtocolError
	switch {
	case errors.As(err, &closed):
		return err
	case errors.As(err, &violation), errors.Is(err, errLength), errors.Is(err, errClose):
		return &transport.CloseError{Status: transport.StatusProtocol, Reason: transport.CutReason(err.Error()), Local: true}
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF // no close frame came before
	}
	return fmt.Errorf("websocket: read: %w", err)
}

package stream

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/webwire-go/webwire/transport"
)

// conn is a transport.Conn over a net.Conn.
//
// Two turns, channels of one slot, order its users: who holds the read turn owns
// reader and everything a Read needs, who holds the write turn owns the sending
// side. Whoever ends the connection (end.go) waits for both, which is bounded by
// the final deadline that begin sets on the net.Conn and nothing extends.
type conn struct {
	net     net.Conn
	raw     net.Conn // under the TLS connection, net otherwise
	scatter bool
	secure  *handshake // nil without TLS
	limits  transport.Limits

	readTurn  chan struct{}
	reader    reader
	silent    time.Time             // the read deadline that is set
	complete  time.Time             // when the current frame has to be; zero if it need not yet
	peerClose *transport.CloseError // what the peer closed with

	writeTurn chan struct{}
	stuck     time.Time // the write deadline that is set
	torn      bool      // a write failed, so that no other frame may follow

	ending chan struct{} // closed when the end begins
	gone   chan struct{} // closed when nothing is left; cause is fixed then

	mu        sync.Mutex // guards what follows, and the deadlines of net
	cause     error      // why the connection ends; nil if it does not
	answering bool       // a goroutine is about to send a pong
	answers   sync.WaitGroup
}

// New makes a connection of nc, which belongs to it from now on. The peer has to
// do the same. The handshake of a *tls.Conn is done with the first Read or Write
// if it was not done before. The methods of nc must not block, except Read and
// Write, which must obey the deadlines.
func New(nc net.Conn) transport.Conn {
	c := &conn{
		net:       nc,
		raw:       nc,
		scatter:   scatters(nc),
		limits:    transport.Limits{}.WithDefaults(),
		readTurn:  make(chan struct{}, 1),
		writeTurn: make(chan struct{}, 1),
		ending:    make(chan struct{}),
		gone:      make(chan struct{}),
	}
	if secure, ok := nc.(*tls.Conn); ok {
		// Closing the TLS connection could wait for a writer.
		c.raw = secure.NetConn()
		c.secure = &handshake{conn: secure}
	}
	c.reader.src = c.receive
	return c
}

func (c *conn) SetLimits(limits transport.Limits) { c.limits = limits.WithDefaults() }

func (c *conn) Protocol() string { return "" }

func (c *conn) RemoteAddr() net.Addr { return c.net.RemoteAddr() }

// Read implements transport.Conn.
func (c *conn) Read(buf []byte) ([]byte, error) {
	if err := c.shake(); err != nil {
		return nil, err
	}
	c.readTurn <- struct{}{}
	msg, err := c.readMessage(buf)
	<-c.readTurn
	if err != nil {
		c.end(err)
		return nil, c.failure()
	}
	return msg, nil
}

// readMessage handles frames until one is a message. It holds the read turn.
func (c *conn) readMessage(buf []byte) ([]byte, error) {
	for !c.isEnding() {
		c.complete = time.Time{}
		o, length, err := c.reader.next()
		if err != nil {
			return nil, readError(err)
		}
		switch {
		case o != opMessage:
			if err := c.control(o); err != nil {
				return nil, readError(err)
			}
		case length > c.limits.MaxMessageSize:
			return nil, &transport.CloseError{
				Status: transport.StatusTooBig,
				Reason: fmt.Sprintf("message over %d bytes", c.limits.MaxMessageSize),
				Local:  true,
			}
		default:
			if buf, err = c.reader.message(buf); err != nil {
				return nil, readError(err)
			}
			return buf, nil
		}
	}
	return nil, net.ErrClosed // failure knows better
}

// control handles a control frame whose header was read.
func (c *conn) control(o op) error {
	body, err := c.reader.body()
	if err != nil {
		return err
	}
	switch o {
	case opPing:
		c.answer()
	case opClose:
		status, reason, err := parseClose(body)
		if err != nil {
			return err
		}
		c.peerClose = &transport.CloseError{Status: status, Reason: reason}
		return c.peerClose
	}
	return nil
}

// readError says what an error of the reader means for the connection.
func readError(err error) error {
	var closed *transport.CloseError
	switch {
	case errors.As(err, &closed):
		return err
	case errors.Is(err, errFrame):
		return &transport.CloseError{Status: transport.StatusProtocol, Reason: "malformed frame", Local: true}
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("stream: read: %w", err)
}

// Write implements transport.Conn.
func (c *conn) Write(msgs ...[]byte) error {
	for _, msg := range msgs {
		if len(msg) > maxMessage {
			c.end(&transport.CloseError{Status: transport.StatusTooBig, Reason: "message over 2 GiB", Local: true})
			return c.failure()
		}
	}
	if err := c.takeWriteTurn(); err != nil {
		c.end(err)
		return c.failure()
	}
	return c.written(writeMessages(c.net, c.scatter, msgs))
}

// Ping implements transport.Conn.
func (c *conn) Ping() error {
	if err := c.takeWriteTurn(); err != nil {
		c.end(err)
		return c.failure()
	}
	return c.written(c.writeControl(opPing, nil))
}

// writeControl writes a control frame. The caller holds the write turn.
func (c *conn) writeControl(o op, body []byte) error {
	_, err := c.net.Write(appendControl(make([]byte, 0, headerSize+maxControl), o, body))
	return err
}

// takeWriteTurn waits for the write turn and sets the write deadline.
func (c *conn) takeWriteTurn() error {
	if err := c.shake(); err != nil {
		return err
	}
	start := time.Now()
	select {
	case c.writeTurn <- struct{}{}:
	default:
		timer := time.NewTimer(c.limits.WriteTimeout)
		defer timer.Stop()
		select {
		case c.writeTurn <- struct{}{}:
		case <-timer.C:
			return fmt.Errorf("stream: write: %w", os.ErrDeadlineExceeded)
		case <-c.ending:
			return net.ErrClosed
		}
	}
	if c.isEnding() {
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
	<-c.writeTurn
	if err != nil {
		c.end(fmt.Errorf("stream: write: %w", err))
		return c.failure()
	}
	return nil
}

// answer sends a pong, in another goroutine, because the reader must not wait
// for a peer that does not read. Pings that come before it is sent share it.
func (c *conn) answer() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.answering || c.cause != nil {
		return
	}
	c.answering = true
	c.answers.Add(1)
	go func() {
		err := c.takeWriteTurn()
		c.mu.Lock()
		c.answering = false
		c.mu.Unlock()
		if err == nil {
			if err = c.writeControl(opPong, nil); err != nil {
				c.torn = true
				err = fmt.Errorf("stream: write: %w", err)
			}
			<-c.writeTurn
		}
		// Not later, because end waits for the answers.
		c.answers.Done()
		if err != nil {
			c.end(err)
		}
	}()
}

package stream

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"github.com/webwire-go/webwire/internal/framed"
	"github.com/webwire-go/webwire/transport"
)

// conn is a transport.Conn over a net.Conn.
type conn struct {
	framed.Conn
	first *handshake
	whole bool // the next message has arrived; it belongs to the caller of Read
}

// Client makes the dialling end of a connection from nc; the peer calls [Server]. The
// connection owns nc, which Client closes if it fails. Client does the TLS handshake if nc
// is a *tls.Conn that has not done it, and negotiates the protocol. If ctx ends before that
// is done, Client returns the error of ctx. After Client has returned, ctx does not affect
// the connection. The Header of opts is ignored.
//
// Only the methods Read and Write of nc may block, and they must obey deadlines, including
// deadlines that are set while they block.
func Client(ctx context.Context, nc net.Conn, opts transport.DialOptions) (transport.Conn, error) {
	if err := checkOffer(opts.Protocols); err != nil {
		nc.Close()
		return nil, err
	}
	c := newConn(nc, &handshake{dialled: true, tokens: opts.Protocols}, opts.Limits)
	if err := c.shakeWithin(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// Server makes the accepting end of a connection from nc; the peer calls [Client]. The
// connection owns nc, whose requirements are described at Client. Server does not block: the
// first call of Read, Write, Ping, Protocol or PeerProtocols does the TLS handshake if nc is
// a *tls.Conn, and negotiates the protocol. That call fails, and the connection ends, if the
// TLS handshake takes longer than the shorter of the read and the write timeout, or if the
// peer's offer does not arrive within the read timeout.
func Server(nc net.Conn, opts transport.AcceptOptions) transport.Conn {
	return newConn(nc, &handshake{tokens: opts.Protocols}, opts.Limits)
}

func newConn(nc net.Conn, first *handshake, limits transport.Limits) *conn {
	c := &conn{first: first}
	first.over = make(chan struct{})
	wire := framed.Wire{Reader: nc, Writer: nc, Net: nc}
	if secure, ok := nc.(*tls.Conn); ok {
		// Closing the TLS connection could wait for a writer.
		wire.Net, wire.TLS = secure.NetConn(), true
		first.tls = secure
	}
	c.Init("stream", wire, c, limits)
	return c
}

// Read implements transport.Conn.
func (c *conn) Read(buf []byte) ([]byte, error) {
	if err := c.shake(); err != nil {
		return nil, err
	}
	if err := c.BeginRead(); err != nil {
		return nil, err
	}
	msg, err := c.readMessage(buf[:0])
	c.whole = err == nil && c.nextIsWhole()
	return msg, c.EndRead(err)
}

// readMessage handles frames until one is a message. It holds the read turn.
func (c *conn) readMessage(buf []byte) ([]byte, error) {
	for !c.Ending() {
		o, length, err := c.nextHeader()
		switch {
		case err != nil:
			return nil, err
		case o != framed.OpMessage:
			body, err := c.In.Body()
			if err == nil {
				err = c.Control(o, body)
			}
			if err != nil {
				return nil, err
			}
		case length > c.Limits.MaxMessageSize:
			return nil, &transport.CloseError{
				Status: transport.StatusMessageTooBig,
				Reason: fmt.Sprintf("message over %d bytes", c.Limits.MaxMessageSize),
				Local:  true,
			}
		default:
			return c.In.Append(buf)
		}
	}
	return nil, net.ErrClosed // the cause is known better
}

// nextHeader takes the header of the next frame.
func (c *conn) nextHeader() (o framed.Op, length int, err error) {
	c.In.Next()
	for len(c.In.Peek()) < headerSize {
		if err := c.In.Fill(); err != nil {
			return 0, 0, err
		}
	}
	o, length, ok := parseHeader(c.In.Peek())
	if !ok {
		return 0, 0, c.Violation("malformed frame")
	}
	c.In.Begin(headerSize, length)
	return o, length, nil
}

// Buffered implements transport.Peeker. The answer was found by the last Read,
// because whoever ends the connection uses what has arrived too.
func (c *conn) Buffered() bool { return c.whole && !c.Ending() }

// nextIsWhole reports whether the next frame is a message that will be accepted
// and has arrived whole.
func (c *conn) nextIsWhole() bool {
	b := c.In.Peek()
	if len(b) < headerSize {
		return false
	}
	o, length, ok := parseHeader(b)
	return ok && o == framed.OpMessage && length <= min(len(b)-headerSize, c.Limits.MaxMessageSize)
}

// Write implements transport.Conn.
func (c *conn) Write(msgs ...[]byte) error {
	if err := c.shake(); err != nil {
		return &transport.PartialError{Err: err}
	}
	for _, msg := range msgs {
		if len(msg) > maxMessage {
			err := c.Fail(&transport.CloseError{Status: transport.StatusMessageTooBig, Reason: "message over 2 GiB", Local: true})
			return &transport.PartialError{Err: err}
		}
	}
	if err := c.BeginWrite(); err != nil {
		return err
	}
	b := c.Batch()
	for _, msg := range msgs {
		b.Buf = appendHeader(b.Room(headerSize), len(msg))
		b.Add(msg)
	}
	return c.EndWrite(b.Send())
}

// Ping implements transport.Conn.
func (c *conn) Ping() error {
	if err := c.shake(); err != nil {
		return err
	}
	return c.Conn.Ping()
}

// NextFrame implements framed.Frames.
func (c *conn) NextFrame() (framed.Op, []byte, error) {
	o, _, err := c.nextHeader()
	if err != nil || o == framed.OpMessage {
		return o, nil, err
	}
	body, err := c.In.Body()
	return o, body, err
}

// AppendControl implements framed.Frames.
func (c *conn) AppendControl(dst []byte, o framed.Op, body []byte) []byte {
	return appendControl(dst, o, body)
}

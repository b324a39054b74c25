package websocket

import (
	"bytes"
	"io"
	"sync/atomic"
	"time"

	"github.com/webwire-go/webwire/internal/framed"
	"github.com/webwire-go/webwire/internal/wsnet"
	"github.com/webwire-go/webwire/transport"
)

// conn is a transport.Conn over an upgraded network connection.
type conn struct {
	framed.Conn
	protocol string
	client   bool
	whole    opcode      // the result of nextWhole in the last Read; owned by the caller of Read
	text     atomic.Bool // text messages are accepted

	// Owned by the holder of the read turn.
	spent  int           // bytes of frames since the last complete message, with overhead
	window time.Duration // when spent was last reset, see Age
}

func newConn(bare wsnet.Bare, client bool, protocol string, acceptText bool, limits transport.Limits) *conn {
	c := &conn{client: client, protocol: protocol}
	wire := framed.Wire{Reader: bare.Stream, Writer: bare.Wire, Net: bare.Wire, TLS: bare.TLS}
	if bare.TLS {
		wire.Writer = bare.Stream
	}
	if len(bare.Early) > 0 {
		wire.Reader = io.MultiReader(bytes.NewReader(bare.Early), bare.Stream)
	}
	c.text.Store(acceptText)
	c.Init("websocket", wire, c, limits)
	return c
}

// Protocol implements transport.Conn.
func (c *conn) Protocol() string { return c.protocol }

// AcceptText implements transport.TextAccepter.
func (c *conn) AcceptText(accept bool) { c.text.Store(accept) }

// Read implements transport.Conn.
func (c *conn) Read(buf []byte) ([]byte, error) {
	if err := c.BeginRead(); err != nil {
		return nil, err
	}
	msg, err := c.readMessage(buf[:0])
	if c.whole = 0; err == nil {
		c.whole = c.nextWhole()
	}
	return msg, c.EndRead(err)
}

// Buffered implements transport.Peeker. The last Read determined the result, because a call
// that ends the connection reads the buffer concurrently. Fragmented messages do not count.
func (c *conn) Buffered() bool {
	return (c.whole == opBinary || c.whole == opText && c.text.Load()) && !c.Ending()
}

// Write implements transport.Conn.
func (c *conn) Write(msgs ...[]byte) error {
	if err := c.BeginWrite(); err != nil {
		return err
	}
	b := c.Batch()
	for _, msg := range msgs {
		var mask [4]byte
		b.Buf, mask = appendHeader(b.Room(maxHeader), opBinary, len(msg), c.client)
		if !c.client {
			b.Add(msg)
			continue
		}
		for done := 0; done < len(msg); {
			part := b.Copy(msg[done:])
			cipher(part, mask, done)
			done += len(part)
		}
	}
	return c.EndWrite(b.Send())
}

// NextFrame implements framed.Frames.
func (c *conn) NextFrame() (framed.Op, []byte, error) {
	h, err := c.nextHeader()
	if err != nil || !h.op.isControl() {
		return framed.OpMessage, nil, err
	}
	payload, err := c.payload(&h)
	return ops[h.op], payload, err
}

// AppendControl implements framed.Frames.
func (c *conn) AppendControl(dst []byte, op framed.Op, payload []byte) []byte {
	return appendControl(dst, opcodes[op], payload, c.client)
}

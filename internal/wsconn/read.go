package wsconn

import (
	"errors"
	"fmt"
	"io"

	"github.com/webwire-go/webwire/internal/wsnet"
	"github.com/webwire-go/webwire/transport"
)

// minBuffer is the first size of a buffer that Read has to make itself.
const minBuffer = 512

// Read implements transport.Conn.
func (c *Conn[T, S]) Read(buf []byte) ([]byte, error) {
	if c.dead() {
		return nil, c.why()
	}
	c.wire.BeginRead()
	kind, r, err := c.lib.Reader(background)
	if err != nil {
		return nil, c.readFailed(err)
	}
	if kind != binary && !(kind == text && c.text.Load()) {
		return nil, c.offend(transport.StatusUnsupported, "only binary messages are accepted")
	}
	return c.readAll(r, buf[:0])
}

// Buffered implements transport.Peeker. What the library has and did not return
// yet is in its buffer. A text that is not accepted is announced with none of the
// messages ahead of it: whether it is the next is not known.
func (c *Conn[T, S]) Buffered() bool {
	return c.wire.Messages() > c.taken && (c.text.Load() || c.wire.LastText() <= c.taken) && !c.dead()
}

// readAll appends the message to buf. Memory grows with what has arrived; the
// length that a frame announces plays no part.
func (c *Conn[T, S]) readAll(r io.Reader, buf []byte) ([]byte, error) {
	for {
		room := buf[len(buf):cap(buf)]
		full := len(room) == 0
		if full {
			room = c.lastByte[:] // nothing may be left to come
		}
		n, err := r.Read(room)
		if n > 0 {
			if len(buf)+n > c.maxSize {
				return nil, c.tooBig()
			}
			if full {
				buf = grow(buf, c.maxSize)
				buf = append(buf, room[:n]...)
			} else {
				buf = buf[:len(buf)+n]
			}
		}
		switch {
		case err == io.EOF:
			c.taken++
			return buf, nil
		case err != nil:
			return nil, c.readFailed(err)
		}
	}
}

// grow returns buf with twice the space, or as much as a message may need.
func grow(buf []byte, limit int) []byte {
	size := max(2*cap(buf), minBuffer)
	if size > limit {
		size = max(limit, cap(buf)+1)
	}
	return append(make([]byte, 0, size), buf...)
}

func (c *Conn[T, S]) tooBig() error {
	return c.offend(transport.StatusTooBig, fmt.Sprintf("longer than %d bytes", c.maxSize))
}

// offend closes the connection because the peer broke a rule, and returns the
// error of Read.
func (c *Conn[T, S]) offend(status transport.Status, reason string) error {
	c.shut(&transport.CloseError{Status: status, Reason: reason, Local: true})
	return c.why()
}

// readFailed returns the error of a Read that the library failed.
func (c *Conn[T, S]) readFailed(err error) error {
	if status, reason, ok := c.opts.PeerClose(err); ok {
		return c.end(&transport.CloseError{Status: status, Reason: reason})
	}
	switch netErr := c.wire.ReadErr(); {
	case netErr == nil && !c.dead():
		// The bytes arrived, and the library did not like them. It may have
		// said so, in which case the second close frame is dropped.
		return c.offend(transport.StatusProtocol, "the WebSocket protocol was violated")
	case errors.Is(netErr, wsnet.ErrTooBig):
		return c.tooBig()
	case errors.Is(netErr, wsnet.ErrFlood):
		return c.offend(transport.StatusPolicy, wsnet.ErrFlood.Error())
	case netErr == io.EOF:
		err = io.ErrUnexpectedEOF // no close frame came before
	case netErr != nil:
		err = netErr
	}
	return c.end(fmt.Errorf("websocket: read: %w", err))
}

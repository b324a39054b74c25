package gobwas

import (
	"fmt"
	"math"
	"net"

	"github.com/gobwas/ws"

	"github.com/webwire-go/webwire/transport"
)

// readMessage appends the next message to msg, and handles the control frames
// that come before or within it. It holds the read turn.
func (c *conn) readMessage(msg []byte) ([]byte, error) {
	for !c.over.Load() {
		h, err := c.nextFrame()
		if err != nil {
			return nil, readError(err)
		}
		if h.OpCode.IsControl() {
			if err := c.control(&h); err != nil {
				return nil, readError(err)
			}
			continue
		}
		if err := c.admit(&h, len(msg)); err != nil {
			return nil, err
		}
		if msg, err = c.reader.payload(msg, &h); err != nil {
			return nil, readError(err)
		}
		if h.Fin {
			c.fragments, c.spent = false, 0
			return msg, nil
		}
		c.fragments = true
	}
	return nil, net.ErrClosed // failure knows better
}

// nextFrame takes the header of the next frame and checks it.
func (c *conn) nextFrame() (ws.Header, error) {
	if !c.fragments {
		c.clock.complete = never
	}
	h, err := c.reader.next()
	if err != nil {
		return h, err
	}
	// By far the most frames are whole messages and need no further look.
	if h.Fin && h.OpCode == ws.OpBinary && h.Rsv == 0 && h.Masked != c.client && !c.fragments {
		return h, nil
	}
	state := ws.StateServerSide
	if c.client {
		state = ws.StateClientSide
	}
	if c.fragments {
		state = state.Set(ws.StateFragmented)
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return h, c.reader.confused(err)
	}
	return h, nil
}

// admit decides about a data frame before its payload is read; have is the
// length of the message before it.
func (c *conn) admit(h *ws.Header, have int) error {
	switch {
	case h.OpCode == ws.OpText && !c.text.Load():
		return &transport.CloseError{
			Status: transport.StatusUnsupported,
			Reason: "only binary messages are accepted",
			Local:  true,
		}
	case h.Length > int64(c.limits.MaxMessageSize-have):
		return &transport.CloseError{
			Status: transport.StatusTooBig,
			Reason: fmt.Sprintf("longer than %d bytes", c.limits.MaxMessageSize),
			Local:  true,
		}
	case h.Fin:
		return nil
	}
	return c.spend(int(h.Length))
}

// spend counts a frame that completes no message, against peers that send such
// frames without end.
func (c *conn) spend(length int) error {
	const (
		overhead = 8 // of a frame, at least in bytes
		extra    = 64 << 10
	)
	limit := math.MaxInt
	if most := c.limits.MaxMessageSize; most < math.MaxInt/4 {
		limit = 2*most + extra
	}
	c.spent += overhead + length
	if c.spent > limit {
		return &transport.CloseError{
			Status: transport.StatusPolicy,
			Reason: "more bytes than a message may have, and no message",
			Local:  true,
		}
	}
	return nil
}

// control handles a control frame whose header was read.
func (c *conn) control(h *ws.Header) error {
	payload, err := c.reader.control(h)
	if err != nil {
		return err
	}
	switch h.OpCode {
	case ws.OpPing:
		c.answer(payload)
	case ws.OpClose:
		status, reason, err := parseClose(payload)
		if err != nil {
			return c.reader.confused(err)
		}
		c.peerClose = &transport.CloseError{Status: status, Reason: reason}
		return c.peerClose
	}
	return c.spend(len(payload))
}

package websocket

import (
	"fmt"
	"math"
	"net"

	"github.com/webwire-go/webwire/transport"
)

// readMessage appends the next message to msg, and handles the control frames
// that come before or within it. It holds the read turn.
func (c *conn) readMessage(msg []byte) ([]byte, error) {
	for !c.Ending() {
		h, err := c.nextHeader()
		if err != nil {
			return nil, err
		}
		if h.op.isControl() {
			if err := c.control(&h); err != nil {
				return nil, err
			}
			continue
		}
		if err := c.admit(&h, len(msg)); err != nil {
			return nil, err
		}
		start := len(msg)
		if msg, err = c.In.Append(msg); err != nil {
			return nil, err
		}
		if h.masked {
			cipher(msg[start:], h.mask, 0)
		}
		if h.fin {
			c.spent = 0
			return msg, nil
		}
	}
	return nil, net.ErrClosed // the cause is known better
}

// nextHeader takes the header of the next frame and checks it.
func (c *conn) nextHeader() (h header, err error) {
	c.In.Next()
	size := 0
	for {
		h, size, err = parseHeader(c.In.Peek())
		if err != nil {
			return h, c.Violation(err.Error())
		}
		if size > 0 {
			break
		}
		if err := c.In.Fill(); err != nil {
			return h, err
		}
	}
	c.In.Begin(size, int(min(h.length, math.MaxInt)))
	// By far the most frames are whole messages and need no further look.
	if h.fin && h.op == opBinary && h.rsv == 0 && h.masked != c.client && !c.In.Open {
		return h, nil
	}
	if !c.In.Open {
		c.forgive()
	}
	if err := h.check(c.client, c.In.Open); err != nil {
		return h, c.Violation(err.Error())
	}
	if !h.op.isControl() {
		c.In.Open = !h.fin
	}
	return h, nil
}

// nextWhole returns the opcode of the next frame if all of that has arrived, and it
// is no fragment and within the limits, and zero otherwise.
func (c *conn) nextWhole() opcode {
	b := c.In.Peek()
	size, length, err := sizes(b)
	if size == 0 || err != nil || length > int64(min(len(b)-size, c.Limits.MaxMessageSize)) ||
		b[0]&^opBits != finBit || (b[1]&maskBit != 0) == c.client {
		return 0
	}
	return opcode(b[0] & opBits)
}

// admit decides about a data frame before its payload is read; have is the
// length of the message before it.
func (c *conn) admit(h *header, have int) error {
	switch {
	case h.op == opText && !c.text.Load():
		return &transport.CloseError{
			Status: transport.StatusUnsupportedData,
			Reason: "only binary messages are accepted",
			Local:  true,
		}
	case h.length > int64(c.Limits.MaxMessageSize-have):
		return &transport.CloseError{
			Status: transport.StatusMessageTooBig,
			Reason: fmt.Sprintf("longer than %d bytes", c.Limits.MaxMessageSize),
			Local:  true,
		}
	case h.fin:
		return nil
	}
	return c.spend(int(h.length))
}

// control handles a control frame whose header was taken.
func (c *conn) control(h *header) error {
	payload, err := c.payload(h)
	if err != nil {
		return err
	}
	if err := c.Control(ops[h.op], payload); err != nil {
		return err
	}
	return c.spend(len(payload))
}

// payload takes the payload of a control frame.
func (c *conn) payload(h *header) ([]byte, error) {
	payload, err := c.In.Body()
	if h.masked {
		cipher(payload, h.mask, 0)
	}
	return payload, err
}

// spend counts a frame that completes no message, against peers that send such
// frames without end.
func (c *conn) spend(length int) error {
	const (
		overhead = 8 // of a frame, at least in bytes
		extra    = 64 << 10
	)
	limit := math.MaxInt
	if most := c.Limits.MaxMessageSize; most < math.MaxInt/4 {
		limit = 2*most + extra
	}
	c.spent += overhead + length
	if c.spent > limit {
		return &transport.CloseError{
			Status: transport.StatusPolicyViolation,
			Reason: "more bytes than a message may have, and no message",
			Local:  true,
		}
	}
	return nil
}

// forgive is called while no message is under way: keep-alives may go on for
// ever then, though not faster than the budget allows.
func (c *conn) forgive() {
	if age := c.Age(); age-c.window >= c.Limits.ReadTimeout {
		c.window = age
		c.spent = 0
	}
}

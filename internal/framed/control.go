package framed

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/webwire-go/webwire/transport"
)

// Ping implements transport.Conn. It waits for the write turn as a Write does. If another
// Ping is waiting already it returns, because one ping is enough.
func (c *Conn) Ping() error {
	if !c.pinging.CompareAndSwap(false, true) && !c.over.Load() {
		return nil
	}
	err := c.takeWriteTurn()
	c.pinging.Store(false)
	if err == nil {
		err = c.giveWriteTurn(c.send(OpPing, nil))
	}
	if err != nil {
		return c.Fail(err)
	}
	return nil
}

// Control handles a control frame: it answers a ping and records a close. The caller must
// hold the read turn and pass an error to EndRead.
func (c *Conn) Control(op Op, payload []byte) error {
	switch op {
	case OpPing:
		c.answer(payload)
	case OpClose:
		status, reason, ok := parseClose(payload)
		if !ok {
			return c.Violation("a close frame with a status or reason that may not be sent")
		}
		c.peerClose = &transport.CloseError{Status: status, Reason: reason}
		return c.peerClose
	}
	return nil
}

// Violation returns the error of a Read that found a violation of the framing protocol.
// The remaining input is skipped, because it is unknown where the next frame begins.
func (c *Conn) Violation(reason string) error {
	c.In.lose()
	return &transport.CloseError{Status: transport.StatusProtocolError, Reason: transport.CutReason(reason), Local: true}
}

// Send sends a control frame of the transport's own handshake. The caller must hold the read
// turn and pass an error to EndRead.
func (c *Conn) Send(op Op, payload []byte) error {
	if err := c.takeWriteTurn(); err != nil {
		return err
	}
	return c.giveWriteTurn(c.send(op, payload))
}

// send sends a control frame. The caller holds the write turn.
func (c *Conn) send(op Op, payload []byte) error {
	_, err := c.write(c.frames.AppendControl(make([]byte, 0, maxHeader+MaxControl), op, payload))
	return err
}

// answer sends a pong, in another goroutine, because the reader must not wait
// for a peer that does not read. Pings that come before it is sent share it.
func (c *Conn) answer(payload []byte) {
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

func (c *Conn) sendPong() {
	err := c.takeWriteTurn()
	c.mu.Lock()
	payload := c.pong
	c.answering, c.pong = false, nil
	c.mu.Unlock()
	if err == nil {
		err = c.giveWriteTurn(c.send(OpPong, payload))
	}
	// Not later, because the end waits for the answers.
	c.answers.Done()
	if err != nil {
		c.end(err)
	}
}

// appendClose appends the payload of a close frame.
func appendClose(dst []byte, status transport.Status, reason string) []byte {
	if status == transport.StatusNoStatusReceived {
		return dst
	}
	return append(binary.BigEndian.AppendUint16(dst, uint16(status)), reason...)
}

// parseClose is the inverse of appendClose.
func parseClose(payload []byte) (status transport.Status, reason string, ok bool) {
	switch len(payload) {
	case 0:
		return transport.StatusNoStatusReceived, "", true
	case 1:
		return 0, "", false
	}
	status = transport.Status(binary.BigEndian.Uint16(payload))
	return status, string(payload[2:]), status.Sendable() && utf8.Valid(payload[2:])
}

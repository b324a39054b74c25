package wsconn

import (
	"context"

	"github.com/webwire-go/webwire/internal/wsnet"
)

// background is what the library gets for a context, always.
var background = context.Background()

// Write implements transport.Conn. The wire turns the messages into frames and
// holds them back; then they leave in one system call. The library is not asked:
// its locks would cost more than all the rest.
func (c *Conn[T, S]) Write(msgs ...[]byte) error {
	if c.dead() {
		return c.why()
	}
	if err := c.take(); err != nil {
		return c.writeFailed(err)
	}
	err := c.writeAll(msgs)
	position := c.pass()
	if err == nil {
		err = c.wire.Flush(position)
	}
	if err != nil {
		return c.writeFailed(err)
	}
	return nil
}

// writeAll adds messages to what the wire holds back, and sends what becomes too
// much. The frames of a long message leave room for control frames between them.
func (c *Conn[T, S]) writeAll(msgs [][]byte) error {
	held := 0
	for _, msg := range msgs {
		for first, last := true, false; !last; first = false {
			n := min(len(msg), maxFrame)
			if held += n; held > wsnet.MaxHeld {
				if err := c.wire.FlushHeld(); err != nil {
					return err
				}
				held = n
			}
			last = n == len(msg)
			if err := c.wire.Fragment(msg[:n], first, last); err != nil {
				return err
			}
			msg = msg[n:]
		}
	}
	return nil
}

// Ping implements transport.Conn.
func (c *Conn[T, S]) Ping() error {
	if c.dead() {
		return c.why()
	}
	if err := c.take(); err != nil {
		return c.writeFailed(err)
	}
	err := c.wire.Ping()
	position := c.pass()
	if err == nil {
		err = c.wire.Flush(position)
	}
	if err != nil {
		return c.writeFailed(err)
	}
	return nil
}

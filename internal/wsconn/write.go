package wsconn

import (
	"context"

	"github.com/webwire-go/webwire/internal/wsnet"
)

// background is what the library gets for a context, always.
var background = context.Background()

// Write implements transport.Conn. The library turns the messages into frames
// while the wire holds them back; then they leave in one system call.
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

func (c *Conn[T, S]) writeAll(msgs [][]byte) error {
	held := 0
	for _, msg := range msgs {
		if len(msg) > maxFrame {
			if err := c.writeLarge(msg); err != nil {
				return err
			}
			continue
		}
		if held += len(msg); held > wsnet.MaxHeld {
			if err := c.wire.FlushHeld(); err != nil {
				return err
			}
			held = len(msg)
		}
		if err := c.lib.Write(background, binary, msg); err != nil {
			return err
		}
	}
	return nil
}

// writeLarge sends a message in several frames, and the frames as they fill
// the cork.
func (c *Conn[T, S]) writeLarge(msg []byte) error {
	w, err := c.lib.Writer(background, binary)
	if err != nil {
		return err
	}
	for held := wsnet.MaxHeld; len(msg) > 0; {
		n := min(len(msg), maxFrame)
		if held += n; held > wsnet.MaxHeld {
			if err := c.wire.FlushHeld(); err != nil {
				return err
			}
			held = n
		}
		if _, err := w.Write(msg[:n]); err != nil {
			return err
		}
		msg = msg[n:]
	}
	return w.Close()
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

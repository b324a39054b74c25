package framed

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"

	"github.com/webwire-go/webwire/transport"
)

// A readTurn is held by the Read in progress, and finally by the call that ends the
// connection. It is not a mutex, because the time of a testing/synctest bubble does not
// advance while a goroutine waits for a mutex.
type readTurn struct {
	state atomic.Int32
	left  chan struct{} // closed by the Read that was in progress when the turn was seized
}

const (
	free = iota
	reading
	seized
)

// take reports whether the turn is there.
func (t *readTurn) take() bool { return t.state.CompareAndSwap(free, reading) }

func (t *readTurn) give() {
	if !t.state.CompareAndSwap(reading, free) {
		close(t.left)
	}
}

// seize takes the turn for ever, when the Read in progress is over.
func (t *readTurn) seize() {
	t.left = make(chan struct{})
	if t.state.Swap(seized) == reading {
		<-t.left
	}
}

// BeginRead takes the read turn. If it fails, its error is the error of the Read.
func (c *Conn) BeginRead() error {
	if !c.readTurn.take() {
		return c.failure()
	}
	return nil
}

// EndRead releases the read turn after a Read that ended with err, and returns the error
// the Read must return. If err is not nil it ends the connection.
func (c *Conn) EndRead(err error) error {
	c.readTurn.give()
	if err == nil {
		return nil
	}
	var closed *transport.CloseError
	if !errors.As(err, &closed) {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF // no close frame came before
		}
		err = fmt.Errorf("%s: read: %w", c.name, err)
	}
	return c.Fail(err)
}

// BeginWrite waits for the write turn. If it fails, its error is the error of the Write.
func (c *Conn) BeginWrite() error {
	if err := c.takeWriteTurn(); err != nil {
		return &transport.PartialError{Err: c.Fail(err)}
	}
	return nil
}

// EndWrite releases the write turn after a Write that ended with err, and returns the error
// the Write must return. If err is not nil it ends the connection.
func (c *Conn) EndWrite(err error) error {
	// Only this Write is concerned by how far it came.
	partial, known := err.(*transport.PartialError)
	if known {
		err = partial.Err
	}
	if err = c.giveWriteTurn(err); err == nil {
		return nil
	}
	if err = c.Fail(err); known {
		return &transport.PartialError{Sent: partial.Sent, Err: err}
	}
	return err
}

// takeWriteTurn needs no limit of time: whoever has the turn makes progress, or ends
// the connection because it does not.
func (c *Conn) takeWriteTurn() error {
	select {
	case c.writeTurn <- struct{}{}:
	default:
		select {
		case c.writeTurn <- struct{}{}:
		case <-c.awaitEnding():
			return net.ErrClosed // failure knows better
		}
	}
	if c.over.Load() {
		<-c.writeTurn
		return net.ErrClosed
	}
	return nil
}

func (c *Conn) giveWriteTurn(err error) error {
	if err != nil {
		c.torn = true
		err = fmt.Errorf("%s: write: %w", c.name, err)
	}
	c.disarmWrite()
	<-c.writeTurn
	return err
}

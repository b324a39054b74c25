// Package wsconn makes a transport.Conn of a connection of nhooyr.io/websocket
// or github.com/coder/websocket, which have the same methods and different
// types. The limits are kept below the library, by the wsnet.Conn it runs on.
//
// What both libraries do badly is not asked of them: they never see a context
// that can end, because they close the connection with it; their Ping, which
// waits for the answer, is not used; a close is bounded from below, since theirs
// can neither be bounded nor interrupted.
package wsconn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/webwire-go/webwire/internal/wsnet"
	"github.com/webwire-go/webwire/transport"
)

// Library is what is used of a library's connection. T is its message type, S
// its status code; both have the numbers of RFC 6455.
type Library[T, S ~int] interface {
	Reader(context.Context) (T, io.Reader, error)
	Close(S, string) error
	CloseNow() error
	SetReadLimit(int64)
}

// Options is what New needs besides the connection.
type Options struct {
	Protocol   string
	AcceptText bool

	// PeerClose returns the status and reason of the close frame that err is
	// the library's report of, and whether it is one.
	PeerClose func(err error) (status transport.Status, reason string, ok bool)
}

// Message types of both libraries.
const (
	text   = 1
	binary = 2
)

// maxFrame is the longest message that is sent as one frame. The frames of a
// longer one leave room to pings and their answers between them, and the cork below
// never holds more than one of them too much.
const maxFrame = 64 << 10

// verdictTime bounds how long a Write that the network failed waits to learn
// from the reader whether the peer closed the connection before.
const verdictTime = 100 * time.Millisecond

// errAborted is the cause of everything that fails after Abort.
var errAborted = &transport.CloseError{Status: transport.StatusNone, Local: true}

// Conn implements transport.Conn.
type Conn[T, S ~int] struct {
	lib      Library[T, S]
	wire     *wsnet.Conn
	opts     Options
	text     atomic.Bool
	maxSize  int
	lastByte [1]byte // of the reader: room to see the end of a message

	taken uint64 // messages that Read returned

	turn chan struct{} // full while somebody writes, and for ever once closed

	mu     sync.Mutex
	cause  error         // why the connection is of no use any more
	failed chan struct{} // closed once there is a cause
}

// New returns the connection that lib speaks over wire.
func New[T, S ~int](lib Library[T, S], wire *wsnet.Conn, opts Options) *Conn[T, S] {
	c := &Conn[T, S]{
		lib:    lib,
		wire:   wire,
		opts:   opts,
		turn:   make(chan struct{}, 1),
		failed: make(chan struct{}),
	}
	c.text.Store(opts.AcceptText)
	c.SetLimits(transport.Limits{})
	return c
}

// SetLimits implements transport.Conn.
func (c *Conn[T, S]) SetLimits(l transport.Limits) {
	c.wire.SetLimits(l)
	c.maxSize = c.wire.Limits().MaxMessageSize
	c.lib.SetReadLimit(int64(c.maxSize))
}

// AcceptText says whether text messages are accepted from now on, as the bytes
// they consist of. It may be called at any time.
func (c *Conn[T, S]) AcceptText(accept bool) { c.text.Store(accept) }

// Protocol implements transport.Conn.
func (c *Conn[T, S]) Protocol() string { return c.opts.Protocol }

// RemoteAddr implements transport.Conn.
func (c *Conn[T, S]) RemoteAddr() net.Addr { return c.wire.RemoteAddr() }

// fail gives the connection a cause if it has none, and reports whether it did.
func (c *Conn[T, S]) fail(err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return false
	}
	c.cause = err
	close(c.failed)
	return true
}

// end fails the connection, releases it if nobody else does, and returns the
// cause.
func (c *Conn[T, S]) end(err error) error {
	if c.fail(err) {
		c.release()
	}
	return c.why()
}

// why returns the cause, nil while there is none.
func (c *Conn[T, S]) why() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

func (c *Conn[T, S]) dead() bool {
	select {
	case <-c.failed:
		return true
	default:
		return false
	}
}

// release drops what the connection holds. The network goes first: CloseNow
// waits for calls that are blocked in it.
func (c *Conn[T, S]) release() {
	c.wire.Abort()
	c.lib.CloseNow()
	c.wire.Close()
}

// Abort implements transport.Conn.
func (c *Conn[T, S]) Abort() error {
	c.fail(errAborted)
	c.release()
	return nil
}

// Close implements transport.Conn. It returns nil: whether the peer learned of
// the close is its own business from then on.
func (c *Conn[T, S]) Close(status transport.Status, reason string) error {
	if !status.Sendable() {
		status = transport.StatusNormal
	}
	c.shut(&transport.CloseError{Status: status, Reason: transport.CutReason(reason), Local: true})
	return nil
}

// shut closes the connection for a reason of this side, unless it was closed or
// has failed before. The final deadline makes every step return in time,
// whatever the library waits for.
func (c *Conn[T, S]) shut(why *transport.CloseError) {
	if !c.fail(why) {
		return
	}
	limit := c.wire.Limits().CloseTimeout
	c.wire.Finish(limit - limit/8)
	c.turn <- struct{}{} // kept: nobody writes after the close frame
	c.lib.Close(S(why.Status), why.Reason)
	c.release()
}

// take waits for the turn to write.
func (c *Conn[T, S]) take() error {
	began := time.Now()
	select {
	case c.turn <- struct{}{}:
		c.wire.Begin(began)
		return nil
	default:
	}
	timeout := time.NewTimer(c.wire.Limits().WriteTimeout)
	defer timeout.Stop()
	select {
	case c.turn <- struct{}{}:
		c.wire.Begin(began)
		return nil
	case <-c.failed:
		return c.why()
	case <-timeout.C:
		return os.ErrDeadlineExceeded
	}
}

// pass gives the turn to the next writer and returns the position to flush.
func (c *Conn[T, S]) pass() (position uint64) {
	position = c.wire.End()
	<-c.turn
	return position
}

// writeFailed returns the error of a failed Write or Ping. The reader may be
// about to know better: that the peer closed the connection, for instance.
func (c *Conn[T, S]) writeFailed(err error) error {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		wait := verdictTime
		if c.wire.Closing() {
			wait = c.wire.Limits().CloseTimeout
		}
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-c.failed:
		case <-timer.C:
		}
	}
	if netErr := c.wire.WriteErr(); netErr != nil {
		err = netErr
	}
	return c.end(fmt.Errorf("websocket: write: %w", err))
}

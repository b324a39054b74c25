package wsnet

import (
	"errors"
	"io"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/webwire-go/webwire/transport"
)

// ErrFlood is the error of Read when the peer sent far more than a message may
// have without completing one: empty frames, pings or pongs without end.
var ErrFlood = errors.New("more bytes than a message may have, and no message")

// ErrTooBig is the error of Read when a message is longer than the limit. The
// frames that say so are enough, their payload need not have arrived.
var ErrTooBig = errors.New("a message over the limit")

// Role says which end of a WebSocket connection a Conn is.
type Role bool

const (
	Server Role = false
	Client Role = true
)

// Conn is a network connection with every limit of time and size that a
// WebSocket connection needs. A library reads, writes and closes it as it would
// any other; the adapter around the library tells it what is going on through
// the other methods.
//
// What the library writes is held back. Control frames, which libraries send on
// their own, leave at once, and take along what was held; data frames leave when
// the adapter calls Flush. Write therefore never blocks, and a library that
// holds its locks around Write can answer pings while the peer does not read.
type Conn struct {
	stream io.ReadWriteCloser // carries the bytes, above TLS
	wire   net.Conn           // has deadlines and an end, below TLS
	tls    bool               // there is TLS between the two
	role   Role
	limits transport.Limits
	base   time.Time // moments are kept as nanoseconds since then

	early    []byte                // arrived with the request, ahead of stream
	ahead    []byte                // arrived, and the library does not have it yet
	aheadOf  *[aheadSize]byte      // what ahead is a part of, nil for early
	full     bool                  // the last read from stream could have brought more, and more has to come
	in       messages              // that arrived
	began    atomic.Int64          // when the wait for the rest of one began, zero if it did not
	window   atomic.Int64          // when the budget was last filled up
	budget   atomic.Int64          // bytes that may still arrive
	closing  atomic.Bool           // everything that arrives is thrown away
	readErr  atomic.Pointer[error] // the first of stream
	readTill atomic.Int64          // the read deadline that is set

	deadlines sync.Mutex // guards final and the calls that set deadlines
	final     bool       // the last deadline is set
	writeTill int64      // the write deadline that is set
	hard      *time.Timer

	cork
}

// newConn puts a guard on a connection. The bytes travel over stream, behind
// those in early; wire is the connection at the bottom of it.
func newConn(role Role, stream io.ReadWriteCloser, wire net.Conn, early []byte) *Conn {
	c := &Conn{role: role, stream: stream, wire: wire, early: early, base: time.Now()}
	c.cork.init(c)
	c.SetLimits(transport.Limits{})
	return c
}

// SetLimits replaces the limits. It comes before everything but the handshake.
func (c *Conn) SetLimits(l transport.Limits) {
	c.limits = l.WithDefaults()
	c.BeginRead()
}

// Limits returns the limits that apply, none of them zero.
func (c *Conn) Limits() transport.Limits { return c.limits }

// Role tells a server's end from a client's.
func (c *Conn) Role() Role { return c.role }

// now returns the present moment, never zero.
func (c *Conn) now() int64 { return int64(time.Since(c.base)) + 1 }

// BeginRead says that a message is wanted. What came while none was is not late.
func (c *Conn) BeginRead() {
	c.began.Store(0)
	c.fill(0)
}

// fill grants the budget for one message. Twice the longest message leaves
// room for the headers of many small frames, the rest for control frames.
func (c *Conn) fill(now int64) {
	limit := int64(c.limits.MaxMessageSize)
	if limit > math.MaxInt64/4 {
		limit = math.MaxInt64 / 4
	}
	c.window.Store(now)
	c.budget.Store(2*limit + 64<<10)
}

// Read fails once the peer was silent for the read timeout and an eighth, once
// a message takes longer than the read timeout, and once the budget is used up.
func (c *Conn) Read(p []byte) (n int, err error) {
	if len(c.early) > 0 { // only now are the limits known
		c.arrived(c.early)
		c.ahead, c.early = c.early, nil
	}
	if len(c.ahead) > 0 {
		n = copy(p, c.ahead)
		if c.ahead = c.ahead[n:]; len(c.ahead) == 0 {
			c.releaseAhead()
		}
		return n, nil
	}
	if err = c.admit(); err == nil {
		if c.full && len(p) < aheadSize {
			return c.readAhead(p)
		}
		n, err = c.stream.Read(p)
	}
	if err != nil {
		c.failRead(err)
	}
	many := c.arrived(p[:n])
	c.full = n == len(p) && n >= fullRead && !many && c.in.unfinished()
	return n, err
}

// arrived takes note of what was read, and reports whether that was many messages.
func (c *Conn) arrived(p []byte) (many bool) {
	before := c.in.ends.Load()
	c.budget.Add(-int64(len(p)))
	c.in.scan(p, uint64(c.limits.MaxMessageSize), c.role)
	return int(c.in.ends.Load()-before) > len(p)/shortMessage
}

// The buffers of the libraries hold a kilobyte or a few. Where that is full of few
// messages, and in the middle of one, aheadSize bytes are read at once: so nobody waits
// with such a buffer for a message that may never come. Where it holds many it is as
// well that they are answered before the next are read.
const (
	aheadSize    = 16 << 10
	fullRead     = 512
	shortMessage = 128
)

var aheads = sync.Pool{New: func() any { return new([aheadSize]byte) }}

// readAhead reads more than p has room for, if there is more.
func (c *Conn) readAhead(p []byte) (n int, err error) {
	c.aheadOf = aheads.Get().(*[aheadSize]byte)
	read, err := c.stream.Read(c.aheadOf[:])
	if err != nil {
		c.failRead(err) // told by the next call too
	}
	many := c.arrived(c.aheadOf[:read])
	c.full = read == aheadSize && !many && c.in.unfinished()
	n = copy(p, c.aheadOf[:read])
	if c.ahead = c.aheadOf[n:read]; len(c.ahead) == 0 {
		c.releaseAhead()
		return n, err
	}
	return n, nil
}

func (c *Conn) releaseAhead() {
	if c.aheadOf != nil {
		aheads.Put(c.aheadOf)
	}
	c.ahead, c.aheadOf = nil, nil
}

func (c *Conn) failRead(err error) { c.readErr.CompareAndSwap(nil, &err) }

// admit prepares the deadline of the next read, and refuses it if too much came.
func (c *Conn) admit() error {
	now, timeout := c.now(), int64(c.limits.ReadTimeout)
	if c.in.unfinished() {
		began := c.began.Load()
		if began == 0 {
			began = now
			c.began.Store(now)
		}
		if till := began + timeout; c.readTill.Load() != till {
			c.setReadDeadline(till)
		}
	} else {
		c.began.Store(0)
		// While no message is under way, keep-alives may go on for ever,
		// though not faster than the budget allows.
		if now-c.window.Load() >= timeout {
			c.fill(now)
		}
		// Setting a deadline costs as much as a small message. An eighth of
		// slack makes it rare.
		if c.readTill.Load() < now+timeout {
			c.setReadDeadline(now + timeout + timeout/8)
		}
	}
	switch {
	case c.closing.Load():
		return nil
	case c.in.tooBig: // not told before, as messages may have been ahead of it
		return ErrTooBig
	case c.budget.Load() < 0:
		return ErrFlood
	}
	return nil
}

// Messages returns how many whole messages the library got that it will accept.
func (c *Conn) Messages() uint64 { return c.in.ends.Load() }

// LastText returns the number of the last message that is text, whole or not; the first
// message has number one. Zero: there was none.
func (c *Conn) LastText() uint64 { return c.in.text.Load() }

// ReadErr returns the first error that Read returned, nil if there was none. A
// library that fails to read without one was sent something it does not accept.
func (c *Conn) ReadErr() error {
	if err := c.readErr.Load(); err != nil {
		return *err
	}
	return nil
}

func (c *Conn) setReadDeadline(till int64) {
	c.deadlines.Lock()
	defer c.deadlines.Unlock()
	if c.final {
		return
	}
	c.readTill.Store(till)
	c.wire.SetReadDeadline(c.base.Add(time.Duration(till)))
}

// setWriteDeadline gives a write that began at since the write timeout, or up
// to an eighth less if that saves the call.
func (c *Conn) setWriteDeadline(since int64) {
	timeout := int64(c.limits.WriteTimeout)
	c.deadlines.Lock()
	defer c.deadlines.Unlock()
	till := since + timeout
	if c.final || c.writeTill <= till && c.writeTill >= till-timeout/8 {
		return
	}
	c.writeTill = till
	c.wire.SetWriteDeadline(c.base.Add(time.Duration(till)))
}

// clearWriteDeadline is for TLS, where a read may have to write: a deadline
// left behind by some earlier write would end the connection.
func (c *Conn) clearWriteDeadline() {
	c.deadlines.Lock()
	defer c.deadlines.Unlock()
	if !c.final {
		c.writeTill = 0
		c.wire.SetWriteDeadline(time.Time{})
	}
}

// Finish sets the last deadline: after limit every read and write fails, and
// shortly afterwards the connection is dropped. Nothing extends it, a second
// Finish neither. Until then anything may arrive: a peer that is busy sending
// learns why the connection ends only if its bytes are taken.
func (c *Conn) Finish(limit time.Duration) {
	c.deadlines.Lock()
	defer c.deadlines.Unlock()
	if c.final {
		return
	}
	c.final = true
	c.closing.Store(true)
	c.wire.SetDeadline(time.Now().Add(limit))
	// Not every net.Conn obeys deadlines.
	c.hard = time.AfterFunc(limit+limit/16, func() { c.wire.Close() })
}

// Close sends what was held back and closes the connection. It is bounded by
// the last deadline, and by the close timeout if none is set.
func (c *Conn) Close() error {
	c.Finish(c.limits.CloseTimeout)
	err := c.drain()
	if err == nil {
		// TLS says goodbye here. It sets deadlines of its own, which are longer
		// than ours; the timer of Finish ends them.
		err = c.stream.Close()
	}
	c.wire.Close()
	c.hard.Stop()
	return err
}

// Abort drops the connection now. Blocked calls return. Close is still to be
// called, by the library as a rule.
func (c *Conn) Abort() {
	c.wire.Close()
	c.cork.abort()
}

func (c *Conn) LocalAddr() net.Addr  { return c.wire.LocalAddr() }
func (c *Conn) RemoteAddr() net.Addr { return c.wire.RemoteAddr() }

// Deadlines are the Conn's own business.

func (c *Conn) SetDeadline(time.Time) error      { return errors.ErrUnsupported }
func (c *Conn) SetReadDeadline(time.Time) error  { return errors.ErrUnsupported }
func (c *Conn) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }

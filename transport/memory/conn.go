package memory

import (
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/webwire-go/webwire/transport"
)

var (
	errLost         = fmt.Errorf("memory: connection lost: %w", io.ErrUnexpectedEOF)
	errReadTimeout  = fmt.Errorf("memory: read: %w", os.ErrDeadlineExceeded)
	errWriteTimeout = fmt.Errorf("memory: write: %w", os.ErrDeadlineExceeded)
)

// conn is one end of a connection.
//
// One mutex guards both ends and is held for a moment only. Who has to wait says
// so in a field, unlocks and waits for its channel; whoever changes what it waits
// for finds the field and wakes it. So a call that does not wait touches no
// channel but the write turn, and no timer.
type conn struct {
	mu   *sync.Mutex // of both ends
	peer *conn

	// Fixed before the connection is given to anybody.
	limits   transport.Limits
	protocol string
	named    []string // what the peer offers or supports; nil if nothing is negotiated

	writeTurn chan struct{} // held by the writer whose batch is being stored

	// What the peer sent.
	queue  ring
	direct []byte                // a message too long for queue, behind it, in the writer's memory
	pings  bool                  // not answered yet
	closed *transport.CloseError // comes after all messages

	// The Read in progress.
	reading bool          // it waits to be woken
	silent  bool          // the peer may be silent
	alive   bool          // something arrived that is not a message
	wake    chan struct{} // of one slot
	silence *time.Timer   // made when first needed; never stopped between Reads

	// The Write in progress, which stores into the peer's queue.
	writing bool          // it waits for room
	moved   time.Time     // when the peer last read or sent something while it waited
	stirs   uint64        // how often the peer read or sent something
	taken   bool          // the peer took the message that was held out to it
	room    chan struct{} // of one slot

	cause error // why this end is of no use any more; nil while it is
}

// Pipe returns the two ends of a new connection with the default limits. The ends do not
// negotiate: Protocol returns the empty string.
func Pipe() (a, b transport.Conn) { return pipe() }

func pipe() (a, b *conn) {
	mu := new(sync.Mutex)
	a, b = newConn(mu), newConn(mu)
	a.peer, b.peer = b, a
	return a, b
}

func newConn(mu *sync.Mutex) *conn {
	return &conn{
		mu:        mu,
		limits:    transport.Limits{}.WithDefaults(),
		writeTurn: make(chan struct{}, 1),
		wake:      make(chan struct{}, 1),
		room:      make(chan struct{}, 1),
	}
}

// Protocol implements transport.Conn. It does not block.
func (c *conn) Protocol() string { return c.protocol }

// PeerProtocols implements transport.Negotiator. It does not block.
func (c *conn) PeerProtocols() ([]string, error) { return c.named, nil }

// AllowSilence implements transport.SilenceAllower.
func (c *conn) AllowSilence() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.silent = true
}

// LocalAddr implements transport.Conn.
func (c *conn) LocalAddr() net.Addr { return addr{} }

// RemoteAddr implements transport.Conn.
func (c *conn) RemoteAddr() net.Addr { return addr{} }

// Ping implements transport.Conn. The peer answers all pings since its last answer at once.
func (c *conn) Ping() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.writable(); err != nil {
		return err
	}
	c.peer.pings = true
	c.peer.noteProgress()
	c.peer.wakeReader()
	return nil
}

// Arrivals implements transport.Monitor. Reads of the peer count as arrivals.
func (c *conn) Arrivals() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stirs
}

// Close implements transport.Conn. It does not block.
func (c *conn) Close(status transport.Status, reason string) error {
	if !status.Sendable() {
		status = transport.StatusNormalClosure
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.close(status, transport.CutReason(reason))
	return nil
}

// Abort implements transport.Conn. Messages the peer has not read are lost.
func (c *conn) Abort() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lose(&transport.CloseError{Status: transport.StatusNoStatusReceived, Reason: "aborted", Local: true})
	return nil
}

// close ends this side, and the peer's once it read everything.
func (c *conn) close(status transport.Status, reason string) {
	if c.cause != nil {
		return
	}
	c.end(&transport.CloseError{Status: status, Reason: reason, Local: true})
	c.peer.closed = &transport.CloseError{Status: status, Reason: reason}
	c.peer.wakeReader()
	c.peer.wakeWriter()
}

// lose ends this side because of cause, and the peer's too.
func (c *conn) lose(cause error) {
	if c.cause != nil {
		return
	}
	c.end(cause)
	c.peer.end(errLost)
}

// end makes this side useless and releases what it holds.
func (c *conn) end(cause error) {
	if c.cause != nil {
		return
	}
	c.cause = cause
	c.queue, c.direct = ring{}, nil
	c.peer.direct = nil // it belongs to our Write, which returns
	if c.silence != nil {
		c.silence.Stop()
	}
	c.wakeReader()
	c.wakeWriter()
	c.peer.wakeWriter() // which may be storing into the queue
}

// wakeReader wakes the Read that waits for something to arrive, if there is one.
func (c *conn) wakeReader() {
	if c.reading {
		c.reading = false
		c.wake <- struct{}{} // never blocks: one slot, one Read, one wake
	}
}

// wakeWriter wakes the Write that waits for room, if there is one.
func (c *conn) wakeWriter() {
	if c.writing {
		c.writing = false
		c.room <- struct{}{} // never blocks: one slot, one Write, one wake
	}
}

// noteProgress says that the peer read or sent something.
func (c *conn) noteProgress() {
	c.stirs++
	if c.writing {
		c.moved = time.Now()
	}
}

// addr is the address of everything in this package.
type addr struct{}

func (addr) Network() string { return "memory" }
func (addr) String() string  { return "memory" }

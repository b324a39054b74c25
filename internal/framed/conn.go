package framed

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/webwire-go/webwire/transport"
)

// A Conn is a connection on which the embedding type reads and writes frames.
//
// Two turns serialize its users: the holder of the read turn owns In and everything else a
// Read needs; the holder of the write turn owns the sending side. A call that ends the
// connection (end.go) waits for both, at most until the final deadline that begin sets and
// nothing extends.
//
// There may be many idle connections, so fields that few of them need are allocated when
// they are needed.
type Conn struct {
	In     Reader
	Limits transport.Limits // none of them zero

	name   string // of the transport, in errors
	wire   Wire
	frames Frames
	base   time.Time // moments count from here

	readTurn  readTurn
	peerClose *transport.CloseError // what the peer closed with

	writeTurn chan struct{}
	stuck     atomic.Int64 // the write deadline that is set, a moment; guarded by mu, for reading not
	progress  moment       // when the write to a socket last made progress
	arrivals  atomic.Uint64
	socket    bool        // writes can be resumed after a deadline, and of several buffers be one system call
	torn      bool        // a write failed, or the close frame is sent: no frame may follow
	answering bool        // a goroutine is about to send pong; guarded by mu
	heard     atomic.Bool // something arrived since the writer of a socket last looked
	pinging   atomic.Bool // a Ping waits for the write turn
	silence   atomic.Bool // the peer may be silent between messages

	over atomic.Bool // the end has begun
	rest int32       // bytes that may still be read, see drain; zero: any number
	last moment      // the final deadline; set before over is

	mu      sync.Mutex    // guards what follows, and the deadlines of the network
	cause   error         // why the connection ends; nil if it does not
	ending  chan struct{} // closed when the end begins; nil if nobody waits for that
	gone    chan struct{} // closed when nothing is left; cause is fixed then; nil if nobody waits for that
	hard    *time.Timer   // drops the connection when the final deadline does not help
	pong    []byte        // payload of the last ping that is to be answered
	answers sync.WaitGroup
}

// A Wire is the byte stream of a connection.
type Wire struct {
	io.Reader          // above TLS
	io.Writer          // above TLS; writes to a *net.TCPConn or *net.UnixConn avoid copies
	Net       net.Conn // below TLS; used for deadlines and for closing
	TLS       bool     // there is TLS between the Reader and Writer and Net
}

// Init prepares the zero Conn. The texts of its errors begin with name, the name of the
// transport.
func (c *Conn) Init(name string, wire Wire, frames Frames, limits transport.Limits) {
	c.In.conn = c
	c.Limits = limits.WithDefaults()
	c.name, c.wire, c.frames = name, wire, frames
	c.base = time.Now()
	c.writeTurn = make(chan struct{}, 1)
	switch wire.Writer.(type) {
	case *net.TCPConn, *net.UnixConn:
		c.socket = true
	}
}

// AllowSilence implements transport.SilenceAllower.
func (c *Conn) AllowSilence() { c.silence.Store(true) }

// LocalAddr implements transport.Conn.
func (c *Conn) LocalAddr() net.Addr { return known(c.wire.Net.LocalAddr()) }

// RemoteAddr implements transport.Conn.
func (c *Conn) RemoteAddr() net.Addr { return known(c.wire.Net.RemoteAddr()) }

// known returns addr, or an unknown address if addr is nil.
func known(addr net.Addr) net.Addr {
	if addr == nil {
		return unknown{}
	}
	return addr
}

// unknown is an address that is not known.
type unknown struct{}

func (unknown) Network() string { return "unknown" }
func (unknown) String() string  { return "unknown" }

// Age returns the time since Init.
func (c *Conn) Age() time.Duration { return time.Since(c.base) }

// Arrivals implements transport.Monitor.
func (c *Conn) Arrivals() uint64 { return c.arrivals.Load() }

// Ending reports whether the connection has begun to end.
func (c *Conn) Ending() bool { return c.over.Load() }

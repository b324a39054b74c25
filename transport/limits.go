package transport

import "time"

// The defaults of [Limits].
const (
	DefaultMaxMessageSize = 4 << 20
	DefaultReadTimeout    = 30 * time.Second
	DefaultWriteTimeout   = 10 * time.Second
	DefaultCloseTimeout   = 2 * time.Second
)

// MinReadRate is the lowest rate at which a message may arrive, in bytes per second:
// see [Limits.ReadTimeout].
const MinReadRate = 1 << 10

// MaxTimeout is the longest limit of time. It is there so that moments can be added up;
// nobody lives to see it.
const MaxTimeout = 100 * 365 * 24 * time.Hour

// Limits bounds what a connection may cost and how long it may take. The zero
// value of each field means its default. More time than MaxTimeout means MaxTimeout,
// so math.MaxInt64 is as good as no limit.
type Limits struct {
	// MaxMessageSize is the longest message Read accepts, in bytes. A longer
	// one closes the connection with StatusMessageTooBig before it is stored.
	// Zero: DefaultMaxMessageSize.
	MaxMessageSize int

	// ReadTimeout limits the silence of the peer while a Read is in progress. A
	// Read fails when nothing has arrived for ReadTimeout, not even a ping or the
	// answer to one. Each Read starts the measurement anew: the time between two
	// Reads does not count.
	//
	// Once a message has begun, it must make progress: within each ReadTimeout
	// either its end arrives, or MinReadRate bytes of its payload for each second
	// of ReadTimeout. Headers, empty fragments and control frames between
	// fragments are no progress. Above TLS, bytes count when their record is
	// complete, which has at most 16 KiB.
	//
	// The failure comes no earlier, and at most ReadTimeout/8 later.
	// Zero: DefaultReadTimeout.
	ReadTimeout time.Duration

	// WriteTimeout limits the time in which a Write or Ping makes no progress. It
	// fails when, for WriteTimeout, the network has accepted no byte of it and
	// nothing has arrived from the peer, not even a ping. So a Write may take as
	// long as the peer keeps reading, however slowly, and as long as a peer that is
	// too busy to read sends pings. What arrives is noticed only while a Read is
	// in progress. Where the transport cannot see how much of a write was
	// accepted, it counts in chunks: of 16 KiB above TLS, of 128 KiB for a net.Conn
	// that is neither a *net.TCPConn nor a *net.UnixConn.
	//
	// A Write or Ping that waits for another Write is not late by itself: it
	// proceeds when the other one is done, and fails when the other one does.
	//
	// The failure comes no earlier, and at most WriteTimeout/8 later.
	// Zero: DefaultWriteTimeout.
	WriteTimeout time.Duration

	// CloseTimeout is the longest time Close may take. Zero: DefaultCloseTimeout.
	CloseTimeout time.Duration
}

// WithDefaults returns l with every zero or negative field replaced by its default,
// and every time cut to MaxTimeout.
func (l Limits) WithDefaults() Limits {
	if l.MaxMessageSize <= 0 {
		l.MaxMessageSize = DefaultMaxMessageSize
	}
	if l.ReadTimeout <= 0 {
		l.ReadTimeout = DefaultReadTimeout
	}
	if l.WriteTimeout <= 0 {
		l.WriteTimeout = DefaultWriteTimeout
	}
	if l.CloseTimeout <= 0 {
		l.CloseTimeout = DefaultCloseTimeout
	}
	l.ReadTimeout = min(l.ReadTimeout, MaxTimeout)
	l.WriteTimeout = min(l.WriteTimeout, MaxTimeout)
	l.CloseTimeout = min(l.CloseTimeout, MaxTimeout)
	return l
}

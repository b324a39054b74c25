package transport

import "time"

// Default values of [Limits].
const (
	DefaultMaxMessageSize = 4 << 20
	DefaultReadTimeout    = 30 * time.Second
	DefaultWriteTimeout   = 10 * time.Second
	DefaultCloseTimeout   = 2 * time.Second
)

// MinReadRate is the minimum rate at which a message must arrive, in bytes per second. See
// [Limits.ReadTimeout].
const MinReadRate = 1 << 10

// MaxTimeout is the maximum of all time limits. It is long enough to mean "no limit", and
// short enough that adding it to the current time does not overflow.
const MaxTimeout = 100 * 365 * 24 * time.Hour

// Limits are the size and time limits of a connection. Fields that are zero or negative
// mean the default. Times above MaxTimeout mean MaxTimeout, so math.MaxInt64 is in effect no
// limit.
type Limits struct {
	// MaxMessageSize is the maximum length of a message that Read accepts, in bytes. A
	// longer message closes the connection with StatusMessageTooBig; no memory is
	// allocated for it. Zero: DefaultMaxMessageSize.
	MaxMessageSize int

	// ReadTimeout limits the silence of the peer while a Read is in progress. Read
	// fails when nothing arrives for ReadTimeout, including pings and answers to pings.
	// The time starts again with each Read; the time between two Reads does not count.
	//
	// A message that has begun must make progress: in each period of ReadTimeout
	// either its end must arrive, or MinReadRate bytes of its payload per second.
	// Headers, empty fragments and control frames between fragments do not count. Over
	// TLS, bytes count when their record (at most 16 KiB) is complete.
	//
	// Read fails at the earliest when the timeout expires and at the latest
	// ReadTimeout/8 after that. Zero: DefaultReadTimeout.
	ReadTimeout time.Duration

	// WriteTimeout limits the time a Write or Ping may go without progress. It fails
	// when, for WriteTimeout, the network accepts no byte of it and nothing arrives from
	// the peer, including pings. A Write therefore continues while the peer reads,
	// however slowly, and while a peer that is too busy to read sends pings. Arrivals are
	// noticed only while a Read is in progress. If the transport cannot see how many
	// bytes were accepted it counts chunks: of 16 KiB over TLS, and of 128 KiB for a
	// net.Conn that is neither a *net.TCPConn nor a *net.UnixConn.
	//
	// The timeout of a Write or Ping that waits for another Write starts when that
	// returns. If the other Write fails, the waiting one fails too.
	//
	// Write fails at the earliest when the timeout expires and at the latest
	// WriteTimeout/8 after that. Zero: DefaultWriteTimeout.
	WriteTimeout time.Duration

	// CloseTimeout is the maximum duration of Close. Zero: DefaultCloseTimeout.
	CloseTimeout time.Duration
}

// WithDefaults returns a copy of l in which zero and negative fields have their defaults
// and times are at most MaxTimeout.
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

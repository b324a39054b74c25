package transport

import "time"

// The defaults of [Limits].
const (
	DefaultMaxMessageSize = 4 << 20
	DefaultReadTimeout    = 30 * time.Second
	DefaultWriteTimeout   = 10 * time.Second
	DefaultCloseTimeout   = 2 * time.Second
)

// MaxTimeout is the longest limit of time. It is there so that moments can be added up;
// nobody lives to see it.
const MaxTimeout = 100 * 365 * 24 * time.Hour

// Limits bounds what a connection may cost and how long it may take. The zero
// value of each field means its default. More time than MaxTimeout means MaxTimeout,
// so math.MaxInt64 is as good as no limit.
type Limits struct {
	// MaxMessageSize is the longest message Read accepts, in bytes. A longer
	// one closes the connection with StatusTooBig before it is stored.
	// Zero: DefaultMaxMessageSize.
	MaxMessageSize int

	// ReadTimeout is the longest silence of the peer while a Read is in
	// progress: a Read that nothing arrived for, not even a ping or its answer,
	// fails within that time and an eighth. A message that has begun must be
	// complete within the same time. Zero: DefaultReadTimeout.
	ReadTimeout time.Duration

	// WriteTimeout is the longest time one Write or Ping may take.
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

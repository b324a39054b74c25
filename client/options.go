package client

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// Options says what a client does. The zero value of every field works.
type Options struct {
	// Hooks are called when something happens.
	Hooks Hooks

	// Handler handles signals if Hooks.OnServerSignal is nil.
	// Nil: signals are dropped, and counted in Stats.
	Handler Handler

	// Timeout bounds requests, and the waiting for a connection, where the context
	// has no deadline. Zero: one minute.
	Timeout time.Duration

	// DisableAutoconnect makes the client connect only when Connect is called, and
	// not again after the connection was lost. Methods that need a connection
	// return ErrDisconnected at once while there is none.
	DisableAutoconnect bool

	// DialTimeout bounds each attempt to connect, even if the Dialer ignores the end
	// of its context. Such a call is left alone: a connection that it still returns
	// is dropped, and later attempts wait for it, so that there is one at a time.
	// Zero: ten seconds.
	DialTimeout time.Duration

	// Header returns the header of the next attempt to connect, for instance a token that
	// expires. It is called once for each attempt, one call at a time, within
	// DialTimeout; its error fails the attempt. It replaces values of the same name in
	// the header of the Dialer. Transports without headers ignore it. Nil: no header.
	Header func(ctx context.Context) (http.Header, error)

	// GiveUp reports whether the client stops connecting after an attempt that failed,
	// or a connection that ended, with err. It is called once for each, while no other
	// attempt is made, and must return soon. Nil: the function GiveUp.
	GiveUp func(err error) bool

	// MinBackoff and MaxBackoff bound the pause between attempts to connect. Each
	// pause is random, from nothing to a limit: MinBackoff at first, then three
	// times as much after each attempt, as long as that is within MaxBackoff. It is
	// longer where the server asks for that. The limit starts anew after a connection
	// that lasted for MaxBackoff, or for MinBackoff if the server then said that it
	// goes away. The pauses between attempts to restore the session on one connection
	// have the same limits. Zero: one second and ten seconds.
	MinBackoff, MaxBackoff time.Duration

	// Versions are the versions of the protocol that the client speaks, the best first.
	// The server chooses one of them. A server that does not negotiate is asked for its
	// version, if it has metadata; over a transport that does not negotiate the client
	// speaks the first. Nil: 2.0, then 1.2.
	Versions []protocol.Version

	// SubProtocol is the name of what the application speaks on top of WebWire. A
	// server of 2.0 that names another is refused with a *VersionError.
	// Empty: none.
	SubProtocol string

	// MaxMessageSize is the longest message that is accepted, in bytes. A longer
	// one ends the connection. Zero: transport.DefaultMaxMessageSize.
	MaxMessageSize int

	// OutboxSize limits the bytes queued for sending. An empty queue accepts a message of
	// any size; otherwise a message is charged at most OutboxSize/2, so that small
	// messages cannot starve a large one. Zero: 1 MiB.
	OutboxSize int

	// InboxSize limits the bytes of received messages that wait for their hooks: signals,
	// and sessions that the server creates or closes. They are charged as in the outbox.
	// While they exceed it the client reads no further, see Hooks; only as much as it
	// takes to notice that the server is gone, up to four times InboxSize or 256 KiB.
	// Zero: 1 MiB.
	InboxSize int

	// ReadTimeout is the silence after which the connection counts as lost. A
	// server that is silent for a third of it is pinged.
	// Zero: transport.DefaultReadTimeout.
	ReadTimeout time.Duration

	// WriteTimeout is how long a write may make no progress, while nothing arrives
	// from the server, before the connection counts as lost. It is also how long a hook
	// that is called before OnConnected may delay requests that wait for OnConnected.
	// Zero: transport.DefaultWriteTimeout.
	WriteTimeout time.Duration

	// Keys keeps the session's key while the program does not run, see KeyFile.
	// Nil: the session is forgotten when the program ends.
	Keys KeyStore

	// Logger gets what goes wrong and is told to nobody else: panics of hooks and
	// failures of Keys, at Error. A session that cannot be restored now is logged at
	// Warn, once per connection; the first of a row of failures to connect at Warn,
	// and the end of the row at Info. Nil: slog.Default().
	Logger *slog.Logger
}

const (
	defaultTimeout     = time.Minute
	defaultDialTimeout = 10 * time.Second
	defaultMinBackoff  = time.Second
	defaultMaxBackoff  = 10 * time.Second
	defaultBoxSize     = 1 << 20
	maxRetryAfter      = 10 * time.Minute // what a server may ask for
)

func (o Options) withDefaults() Options {
	limits := o.limits().WithDefaults()
	o.MaxMessageSize, o.ReadTimeout, o.WriteTimeout = limits.MaxMessageSize, limits.ReadTimeout, limits.WriteTimeout
	defaultTo(&o.Timeout, defaultTimeout)
	defaultTo(&o.DialTimeout, defaultDialTimeout)
	defaultTo(&o.MinBackoff, defaultMinBackoff)
	defaultTo(&o.MaxBackoff, defaultMaxBackoff)
	defaultTo(&o.OutboxSize, defaultBoxSize)
	defaultTo(&o.InboxSize, defaultBoxSize)
	if len(o.Versions) == 0 {
		o.Versions = []protocol.Version{protocol.V2_0, protocol.V1_2}
	}
	if o.GiveUp == nil {
		o.GiveUp = GiveUp
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// limits returns the limits of a connection.
func (o Options) limits() transport.Limits {
	return transport.Limits{
		MaxMessageSize: o.MaxMessageSize,
		ReadTimeout:    o.ReadTimeout,
		WriteTimeout:   o.WriteTimeout,
	}
}

func defaultTo[N ~int | ~int64](field *N, value N) {
	if *field <= 0 {
		*field = value
	}
}

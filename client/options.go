package client

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// Options configure a client. The zero value of every field works.
type Options struct {
	// Hooks are called when something happens. Zero: none.
	Hooks Hooks

	// Handler handles signals, unless Hooks.OnServerSignal is set, and requests of the
	// server. Nil: signals are dropped and counted in Stats, requests are answered with
	// protocol.ErrNoHandler.
	Handler Handler

	// Timeout limits requests, and waiting for a connection, if the context has no
	// deadline. Zero: one minute.
	Timeout time.Duration

	// DisableAutoconnect makes the client connect only when Connect is called, and not
	// again after the connection is lost. Without a connection, methods that need one
	// return ErrDisconnected at once. False: it connects when a connection is needed, and
	// again when one is lost.
	DisableAutoconnect bool

	// DialTimeout limits each attempt to connect. If Dial, Probe or Header does not return
	// in time it is abandoned: a connection it returns later is closed, and no new
	// attempt starts until it has returned. Zero: ten seconds.
	DialTimeout time.Duration

	// Header returns the header of an attempt to connect, for instance with a token that
	// expires. It is called once per attempt, one call at a time; its context ends with
	// the attempt, and its error fails the attempt. Its values replace values of the same
	// name in the header of the Dialer. Transports without headers ignore it.
	// Nil: no header.
	Header func(ctx context.Context) (http.Header, error)

	// Credentials returns what proves to a server of 3.0 who the client is, for instance a
	// token that expires; at most 8 KiB. It is called as Header is, once the connection to
	// the server is made. Earlier versions do not send them. Nil: none.
	Credentials func(ctx context.Context) ([]byte, error)

	// GiveUp reports whether the client stops connecting after an attempt failed, or a
	// connection ended, with err. It is called once for each of them, delays the next
	// attempt until it returns, and must not call Close. Nil: the function GiveUp.
	GiveUp func(err error) bool

	// MinBackoff and MaxBackoff limit the pause between attempts to connect. Each pause is
	// random: from zero to a limit that starts at MinBackoff and quadruples with each
	// attempt, and once it would exceed MaxBackoff, from three quarters of MaxBackoff to
	// MaxBackoff. A server may ask for a longer pause. Backoff resets after a socket has
	// lasted at least MaxBackoff, or MinBackoff if the server closed it with
	// transport.StatusGoingAway or StatusCredentialsExpired. The pauses between attempts
	// to restore the session on one connection have the same limits.
	// Zero: one second and five seconds.
	MinBackoff, MaxBackoff time.Duration

	// Versions are the protocol versions that the client speaks, in order of preference.
	// The server chooses one of them. If it does not negotiate, the client asks for its
	// metadata; if the transport does not negotiate, the client speaks the first version.
	// Nil: 3.0, then 2.0, then 1.2.
	Versions []protocol.Version

	// SubProtocol is the name of the application's protocol on top of WebWire. Connecting
	// to a server of 2.0 or 3.0 that announces a different one fails with a *VersionError.
	// Empty: none.
	SubProtocol string

	// MaxMessageSize is the length in bytes of the longest message that is accepted. A
	// longer one closes the connection. At least 1024. Zero: transport.DefaultMaxMessageSize.
	MaxMessageSize int

	// OutboxSize limits the bytes queued for sending. An empty queue accepts a message of
	// any size; otherwise a message is charged at most OutboxSize/2, so that small
	// messages cannot starve a large one. With servers of 3.0 the client also keeps what was
	// sent and not acknowledged; above 256 KiB that counts too. Zero: 1 MiB.
	OutboxSize int

	// InboxSize limits the bytes of received messages that wait for their hooks: signals,
	// and sessions that the server creates, updates or closes. While it is exceeded the
	// client does not read, see Hooks, except to find out whether the server is still
	// there: up to four times InboxSize, or 256 KiB if that is more. Zero: 1 MiB.
	InboxSize int

	// ReadTimeout is the silence after which the connection counts as lost. The client
	// pings the server after a third of it.
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

	// Logger gets what no caller learns: panics, errors of handlers that the server is not
	// told, failures of Keys, connections that cannot be resumed, the first of several
	// failures to connect, and sessions that cannot be restored now, see OnSessionError.
	// docs/logging.md lists the records and their levels. They are limited in number.
	// Nil: slog.Default().
	Logger *slog.Logger
}

const (
	defaultTimeout     = time.Minute
	defaultDialTimeout = 10 * time.Second
	defaultMinBackoff  = time.Second
	defaultMaxBackoff  = 5 * time.Second
	defaultBoxSize     = 1 << 20
	leastMessageSize   = 1024             // that 3.0 lets an end announce
	maxRetryAfter      = 10 * time.Minute // what a server may ask for
)

func (o Options) withDefaults() Options {
	limits := o.limits().WithDefaults()
	o.MaxMessageSize, o.ReadTimeout, o.WriteTimeout = limits.MaxMessageSize, limits.ReadTimeout, limits.WriteTimeout
	o.MaxMessageSize = max(o.MaxMessageSize, leastMessageSize)
	defaultTo(&o.Timeout, defaultTimeout)
	defaultTo(&o.DialTimeout, defaultDialTimeout)
	defaultTo(&o.MinBackoff, defaultMinBackoff)
	defaultTo(&o.MaxBackoff, defaultMaxBackoff)
	defaultTo(&o.OutboxSize, defaultBoxSize)
	defaultTo(&o.InboxSize, defaultBoxSize)
	if len(o.Versions) == 0 {
		o.Versions = []protocol.Version{protocol.V3_0, protocol.V2_0, protocol.V1_2}
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

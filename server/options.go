package server

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport"
)

// Options says what a server does. The zero value of every field works.
type Options struct {
	// Hooks are called when something happens.
	Hooks Hooks

	// Upgrader turns HTTP requests into connections, &websocket.Upgrader{} of
	// transport/websocket for instance. Nil: the server takes no connections
	// over HTTP and answers 501.
	Upgrader transport.Upgrader

	// ConnContext returns the context of a connection that an HTTP request asks for.
	// Handlers of the connection get its values, and the connection is dropped when it
	// ends. It must be derived from ctx, which is never done and has no values. It must
	// not be derived from r.Context(), which ends when ServeHTTP returns and whose values
	// routers and tracing libraries then use for other requests: copy what handlers need.
	//
	//	ConnContext: func(ctx context.Context, r *http.Request) context.Context {
	//		return context.WithValue(ctx, roomKey{}, r.PathValue("room"))
	//	}
	//
	// It is called after BeforeUpgrade and before the request is answered, and must not
	// return nil; a panic is net/http's to handle. Nil: the context has no values.
	ConnContext func(ctx context.Context, r *http.Request) context.Context

	// Sessions is where sessions are kept. Nil: in memory, until they were not used for
	// session.DefaultMaxAge, or with the session hooks alone if both OnSessionCreated and OnSessionLookup are set. While a
	// connection has a session, its use is noted there every five minutes.
	Sessions session.Store

	// DisableSessions makes the server refuse to create and restore sessions.
	DisableSessions bool

	// MaxSessionConns is how many connections may have the same session at once.
	// Zero: any number.
	MaxSessionConns int

	// SessionPolicy is what happens when one connection more restores a session that
	// MaxSessionConns have. Zero: ReplaceOldest if MaxSessionConns is 1, else RefuseNewest.
	SessionPolicy SessionPolicy

	// Concurrency is how many requests of one connection are handled at once.
	// Zero: 64.
	Concurrency int

	// MaxMessageSize is the longest message that is accepted, in bytes. A longer
	// one ends its connection. Clients of 2.0 are told. Those that do not negotiate the
	// version, the published ones, refuse longer messages themselves: a reply that is
	// longer becomes an error with protocol.CodeTooBig, and a signal fails with
	// protocol.ErrTooBig. Zero: transport.DefaultMaxMessageSize.
	MaxMessageSize int

	// OutboxSize limits the bytes queued for sending on one connection. An empty
	// outbox takes a message of any size; otherwise a message is charged at most
	// OutboxSize/2, so that short messages cannot starve a long one.
	//
	// InboxSize limits the bytes of the messages of one connection that wait for a
	// handler or are being handled, each charged its size and 256 bytes, and at most
	// InboxSize/2. While the limit is exceeded the connection is not read. To notice
	// a peer that is gone meanwhile, the server reads on for as much again (at least
	// 64 KiB) after each third of ReadTimeout, three times at most; a peer that has
	// sent all that is disconnected if then no handler returns for ten times
	// ReadTimeout.
	//
	// Zero: 1 MiB each.
	OutboxSize, InboxSize int

	// ReadTimeout is the silence after which a connection counts as lost. Peers
	// that are silent for a third of it are pinged. Zero: transport.DefaultReadTimeout.
	ReadTimeout time.Duration

	// WriteTimeout is how long a write may make no progress, while nothing arrives
	// from the peer, before the connection counts as lost. Zero: transport.DefaultWriteTimeout.
	WriteTimeout time.Duration

	// Version is spoken to peers that negotiate nothing, as the published clients
	// do. Peers that do negotiate get the best version that both sides speak.
	// Zero: protocol.V1_2.
	Version protocol.Version

	// SubProtocol is the name of what the application speaks on top of WebWire.
	// Clients of 2.0 hang up unless they expect the same. Empty: none.
	SubProtocol string

	// Logger gets what goes wrong and is told to nobody else: errors of handlers
	// that the peer does not learn, panics, failures of the session store.
	// docs/logging.md lists the records and their levels. Clients cannot fill the log:
	// records that they can cause are limited. Nil: slog.Default().
	Logger *slog.Logger
}

// SessionPolicy chooses the connection that goes without when more connections want a
// session than Options.MaxSessionConns allows.
type SessionPolicy uint8

const (
	// RefuseNewest answers the restore with protocol.ErrSessionFull. A client that lost
	// its connection may be refused until the server has noticed that too.
	RefuseNewest SessionPolicy = iota + 1

	// ReplaceOldest gives the session to the newest connection. The one that got it
	// before all others loses it and is closed at once with transport.StatusReplaced,
	// after which our clients do not connect again. Published clients do, and where two
	// of them have the same key, in two tabs for instance, they replace each other
	// without end: use RefuseNewest for those.
	ReplaceOldest
)

const (
	defaultConcurrency = 64
	defaultBoxSize     = 1 << 20
	retryAfter         = "1" // seconds that clients are told to wait while the server shuts down
)

func (o Options) withDefaults() Options {
	limits := o.limits().WithDefaults()
	o.MaxMessageSize, o.ReadTimeout, o.WriteTimeout = limits.MaxMessageSize, limits.ReadTimeout, limits.WriteTimeout
	if o.Concurrency <= 0 {
		o.Concurrency = defaultConcurrency
	}
	if o.OutboxSize <= 0 {
		o.OutboxSize = defaultBoxSize
	}
	if o.InboxSize <= 0 {
		o.InboxSize = defaultBoxSize
	}
	if o.Version == 0 {
		o.Version = protocol.V1_2
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.SessionPolicy != ReplaceOldest && o.SessionPolicy != RefuseNewest {
		o.SessionPolicy = RefuseNewest
		if o.MaxSessionConns == 1 {
			o.SessionPolicy = ReplaceOldest
		}
	}
	h := &o.Hooks
	hooksStore := h.OnSessionCreated != nil && h.OnSessionLookup != nil
	if o.Sessions == nil && !o.DisableSessions && !hooksStore {
		o.Sessions = &session.MemoryStore{}
	}
	if h.OnOptions == nil {
		h.OnOptions = allowMetadata
	}
	if h.OnRequest == nil {
		h.OnRequest = NotFound
	}
	if h.OnSessionKeyGeneration == nil {
		h.OnSessionKeyGeneration = session.NewKey
	}
	return o
}

func (o Options) limits() transport.Limits {
	return transport.Limits{
		MaxMessageSize: o.MaxMessageSize,
		ReadTimeout:    o.ReadTimeout,
		WriteTimeout:   o.WriteTimeout,
	}
}

// allowMetadata answers the CORS preflight of browsers that are about to ask for
// the metadata (section 2.2 of PROTOCOL.md).
func allowMetadata(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Access-Control-Allow-Methods", protocol.MetadataMethod)
}

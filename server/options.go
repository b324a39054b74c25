package server

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport"
)

// Options configures a server. Every field may be left zero.
type Options struct {
	// Handler handles the requests and signals of clients, a *Mux for instance. It
	// serves what Hooks.OnRequest or Hooks.OnSignal leave nil. Nil: requests are
	// answered by NotFound and signals are dropped, unless the hooks handle them.
	Handler Handler

	// Hooks are called when something happens. Zero: none.
	Hooks Hooks

	// Upgrader turns HTTP requests into connections, websocket.Upgrader{} of
	// transport/websocket for instance. Nil: the server accepts no connections over HTTP
	// and answers 501.
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
	// return nil. A panic in it is handled by net/http. Nil: the context has no values.
	ConnContext func(ctx context.Context, r *http.Request) context.Context

	// MaxConns is the maximum number of connections at once, from before the handshake
	// until OnClientDisconnected has returned. Above it HTTP requests are answered with
	// 503 and a Retry-After header, and other connections are closed with
	// StatusTryAgainLater. As many handshakes as connections are away are let through above
	// it, because their clients may come back; new clients among them are closed with
	// StatusTryAgainLater after their hello. Zero: no limit.
	MaxConns int

	// Sessions stores the sessions. While connections have a session, its use is noted
	// in the store every five minutes. Nil: a session.MemoryStore, or no store if both
	// OnSessionCreated and OnSessionLookup are set, which then are the store.
	Sessions session.Store

	// Engine is what this node shares with others: publications, their history, who is
	// present, and what happens to sessions. The server opens it with the first connection
	// or when it is first used, see Server.OpenEngine, and Shutdown and Close close it. Its
	// Sessions are used if Sessions is nil. Zero: an engine.Memory of this server alone.
	Engine engine.Engine

	// Topics returns the options of a topic. It must return soon, always the same for a
	// name, and may be called concurrently. Nil: topics have neither history nor presence.
	Topics func(name string) TopicOptions

	// DisableSessions makes the server refuse to create and restore sessions. False: it
	// does both.
	DisableSessions bool

	// MaxSessionConns is the maximum number of connections that have the same session at
	// once, on all nodes together. With Options.Engine each restore then asks the other
	// nodes; those that do not answer are left out. Zero: no limit.
	MaxSessionConns int

	// SessionPolicy chooses what happens when a connection restores a session that
	// MaxSessionConns connections have already. Zero: ReplaceOldest if MaxSessionConns
	// is 1, otherwise RefuseNewest.
	SessionPolicy SessionPolicy

	// Concurrency is the maximum number of requests of one connection that are handled at
	// once. While replies that wait for room in the outbox exceed InboxSize, no further
	// handler starts. Handlers that have started by then hold one reply each, so a client
	// that does not read holds at most Concurrency replies, however long they are: stream
	// long replies, or lower Concurrency where they are long. Zero: 64.
	Concurrency int

	// MaxMessageSize is the longest message that is accepted, in bytes. A longer message
	// ends its connection. Clients of 2.0 and 3.0 learn this limit. Published clients of
	// 2.0, which do not negotiate the version, refuse longer messages themselves, and
	// clients of 3.0 announce a limit of their own: a longer reply to them becomes an
	// error with protocol.CodeTooBig, and a longer signal fails with
	// protocol.ErrTooBig. At least 1024. Zero: transport.DefaultMaxMessageSize.
	MaxMessageSize int

	// OutboxSize limits the bytes queued for sending on one connection. An empty
	// outbox takes a message of any size; otherwise a message is charged at most
	// OutboxSize/2, so that short messages cannot starve a long one. Messages are
	// written in batches of about OutboxSize/8, at least 8 KiB and at most 128 KiB. A
	// write in progress may hold a copy of its batch. What connections of 3.0 keep counts
	// apart, see ResumeWindow.
	//
	// InboxSize limits the bytes of the messages of one connection that wait for a
	// handler or are being handled. Each is charged its size plus 256 bytes, at most
	// InboxSize/2. While the limit is exceeded the connection is not read. To detect a
	// peer that is gone meanwhile, the server reads up to as many bytes again (at least
	// 64 KiB) after each sixth of ReadTimeout, at most three times. A peer that has sent
	// more than that is disconnected if no handler returns for ten times ReadTimeout.
	//
	// Zero: 1 MiB each.
	OutboxSize, InboxSize int

	// ReadTimeout is the silence after which a connection counts as lost. A peer that
	// has been silent for a third of it is pinged. Time in which the connection is not
	// read because of InboxSize counts as silence, but then the peer has at least half of
	// ReadTimeout to answer a ping. Zero: transport.DefaultReadTimeout.
	ReadTimeout time.Duration

	// WriteTimeout is the time after which a connection counts as lost if a write makes
	// no progress and nothing arrives from the peer. Zero: transport.DefaultWriteTimeout.
	WriteTimeout time.Duration

	// ResumeWindow is for how long a connection of 3.0 that lost its socket waits for its
	// client to come back on another one. Meanwhile handlers run on, and what is sent to the
	// client is kept: at most 256 KiB or 1024 messages for one connection, and 256 MiB for
	// all. The 256 KiB include about the memory that each message occupies besides its
	// bytes. Memory is freed in the batches in which messages were written, see OutboxSize:
	// if these are longer than 16 KiB one connection holds up to three of them and a quarter of
	// 256 KiB more. Above the limits the oldest signals are dropped and the client learns how
	// many. Replies are kept apart, with the same limits but 512 messages; above 256 KiB, or
	// 256 MiB for all, the client learns that the reply to an executed request is lost. See
	// section 11.10 of PROTOCOL.md, and Hooks.OnClientAway. Clients may come back to any node
	// that shares Engine, see Hooks.OnClientBack. Zero: two minutes. Negative: connections end
	// with their sockets.
	ResumeWindow time.Duration

	// DrainSpread is the time over which Shutdown spreads the clients of 3.0 that it asks to
	// connect again: each leaves at a random moment, so that they do not all come to the next
	// server at once. Shutdown takes that much longer. Zero: they leave at once.
	DrainSpread time.Duration

	// Version is spoken to peers that negotiate nothing, as published clients do. With
	// peers that negotiate, the server speaks the newest version that both know.
	// Zero: protocol.V1_2.
	Version protocol.Version

	// SubProtocol is the name of the application's protocol on top of WebWire. Clients
	// of 2.0 and 3.0 disconnect unless they expect the same name. Empty: none.
	SubProtocol string

	// Logger gets what no caller and no client learns: errors of handlers that the
	// client is not told, panics, failures of the session store. docs/logging.md lists
	// the records and their levels. Records that clients can cause are limited in number.
	// Nil: slog.Default().
	Logger *slog.Logger
}

// SessionPolicy chooses which connection does not get the session when more connections
// want it than Options.MaxSessionConns allows.
type SessionPolicy uint8

const (
	// RefuseNewest answers the restore with protocol.ErrSessionFull. A client that lost
	// its connection may be refused until the server has noticed the loss. A connection
	// that is away by then, see Options.ResumeWindow, ends and gives its place up.
	RefuseNewest SessionPolicy = iota + 1

	// ReplaceOldest gives the session to the newest connection. The connection that has
	// had it longest is closed at once with transport.StatusReplaced, after which clients
	// of this module do not connect again. Published clients do: two of them with the
	// same key, in two tabs for instance, replace each other forever. Use RefuseNewest
	// for those.
	ReplaceOldest
)

const (
	defaultConcurrency = 64
	defaultBoxSize     = 1 << 20
	leastMessageSize   = 1024 // that 3.0 lets an end announce
	retryAfter         = "1"  // seconds until clients of HTTP may try again
)

func (o Options) withDefaults() Options {
	for _, d := range []*time.Duration{&o.ReadTimeout, &o.WriteTimeout, &o.ResumeWindow, &o.DrainSpread} {
		if lacksUnit(*d) {
			*d = 0
		}
	}
	o.DrainSpread = max(0, o.DrainSpread)
	limits := o.limits().WithDefaults()
	o.MaxMessageSize, o.ReadTimeout, o.WriteTimeout = limits.MaxMessageSize, limits.ReadTimeout, limits.WriteTimeout
	o.MaxMessageSize = max(o.MaxMessageSize, leastMessageSize)
	if o.Concurrency <= 0 {
		o.Concurrency = defaultConcurrency
	}
	if o.OutboxSize <= 0 {
		o.OutboxSize = defaultBoxSize
	}
	if o.InboxSize <= 0 {
		o.InboxSize = defaultBoxSize
	}
	if o.ResumeWindow == 0 {
		o.ResumeWindow = defaultResumeWindow
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
	if o.Handler != nil && h.OnRequest == nil {
		h.OnRequest = o.Handler.HandleRequest
	}
	if o.Handler != nil && h.OnSignal == nil {
		h.OnSignal = o.Handler.HandleSignal
	}
	if o.Sessions == nil {
		o.Sessions = o.Engine.Sessions
	}
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

package server

import (
	"context"
	"net/http"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/session"
)

// Hooks are functions that the server calls when something happens. Each may be
// nil. A panic in a hook is logged, and answered as an error of the hook where
// that is possible; one in OnOptions or BeforeUpgrade is net/http's to handle.
//
// Of one connection, OnClientConnected comes first and alone, OnClientDisconnected
// last and alone. Between them signals are handled in the order they arrived, one
// at a time, and a request is handled concurrently with other requests, but not
// before the signals ahead of it were handled.
type Hooks struct {
	// OnOptions answers HTTP OPTIONS requests. Nil: browsers of any origin may
	// ask for the metadata.
	OnOptions func(w http.ResponseWriter, r *http.Request)

	// BeforeUpgrade decides whether an HTTP request may become a connection. If it
	// returns false it has answered the request.
	BeforeUpgrade func(w http.ResponseWriter, r *http.Request) bool

	// OnClientConnected is called with each new connection, before any of its
	// messages is handled. It may use the connection in any way. A session that it
	// creates is closed again if the client then restores one that it has already, see
	// Conn.CreateSession.
	OnClientConnected func(c *Conn)

	// OnClientDisconnected is called exactly once for each connection that
	// OnClientConnected was due for, after the last of its handlers returned. The
	// reason is a *transport.CloseError if the peer closed the connection,
	// ErrSlowConsumer, ErrServerClosed, ErrProtocolViolation, ErrConnClosed,
	// ErrSessionReplaced or ErrTooManyRestores if this side ended it, and an error of
	// the network otherwise.
	OnClientDisconnected func(c *Conn, reason error)

	// OnSignal handles signals, mux.HandleSignal of a Mux for instance. Nil:
	// signals are dropped, and counted in Stats.
	OnSignal SignalHandler

	// OnRequest handles requests, mux.HandleRequest of a Mux for instance.
	// Nil: NotFound.
	OnRequest RequestHandler

	// OnSessionKeyGeneration makes up the key of a new session, which is a secret:
	// unpredictable, and never used before. Nil: session.NewKey.
	OnSessionKeyGeneration func() string

	// OnSessionCreated is called when a session was created and, if there is a
	// Store, saved, and before the client learns of it. An error undoes the
	// creation, and is what CreateSession returns. Without a Store this is where
	// the session is saved.
	OnSessionCreated func(ctx context.Context, c *Conn, s session.Session) error

	// OnSessionLookup is called when a client wants to restore a session. With a
	// Store it gets what the store has, and returns what the client shall get, or
	// an error to refuse. Without a Store s has the key only, and the hook finds
	// the session. An error that is session.ErrNotFound tells the client to forget
	// the session; with any other error the client keeps the key.
	OnSessionLookup func(ctx context.Context, c *Conn, s session.Session) (session.Session, error)

	// OnSessionClosed is called when a session was closed and, if there is a Store,
	// deleted there, and before the clients that have it learn of it. With a Store
	// an error is logged, as the session is gone. Without one this is where the
	// session is deleted: after an error it stays open. It is called then for every
	// key that Server.CloseSession is given, of sessions that do not exist too.
	// It must not close the session once more: that would wait for its own end.
	OnSessionClosed func(ctx context.Context, key string) error
}

// RequestHandler answers a request with a payload or with an error. A
// *protocol.Error reaches the client as it is, and so do the errors of package
// protocol that stand for a kind of reply. Any other error is logged, and the client
// gets protocol.ErrInternal: also for a *protocol.PeerError, which is what another
// server answered to the handler. protocol.ErrShutdown tells the client that the
// request was not executed, and to connect again.
//
// ctx ends with the connection. It carries the values of Options.ConnContext, or those
// of the context given to ServeConn; it has no values of the HTTP request's context.
type RequestHandler func(ctx context.Context, r *Request) (protocol.Payload, error)

// SignalHandler handles a signal. ctx is that of a RequestHandler.
type SignalHandler func(ctx context.Context, s *Signal)

// Request is a request of a client. It belongs to the handler, which may keep it.
type Request struct {
	Conn    *Conn
	Name    string // empty if the client gave none
	Payload protocol.Payload
}

// Signal is a signal of a client. It belongs to the handler, which may keep it.
type Signal struct {
	Conn    *Conn
	Name    string // empty if the client gave none
	Payload protocol.Payload
}

// NotFound is the RequestHandler that refuses every request with
// protocol.CodeNotFound.
func NotFound(_ context.Context, r *Request) (protocol.Payload, error) {
	return protocol.Payload{}, &protocol.Error{Code: protocol.CodeNotFound, Message: "no handler for request " + quoted(r.Name)}
}

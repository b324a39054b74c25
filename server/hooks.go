package server

import (
	"context"
	"net/http"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/session"
)

// Hooks are functions that the server calls when something happens. Each may be nil. A
// panic in a hook is logged and counts as an error of the hook; a panic in OnOptions or
// BeforeUpgrade is handled by net/http.
//
// On one connection OnClientConnected is called first, before any message is handled, and
// OnClientDisconnected last, after every handler has returned. In between, signals are
// handled one at a time in the order they arrived. Requests are handled concurrently with
// each other, each after the signals that arrived before it.
type Hooks struct {
	// OnOptions answers HTTP OPTIONS requests. Nil: pages of any origin may read the
	// metadata.
	OnOptions func(w http.ResponseWriter, r *http.Request)

	// BeforeUpgrade reports whether an HTTP request may become a connection. If it
	// returns false it must have answered the request. Nil: every request may.
	BeforeUpgrade func(w http.ResponseWriter, r *http.Request) bool

	// OnClientConnected is called with each new connection, before the connection is in
	// Server.Conns and before any of its messages is handled. It may use the connection in
	// any way. ctx ends with the connection.
	//
	// An error refuses the connection. If it wraps a *transport.CloseError, the client
	// reads its Status and Reason: a final status, see Conn.Close, keeps the client from
	// coming back. Any other error is logged and the client reads StatusInternalError
	// without a reason. A session that the hook created is closed. What the
	// client has sent already is dropped.
	//
	// If the hook creates a session and the client then restores one that it had before,
	// the new session is closed, see Conn.CreateSession.
	OnClientConnected func(ctx context.Context, c *Conn) error

	// OnClientDisconnected is called exactly once for each connection whose
	// OnClientConnected returned nil, or for every connection if that hook is nil, after
	// its last handler has returned. reason is a *transport.CloseError if the client
	// closed the connection; ErrSlowConsumer, ErrServerClosed, ErrProtocolViolation,
	// ErrConnClosed, ErrSessionReplaced, ErrCredentialsExpired or ErrTooManyRestores if
	// this side ended it; ErrMoved if another node has it; and an error of the network
	// otherwise. The context of c has ended. For the Conn of a connection that began at
	// another node OnClientBack takes the place of OnClientConnected.
	OnClientDisconnected func(c *Conn, reason error)

	// OnClientAway is called when a connection has lost its socket, and its client may come
	// back within Options.ResumeWindow, with the reason why the socket ended. It is called
	// after OnClientConnected has returned. Handlers run on. Then either OnClientBack is
	// called or, after the end of the connection, OnClientDisconnected. The client cannot
	// come back before the hook has returned.
	OnClientAway func(c *Conn, reason error)

	// OnClientBack is called when a client has come back to a connection on another socket,
	// after OnClientConnected has returned, and before anything that the client sends there is
	// executed. Conn.Info and Conn.Credentials are those of the new socket. ctx is that of the
	// connection. An error refuses the socket as an error of OnClientConnected does; the
	// connection stays away, and ends when it would have ended without the attempt. Clients
	// prove with a secret that the connection is theirs, so the hook is needed only where
	// credentials expire, or where there are several nodes: without it a connection does not
	// outlive Conn.ExpiresAt.
	//
	// If nodes share Options.Engine, a client may come back to another node, which goes on with
	// the connection. There it has a Conn of its own: Info.Moved is true, Value is nil the first
	// time, and the hook prepares the Conn as OnClientConnected does, which is not called. If
	// the other node keeps the connection after all, because the hook took more than five
	// seconds for instance, OnClientDisconnected gets the Conn with ErrMoved. A
	// server with OnClientConnected and without this hook takes no connections over.
	OnClientBack func(ctx context.Context, c *Conn) error

	// OnSubscribe is called when a client of 3.0 asks for the publications of a topic, each
	// time, with the session that the connection has then. member, as JSON, is what others
	// learn of the subscriber by Topic.Members and presence; nil: nothing. An error refuses,
	// and the client gets it as that of a request, see RequestHandler. It runs concurrently
	// with handlers of requests, and counts as one. The decision holds until the connection
	// ends, also if its session is closed before: see Conn.Close to end it. Nil: clients
	// cannot subscribe by themselves, see Topic.Join.
	OnSubscribe func(ctx context.Context, c *Conn, topic string) (member any, err error)

	// OnSignal handles signals. Nil: Options.Handler does.
	OnSignal SignalHandler

	// OnRequest handles requests. Nil: Options.Handler does.
	OnRequest RequestHandler

	// OnSessionKeyGeneration returns the key of a new session. The key is a secret: it
	// must be unpredictable and never used before. Nil: session.NewKey.
	OnSessionKeyGeneration func() string

	// OnSessionCreated is called when a session is created: after it is saved in the
	// Store, if there is one, and before the client gets it. An error undoes the creation
	// and is returned by CreateSession. Without a Store this hook saves the session.
	OnSessionCreated func(ctx context.Context, c *Conn, s session.Session) error

	// OnSessionUpdated is called when UpdateSession changes a session: after the change
	// is saved in the Store, if there is one, and before the clients that have the session
	// get it. With a Store an error is logged, because the session has changed. Without a
	// Store this hook saves the change, and an error leaves the session unchanged and is
	// returned by UpdateSession. The hook must not update or close the same session, which
	// would wait for the hook to return.
	OnSessionUpdated func(ctx context.Context, c *Conn, s session.Session) error

	// OnSessionLookup is called when a client asks to restore a session. With a Store, s
	// is the stored session, and the hook returns the session that the client gets, or an
	// error to refuse it. Without a Store, s has only the Key, and the hook finds the
	// session. After an error that is session.ErrNotFound the client forgets the session;
	// after any other error it keeps the key.
	OnSessionLookup func(ctx context.Context, c *Conn, s session.Session) (session.Session, error)

	// OnSessionClosed is called when a session is closed: after it is deleted in the
	// Store, if there is one, and before the clients that have it learn of it. With a Store
	// an error is logged, because the session is gone. Without a Store this hook deletes
	// the session, and an error keeps it open; the hook is then called for every key that
	// Server.CloseSession gets, also if there is no such session. The hook must not close
	// the same session, which would wait for the hook to return.
	OnSessionClosed func(ctx context.Context, key string) error
}

// Handler handles the requests and signals of clients. A *Mux is one. Its methods are
// called concurrently, as [Hooks] describes.
type Handler interface {
	// HandleRequest is a RequestHandler.
	HandleRequest(ctx context.Context, r *Request) (protocol.Payload, error)

	// HandleSignal is a SignalHandler.
	HandleSignal(ctx context.Context, s *Signal)
}

// RequestHandler answers a request with a payload or an error. The client gets a
// *protocol.Error as it is, and also the errors of package protocol that stand for a kind
// of reply: after protocol.ErrShutdown it knows that the request was not executed, and
// connects again. After the others, of which a client of 3.0 also gets those that only 3.0
// has, it takes the request for executed; a *protocol.FailureError says what the handler
// makes it say. Any other error is logged, and the client gets protocol.ErrInternal. So does
// a *protocol.PeerError, which is what another end answered to the handler, and the error of
// a request of the handler that was not sent.
//
// ctx ends with the connection. With clients of 3.0 it also ends when the client cancels
// the request, at the client's deadline, and when the handler has returned; context.Cause
// says which. It has the values of Options.ConnContext, or those of the
// context given to ServeConn, and none of the HTTP request's context.
type RequestHandler func(ctx context.Context, r *Request) (protocol.Payload, error)

// SignalHandler handles a signal. Its ctx is that of a RequestHandler.
type SignalHandler func(ctx context.Context, s *Signal)

// Request is a request of a client. It belongs to the handler, which may keep it.
type Request struct {
	Conn    *Conn
	Name    string // empty if the client gave none
	Payload protocol.Payload
	Meta    protocol.Head // trace context and metadata of a client of 3.0, nil before
}

// Signal is a signal of a client. It belongs to the handler, which may keep it.
type Signal struct {
	Conn    *Conn
	Name    string // empty if the client gave none
	Payload protocol.Payload
	Meta    protocol.Head // trace context and metadata of a client of 3.0, nil before
}

// NotFound is a RequestHandler that answers every request with an error whose code is
// protocol.CodeNotFound. Clients of 3.0 learn that the request was not executed.
func NotFound(_ context.Context, r *Request) (protocol.Payload, error) {
	return protocol.Payload{}, &protocol.FailureError{
		Code: protocol.FailureNoHandler, Executed: protocol.ExecutedNo, Text: "no handler for request " + quoted(r.Name),
	}
}

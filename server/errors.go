package server

import (
	"errors"
	"net"
	"strconv"

	"github.com/webwire-go/webwire/protocol"
)

// The errors below that are reasons are those that ServeConn returns and that
// OnClientDisconnected gets when this side ended the connection.
var (
	// ErrServerClosed is the reason after Shutdown or Close. Serve returns it too. It
	// unwraps to net.ErrClosed.
	ErrServerClosed error = closedError("server: closed")

	// ErrConnClosed is the reason after Conn.Abort. The reason after Conn.Close wraps it
	// and names status and reason, and errors of methods of a Conn that has ended wrap it.
	// It unwraps to net.ErrClosed.
	ErrConnClosed error = closedError("server: connection closed")

	// ErrSlowConsumer is the reason if the outbox was full for a message that cannot
	// wait, such as a broadcast.
	ErrSlowConsumer = errors.New("server: client reads too slowly")

	// ErrTooManyConns is returned by ServeConn for a connection above Options.MaxConns.
	ErrTooManyConns = errors.New("server: too many connections")

	// ErrProtocolViolation is the reason if the client sent what its version of the
	// protocol does not allow.
	ErrProtocolViolation = errors.New("server: client violated the protocol")

	// ErrTooManyRestores is the reason after five failed attempts in a row to restore a
	// session.
	ErrTooManyRestores = errors.New("server: too many failed attempts to restore a session")

	// ErrSessionReplaced is the reason if another connection took over the session, see
	// Options.SessionPolicy.
	ErrSessionReplaced = errors.New("server: another connection took the session over")

	// ErrClientGone is the reason if a connection lost its socket and its client did not
	// come back within Options.ResumeWindow.
	ErrClientGone = errors.New("server: the client did not come back")

	// ErrMoved is the reason if another node that shares Options.Engine has the connection:
	// the client has come back to that node, or has come back here and that node has kept the
	// connection, see Hooks.OnClientBack.
	ErrMoved = errors.New("server: the connection has moved to another node")

	// ErrCredentialsExpired is the reason after the time given to Conn.ExpiresAt.
	ErrCredentialsExpired = errors.New("server: credentials expired")

	// ErrNobody is returned by Topic.Request if the topic has no member that can answer.
	ErrNobody = errors.New("server: topic has no member that can answer")

	// ErrHistoryGap is an error of Topic.History if publications after the position are
	// not kept any more.
	ErrHistoryGap = errors.New("server: publications are missing in the history of the topic")

	// ErrSessionInfo is wrapped by errors of CreateSession and UpdateSession for an info
	// that a client cannot read, or that is too long or nested too deep.
	ErrSessionInfo = errors.New("server: session info is not fit for clients")

	// ErrNoSession is returned by UpdateSession if the connection has no session.
	ErrNoSession = errors.New("server: the connection has no session")

	// ErrSessionActive is returned by CreateSession if the connection has a session or is
	// about to get one. A client that restores another session than the one it has gets
	// this error too.
	ErrSessionActive error = &protocol.Error{Code: protocol.CodeSessionActive, Message: "the connection has a session already"}

	// ErrVersion is wrapped by errors of ServeConn if client and server have no version of
	// the protocol in common, or if the version of the server or endpoint does not exist.
	ErrVersion = protocol.ErrVersion
)

type closedError string

func (e closedError) Error() string { return string(e) }
func (e closedError) Unwrap() error { return net.ErrClosed }

func quoted(name string) string {
	if name == "" {
		return "without a name"
	}
	return strconv.QuoteToASCII(name)
}

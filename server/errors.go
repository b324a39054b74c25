package server

import (
	"errors"
	"net"
	"strconv"

	"github.com/webwire-go/webwire/protocol"
)

var (
	// ErrServerClosed is returned by Serve and ServeConn after Shutdown or Close,
	// and is why those end connections. It unwraps to net.ErrClosed.
	ErrServerClosed error = closedError("server: closed")

	// ErrConnClosed is why Conn.Close ends a connection, and what methods of a
	// closed connection return. It unwraps to net.ErrClosed.
	ErrConnClosed error = closedError("server: connection closed")

	// ErrSlowConsumer is why the server ends a connection whose peer reads too
	// slowly for what is sent to it without waiting.
	ErrSlowConsumer = errors.New("server: client reads too slowly")

	// ErrTooManyConns is what ServeConn returns for a connection above Options.MaxConns.
	ErrTooManyConns = errors.New("server: too many connections")

	// ErrProtocolViolation is why the server ends a connection that sent what the
	// version of the protocol does not allow.
	ErrProtocolViolation = errors.New("server: client violated the protocol")

	// ErrTooManyRestores is why the server ends a connection after several failed
	// attempts in a row to restore a session.
	ErrTooManyRestores = errors.New("server: too many failed attempts to restore a session")

	// ErrSessionReplaced is why the server ends a connection whose session another
	// connection took over, see Options.SessionPolicy.
	ErrSessionReplaced = errors.New("server: another connection took the session over")

	// ErrSessionInfo is wrapped by errors of CreateSession for info that the client
	// could not read.
	ErrSessionInfo = errors.New("server: session info is not a JSON object")

	// ErrNoSession is returned by UpdateSession if the connection has no session.
	ErrNoSession = errors.New("server: the connection has no session")

	// ErrSessionActive is returned by CreateSession if the connection has a session or is
	// about to get one. A client that restores another session than the one it has gets
	// this error too.
	ErrSessionActive error = &protocol.Error{Code: protocol.CodeSessionActive, Message: "the connection has a session already"}

	// ErrVersion is what Serve, ServeConn and Endpoint return for a version of the
	// protocol that does not exist.
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

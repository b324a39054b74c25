// Package transport defines what WebWire needs from a network: connections that carry
// whole messages in both directions, and ways to dial and accept them. It contains
// interfaces and values; its sub-packages implement them:
//
//   - transport/websocket speaks WebSocket, the wire format of WebWire;
//   - transport/stream frames messages over any net.Conn: TCP, TLS, unix sockets;
//   - transport/memory connects two ends inside one process.
//
// To add a transport, implement [Conn] and one of [Dialer], [Upgrader] and [Listener],
// and test it with the suite in transport/transporttest, which checks what the interfaces
// document.
package transport

import (
	"context"
	"net"
	"net/http"
)

// Conn carries whole messages between two peers, in order, in both directions. A
// message is any sequence of bytes, including the empty one.
//
// Read must not be called concurrently. All other methods may be called concurrently,
// including while a Read or Write is in progress.
//
// No method takes a context: many requests share a connection, and cancelling one of
// them must not close the connection of the others. Time limits belong to the
// connection, see [Limits].
//
// Every error of Read and Write is final: all later calls fail too. An error caused by a
// close of either end is a *[CloseError]. An error caused by a time limit satisfies
// errors.Is(err, os.ErrDeadlineExceeded). After an error the caller must still call Abort
// or Close to release the resources of the connection.
//
// A connection may implement the optional interfaces [Peeker], [Monitor], [TextAccepter],
// [SilenceAllower] and [Negotiator]; [As] finds them. A type that wraps a connection has
// a method Unwrap() Conn, or implements these interfaces itself.
type Conn interface {
	// Read returns the next message. It is stored in buf[:0] if the capacity is
	// sufficient and in new memory otherwise; in both cases it belongs to the caller.
	// Pings and closes from the peer are answered only while a Read is in progress.
	Read(buf []byte) ([]byte, error)

	// Write sends each of msgs as one message, in order, without messages from other
	// calls between them, and in as few system calls as the transport can. It does not
	// modify or retain msgs after it returns. If Write fails, any part of msgs may have
	// been sent; if its error wraps a *[PartialError], that error has the number of
	// messages the peer may have received. Messages of a successful Write are still
	// lost if the connection is lost before they arrive.
	Write(msgs ...[]byte) error

	// Ping sends a ping to the peer's transport, which answers it without involving
	// the peer's program. The answer, like anything else that arrives, extends the read
	// timeout. Ping does not wait for the answer. Like a Write, it waits for a Write in
	// progress and fails if that fails; its errors are final. Ping may return
	// immediately while another Ping is waiting.
	Ping() error

	// Close sends the messages of earlier Writes, tells the peer why the connection
	// ends, and releases all resources. It returns within the close timeout, whatever
	// the peer does, and unblocks all other calls. If the peer cannot be told in that
	// time the connection is dropped. Later calls do nothing and return nil. A status
	// that is not [Status.Sendable] becomes StatusNormalClosure; the reason is cut as
	// by [CutReason].
	Close(status Status, reason string) error

	// Abort drops the connection immediately, even during a Close, releases all
	// resources and unblocks all other calls. Later calls do nothing and return nil.
	Abort() error

	// Protocol returns the token both ends agreed on, or the empty string if there is
	// none. On an accepted connection it may wait for the peer's offer, until the read
	// timeout expires or the connection ends.
	Protocol() string

	// LocalAddr and RemoteAddr return the addresses of this end and of the peer. They
	// never return nil, even after the connection has ended. The String method of an
	// unknown address returns "unknown".
	LocalAddr() net.Addr
	RemoteAddr() net.Addr
}

// DialOptions are the options of a connection that is dialled. The zero value offers no
// protocol and uses the default limits.
type DialOptions struct {
	// Protocols are the protocol tokens to offer, the best first. A token consists of
	// letters, digits and the characters !#$%&'*+-.^_`|~ (RFC 9110, section 5.6.2).
	// Nil: no protocol is offered.
	Protocols []string

	// Header is sent with this attempt. It replaces values of the same name in the
	// Dialer's own header. Transports without headers ignore it.
	// Nil: only the Dialer's own header is sent.
	Header http.Header

	// Limits are the limits of the connection, and of the negotiation if that takes
	// place on the connection. Zero fields: the defaults.
	Limits Limits
}

// UpgradeOptions are the options of a connection made from an HTTP request. The zero
// value supports no protocol and uses the default limits.
type UpgradeOptions struct {
	Protocols []string // supported protocol tokens, the best first; nil: none
	Limits    Limits   // limits of the connection; zero fields: the defaults
}

// AcceptOptions are the options of a connection that is accepted. The zero value supports
// no protocol and uses the default limits.
type AcceptOptions struct {
	Protocols []string // supported protocol tokens, the best first; nil: none
	Limits    Limits   // limits of the connection, and of the negotiation; zero fields: the defaults
}

// A Dialer connects to one endpoint. Dial may be called any number of times, concurrently.
type Dialer interface {
	// Dial connects to the endpoint. It fails when ctx ends; after Dial has returned,
	// ctx does not affect the connection. Dial offers the protocol tokens in opts, of
	// which the other end chooses at most one, see [Conn.Protocol]. A transport that
	// does not negotiate ignores them. If the endpoint answers but refuses the
	// connection, the error is a *[RefusedError].
	Dial(ctx context.Context, opts DialOptions) (Conn, error)
}

// A Prober is a Dialer that can ask its endpoint for its metadata without connecting
// (protocol/PROTOCOL.md, section 2.2).
type Prober interface {
	// Probe returns the metadata as the endpoint sent it. Of opts it uses only Header.
	// If the endpoint answers with anything else, the error is a *[RefusedError].
	Probe(ctx context.Context, opts DialOptions) ([]byte, error)
}

// An Upgrader turns an HTTP request into a connection. Upgrade may be called concurrently.
type Upgrader interface {
	// Upgrade chooses the first supported protocol token that the client offers, and
	// none if the client offers none of them. If Upgrade returns an error it has
	// answered the request. If it returns a connection, the request is finished and its
	// handler may return.
	Upgrade(w http.ResponseWriter, r *http.Request, opts UpgradeOptions) (Conn, error)
}

// A Listener accepts connections that do not arrive as HTTP requests.
type Listener interface {
	// Accept returns the next connection. After Close it returns an error that wraps
	// net.ErrClosed. Accept does not wait for data from the peer. The connection chooses
	// the first supported protocol token that the peer offers, and none if the peer
	// offers none of them. Accept may be called concurrently.
	Accept(opts AcceptOptions) (Conn, error)

	// Close stops listening and unblocks all calls of Accept. It does not close
	// connections that were accepted.
	Close() error

	// Addr returns the listener's address.
	Addr() net.Addr
}

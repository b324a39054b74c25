// Package transport defines what WebWire needs of a network: connections that carry
// whole messages in both directions, and how to dial and accept them. It contains
// interfaces and values only; the implementations are its sub-packages:
//
//   - transport/websocket speaks WebSocket, the wire format of WebWire;
//   - transport/stream frames messages over any net.Conn: TCP, TLS, unix sockets;
//   - transport/memory connects two ends inside one process.
//
// To add a transport, implement [Conn] and one of [Dialer], [Upgrader] and [Listener],
// and run the suite in transport/transporttest on it: the suite is the executable form
// of what the interfaces document.
package transport

import (
	"context"
	"net"
	"net/http"
)

// Conn carries whole messages between two peers, in order, in both directions. A
// message is any sequence of bytes, including the empty one.
//
// Read has one caller at a time. Every other method may be called from any goroutine
// at any time, also while a Read or Write is in progress.
//
// No method takes a context: a connection is shared by many requests, and ending one
// of them must not end the connection of the others. Time limits belong to the
// connection, see [Limits].
//
// Every error of Read and Write is final: the connection cannot be used any more, and
// both keep failing. An error caused by a close of either side is a *[CloseError]; an
// expired time limit is found by errors.Is with os.ErrDeadlineExceeded. After an error
// the caller still calls Abort or Close, which releases what the connection holds.
//
// A connection may also implement the optional interfaces [Peeker], [Monitor],
// [TextAccepter], [SilenceAllower] and [Negotiator]; [As] finds them. A type that wraps
// a connection has a method Unwrap() Conn, or implements them itself.
type Conn interface {
	// Read returns the next whole message. It is stored in buf[:0] if the capacity
	// suffices and in new memory otherwise; either way it belongs to the caller.
	// Pings and closes of the peer are answered only while a Read is in progress.
	Read(buf []byte) ([]byte, error)

	// Write sends each of msgs as one message, in order and without messages of other
	// calls between them, in as few system calls as the transport can. It does not
	// retain msgs after it returns. A failed Write may have sent any part of them; if
	// its error wraps a *[PartialError], that tells how many of them the peer may have
	// received. Messages of a Write that returned nil may still be lost with the
	// connection.
	Write(msgs ...[]byte) error

	// Ping asks the peer's transport for a sign of life, which the peer's program
	// does not see. The answer, like anything else that arrives, extends the read
	// timeout. Ping does not wait for the answer. It may wait for a Write in
	// progress, as another Write does, and fails with it; its error is final, as
	// Write's is. A Ping may return at once while another one is waiting.
	Ping() error

	// Close tells the peer why the connection ends, if that is possible within the
	// close timeout, and releases everything: it returns within that timeout whatever
	// the peer does, and blocked calls return. Messages of earlier Writes are sent
	// before. Later calls do nothing and return nil. A status that may not be sent
	// becomes StatusNormalClosure; a reason is cut to 123 bytes of valid UTF-8.
	Close(status Status, reason string) error

	// Abort drops the connection at once, also during a Close, and releases
	// everything; blocked calls return. Later calls do nothing and return nil.
	Abort() error

	// Protocol returns the token that both ends agreed on when they connected, or the
	// empty string if they did not agree on one. On an accepted connection it may
	// wait for the peer's offer, at most for the read timeout or until the connection
	// ends.
	Protocol() string

	// LocalAddr and RemoteAddr return the addresses of this end and of the peer. They
	// are never nil, also after the connection ended: an address that is not known
	// prints as "unknown".
	LocalAddr() net.Addr
	RemoteAddr() net.Addr
}

// DialOptions are what a connection to dial is given. The zero value offers nothing and
// has the default limits.
type DialOptions struct {
	// Protocols are the protocol tokens to offer, the best first. Each consists of
	// letters, digits and the characters !#$%&'*+-.^_`|~ (a token of RFC 9110).
	// Nil: nothing is offered.
	Protocols []string

	// Header is sent with this attempt. Its values replace those with the same name
	// that the Dialer sends with each attempt. Transports without headers ignore it.
	// Nil: only the Dialer's own.
	Header http.Header

	// Limits are those of the connection.
	Limits Limits
}

// UpgradeOptions are what a connection made of an HTTP request is given. The zero value
// supports no protocol and has the default limits.
type UpgradeOptions struct {
	Protocols []string // the protocol tokens that are supported, the best first; nil: none
	Limits    Limits   // of the connection
}

// AcceptOptions are what a connection to accept is given. The zero value supports no
// protocol and has the default limits.
type AcceptOptions struct {
	Protocols []string // the protocol tokens that are supported, the best first; nil: none
	Limits    Limits   // of the connection
}

// A Dialer connects to one endpoint, as often as it is asked to.
type Dialer interface {
	// Dial connects within ctx, which does not affect the connection after Dial has
	// returned. It offers the protocol tokens of opts, of which the other end chooses
	// at most one, see [Conn.Protocol]. A transport that does not negotiate ignores
	// them. An endpoint that answered but refused is reported as a *[RefusedError].
	Dial(ctx context.Context, opts DialOptions) (Conn, error)
}

// A Prober is a Dialer whose endpoint can be asked for its metadata without
// connecting (see section 2.2 of protocol/PROTOCOL.md).
type Prober interface {
	// Probe returns the metadata as the endpoint sent it. It uses the Header of opts
	// only. An endpoint that answered otherwise is reported as a *[RefusedError].
	Probe(ctx context.Context, opts DialOptions) ([]byte, error)
}

// An Upgrader turns an HTTP request into a connection. If it returns an error it
// has answered the request. If it returns a connection the request is over and its
// handler may return.
type Upgrader interface {
	// Upgrade agrees on the first of the supported protocol tokens that the client
	// offers, and on none if there is no such token.
	Upgrade(w http.ResponseWriter, r *http.Request, opts UpgradeOptions) (Conn, error)
}

// A Listener accepts connections that do not arrive as HTTP requests.
type Listener interface {
	// Accept returns the next connection, or an error that unwraps to net.ErrClosed
	// after Close. It does not wait for anything that the peer of a connection sends.
	// The two ends agree on the first of the supported protocol tokens that the peer
	// offers, and on none if there is no such token. Accept may be called
	// concurrently.
	Accept(opts AcceptOptions) (Conn, error)

	// Close ends the listener and every blocked Accept, not the connections that it
	// returned.
	Close() error

	// Addr returns the address that it listens at.
	Addr() net.Addr
}

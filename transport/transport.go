// Package transport says what WebWire asks of a network: connections that carry
// whole messages both ways, somebody who dials them and somebody who accepts
// them. It holds interfaces and values only; the implementations are its
// sub-packages:
//
//   - transport/websocket speaks WebSocket, the wire format of WebWire;
//   - transport/stream frames messages over any net.Conn: TCP, TLS, unix sockets;
//   - transport/memory connects two ends inside one process.
//
// To bring a transport of your own, implement [Conn] and one of [Dialer],
// [Upgrader] and [Listener], and run the suite in transport/transporttest on it:
// the suite is the exact form of the promises below.
package transport

import (
	"context"
	"net"
	"net/http"
)

// Conn carries whole messages between two peers, in order, both ways. A message
// is any sequence of bytes, the empty one included.
//
// Read has one caller at a time. Every other method may be called from any
// goroutine at any time, while a Read or Write is in progress too, except
// SetLimits, which comes first.
//
// No method takes a context, on purpose: a connection is shared by many
// requests, and ending one of them must not end the connection of all others.
// Time limits belong to the connection, see [Limits].
//
// Every error of Read and Write is final: the connection is of no use any more
// and both keep failing. An error caused by a close of either side is a
// *[CloseError]; a limit of time that ran out is found by errors.Is with
// os.ErrDeadlineExceeded. Whoever got an error still calls Abort or Close, which
// releases what the connection holds.
type Conn interface {
	// Read returns the next whole message. It is stored in buf's space from
	// buf[:0] on if the capacity suffices and in new memory otherwise; either
	// way it belongs to the caller. Pings and closes of the peer are answered
	// while a Read is in progress, and only then.
	Read(buf []byte) ([]byte, error)

	// Write sends each of msgs as one message, in order and without messages
	// of other calls between them, in as few system calls as the transport
	// can. It does not retain msgs after it returns. A failed Write may have
	// sent any part of them; if its error wraps a *[PartialError], that tells
	// how many of them the peer may have received. Messages of a Write that
	// returned nil may still be lost with the connection.
	Write(msgs ...[]byte) error

	// Ping asks the peer's transport for a sign of life, which the peer's
	// program does not see. The answer, as anything else that arrives, extends
	// the read timeout. Ping does not wait for the answer. It may wait for a Write
	// in progress, as another Write does, and fails with it; its error is final
	// as Write's. A Ping may return at once while another one is waiting, since
	// one of them is enough.
	Ping() error

	// Close tells the peer why the connection ends, if that can be done within
	// the close timeout, and releases everything: it returns within that
	// timeout whatever the peer does, and blocked calls return. What an earlier
	// Write accepted is sent before. Later calls do nothing and return nil.
	// A status that may not be sent becomes StatusNormal; a reason is cut to
	// 123 bytes of valid UTF-8.
	Close(status Status, reason string) error

	// Abort drops the connection at once, during a Close too, and releases
	// everything; blocked calls return. Later calls do nothing and return nil.
	Abort() error

	// SetLimits replaces the connection's limits. It is called before the first
	// Read, Write and Ping, at most once; without it Limits{} applies.
	SetLimits(Limits)

	// Protocol returns the token that both ends agreed on when they connected,
	// the empty string if there was no such agreement.
	Protocol() string

	// RemoteAddr returns the address of the peer. It is never nil, also after the
	// connection ended: an address that is not known prints as "unknown".
	RemoteAddr() net.Addr
}

// A Peeker is a Conn that tells whether Read is about to wait. Connections need not
// be Peekers; who answers what it reads batches its answers better on those that are.
type Peeker interface {
	// Buffered reports whether the next message is here whole, so that the next
	// Read returns without waiting for the network. It may say no although it is.
	// Only the caller of Read may call it, between two Reads.
	Buffered() bool
}

// A Monitor is a Conn that tells whether anything arrives from the peer, its pings and
// their answers included. Connections need not be Monitors; a client on one that is
// finds out sooner whether its connection survived a sleep of the system.
type Monitor interface {
	// Arrivals returns a number that changes whenever something arrived. It may be
	// called at any time.
	Arrivals() uint64
}

// A Dialer connects to one endpoint, as often as it is asked to.
type Dialer interface {
	// Dial connects within ctx, which has no meaning for the connection once
	// Dial returned. It offers the protocol tokens, the best first; see
	// [Conn.Protocol] for the choice of the other end. A transport that does
	// not negotiate ignores them. An endpoint that answered but refused is
	// reported as a *[RefusedError].
	Dial(ctx context.Context, offer ...string) (Conn, error)
}

// A Prober is a Dialer whose endpoint can be asked for its metadata without
// connecting (see section 2.2 of protocol/PROTOCOL.md).
type Prober interface {
	// Probe returns the metadata as the endpoint sent it. An endpoint that
	// answered otherwise is reported as a *[RefusedError].
	Probe(ctx context.Context) ([]byte, error)
}

// An Upgrader turns an HTTP request into a connection. When it returns an error
// it has answered the request. When it returns a connection the request is over
// and its handler may return.
type Upgrader interface {
	// Upgrade agrees on the first of the supported protocol tokens that the
	// client offers, and on none if there is no such token.
	Upgrade(w http.ResponseWriter, r *http.Request, supported ...string) (Conn, error)
}

// A Listener accepts connections that come some other way than HTTP.
type Listener interface {
	// Accept returns the next connection, or an error that unwraps to
	// net.ErrClosed after Close. It may be called concurrently.
	Accept() (Conn, error)

	// Close ends the listener and every blocked Accept, not the connections
	// it returned.
	Close() error

	// Addr returns the address it listens at.
	Addr() net.Addr
}

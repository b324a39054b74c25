package server

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/internal/manners"
	"github.com/webwire-go/webwire/internal/tasks"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// Conn is a connection of a client, from OnClientConnected to OnClientDisconnected.
// Its methods may be called from any goroutine.
type Conn struct {
	server *Server
	link   *link.Link
	info   Info
	stop   func() bool // of the watch over the context given to ServeConn; nil if that never ends

	closing    atomic.Bool // in good order
	announced  bool        // OnClientConnected was called
	admitted   atomic.Bool // and has returned, or there is none
	spoke      bool        // a request or signal has arrived; of the goroutine that reads
	negotiated bool        // the version, by a token: a client that knows PROTOCOL.md
	limit      int         // of what is sent, in bytes; zero: none
	session    sessionSlot // guarded by server.sessions
	fails      int         // restores that failed in a row; those run one at a time
	index      int         // in server.conns; guarded by server.mu
	callers    int         // of Shutdown, in handlers and hooks; guarded by server.mu
}

// Info says what is known of a connection.
type Info struct {
	RemoteAddr net.Addr         // never nil
	UserAgent  string           // of the HTTP request, at most 256 bytes; empty for other transports
	Connected  time.Time        // since when
	Version    protocol.Version // of the protocol that is spoken
}

// unknownAddr is the address of a peer that a transport does not know.
type unknownAddr struct{}

func (unknownAddr) Network() string { return "unknown" }
func (unknownAddr) String() string  { return "unknown" }

// open prepares a connection and registers it. After an error the connection is
// closed.
func (e *Endpoint) open(ctx context.Context, conn transport.Conn, info Info) (*Conn, error) {
	s := e.server
	info.Version = e.version
	v, negotiated, err := s.negotiated(ctx, conn)
	if err != nil {
		return nil, err
	}
	if negotiated {
		info.Version = v
	}
	info.RemoteAddr = conn.RemoteAddr()
	if info.RemoteAddr == nil {
		info.RemoteAddr = unknownAddr{}
	}
	info.Connected = time.Now()
	if !slices.Contains(versions, info.Version) {
		_ = conn.Close(transport.StatusInternalError, "unknown protocol version") // the error below says more
		return nil, ErrVersion
	}
	rules := manners.Of(info.Version)

	if t, ok := transport.As[transport.TextAccepter](conn); ok {
		t.AcceptText(rules.TextFrames)
	}
	conf := link.Config{
		Conn:    conn,
		Version: info.Version,
		Limits:  &s.limits,
	}
	if rules.Conf && !negotiated { // published clients refuse what is longer than their own limit, which is that
		conf.MaxMessage = e.maxMessageSize
	}
	c := &Conn{server: s, info: info, negotiated: negotiated, limit: conf.MaxMessage}
	conf.Ended = (*role)(c)
	c.link = link.New(context.WithValue(ctx, connKey{s}, c), conf)
	if rules.Conf { // before anybody can send anything else
		// A failure to send it is found by the reader.
		_ = c.link.Send(context.Background(), protocol.Conf{
			Version:     info.Version,
			ReadTimeout: s.opts.ReadTimeout,
			MessageSize: e.maxMessageSize,
			SubProtocol: s.opts.SubProtocol,
		}.Message())
	}
	if !s.add(c) {
		_ = conn.Close(transport.StatusGoingAway, "server shutting down") // the error below says more
		c.link.Abort(ErrServerClosed)                                     // ctx shall not hold it
		return nil, ErrServerClosed
	}
	if ctx.Done() != nil { // else it would only cost memory
		c.stop = context.AfterFunc(ctx, func() { c.link.Abort(context.Cause(ctx)) })
	}
	return c, nil
}

// connKey is the key of the *Conn in the contexts of its handlers. A context may have
// one of each server: a connection may be served inside a handler of another.
type connKey struct{ server *Server }

// serve runs the connection until its end.
func (c *Conn) serve() error {
	defer c.server.remove(c) // also if a hook ends this goroutine
	hooks := &c.server.opts.Hooks
	if hooks.OnClientConnected != nil {
		c.link.Order(0, (*connected)(c))
	} else {
		c.admitted.Store(true)
	}
	reason := c.link.Run((*role)(c))
	if c.stop != nil {
		c.stop()
	}
	c.server.sessions.leave(c)
	if hooks.OnClientDisconnected != nil && (c.announced || hooks.OnClientConnected == nil) {
		tasks.Run(&disconnected{c, reason})
	}
	return reason
}

// Context returns the context that handlers of the connection get.
func (c *Conn) Context() context.Context { return c.link.Context() }

// Info returns what is known of the connection.
func (c *Conn) Info() Info { return c.info }

// Signal sends a signal to the client. It waits within ctx for room in the
// connection's outbox; that it returned nil means that the signal will be sent
// unless the connection is lost.
func (c *Conn) Signal(ctx context.Context, name string, p protocol.Payload) error {
	return c.sendError(c.link.Send(ctx, protocol.Message{Kind: protocol.Signal, Name: name, Payload: p}))
}

// sendError names the connection's end as the reason why nothing can be sent.
func (c *Conn) sendError(err error) error {
	if err != nil && c.link.Cause() != nil {
		return &sendFailed{err}
	}
	return err
}

type sendFailed struct{ cause error }

func (e *sendFailed) Error() string {
	return "server: connection lost: " + strings.TrimPrefix(e.cause.Error(), "server: ")
}
func (e *sendFailed) Unwrap() []error { return []error{ErrConnClosed, e.cause} }

// Close ends the connection in good order: new requests are refused with the
// shutdown error and new signals dropped, running handlers finish, their replies
// and what else waits is sent, then the connection is closed with status and reason.
// Close starts that and returns at once, so that handlers and hooks of the connection
// may call it; OnClientDisconnected tells when it is done. Later calls change nothing.
//
// The status decides what the client does: after one that is final, see
// transport.Status.Final, it does not connect again; after any other it does. The final
// statuses of applications are 4500 to 4999. A status that cannot be sent, see
// transport.Status.Sendable, becomes StatusNormalClosure. The reason, which the client sees,
// is cut to transport.MaxReason bytes of valid UTF-8. Published clients connect again
// after any status.
func (c *Conn) Close(status transport.Status, reason string) {
	if !status.Sendable() {
		status = transport.StatusNormalClosure
	}
	c.close(status, reason, ErrConnClosed)
}

// close ends the connection in good order, unless that has begun.
func (c *Conn) close(status transport.Status, reason string, cause error) {
	if !c.closing.Swap(true) {
		c.link.Close(status, reason, cause)
	}
}

// Abort drops the connection at once.
func (c *Conn) Abort() { c.link.Abort(ErrConnClosed) }

// tooSlow ends a connection whose outbox is full.
func (c *Conn) tooSlow() {
	c.link.DisconnectLater(transport.StatusSlowConsumer, "slow consumer", ErrSlowConsumer)
}

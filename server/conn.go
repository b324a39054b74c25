package server

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
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
	stop   func() bool // ends the watch over the context that the connection was made with; nil if that never ends

	hello      atomic.Pointer[http.Request] // for Info; nil once OnClientConnected has returned
	proof      atomic.Pointer[[]byte]       // for Credentials; nil once OnClientConnected has returned
	expiry     atomic.Pointer[expiry]       // of the credentials; nil if they do not expire
	value      atomic.Pointer[any]
	resumption *resumption // nil if the connection ends with its socket
	closing    atomic.Bool // Close was called, or the connection was refused
	overdue    atomic.Bool // its credentials have expired
	admitted   atomic.Bool // OnClientConnected has returned nil, or there is none
	behind     atomic.Bool // a broadcast found no room: it gets no more signals, there would be a hole
	refused    bool        // OnClientConnected has failed; set before any other task runs
	spoke      bool        // a request or signal has arrived; used by the reader only
	negotiated bool        // the version was negotiated, so the client is not a published one
	fails      int32       // failed restores in a row; restores run one at a time
	index      int32       // in server.conns; guarded by server.mu
	callers    int32       // handlers and hooks of it that are in Shutdown; guarded by server.mu
	limit      int         // of the messages sent, in bytes; zero: none
	session    sessionSlot // guarded by server.sessions
	members    memberships // in topics
}

// Info describes a connection.
type Info struct {
	RemoteAddr  net.Addr         // of the client, on its latest socket; never nil
	LocalAddr   net.Addr         // of this end, likewise; never nil
	UserAgent   string           // header of the HTTP request, at most 256 bytes; empty for other transports
	Connected   time.Time        // when the connection was accepted
	Version     protocol.Version // version of the protocol that both ends speak
	SubProtocol string           // of the Endpoint, see EndpointOptions
	Moved       bool             // the connection began at another node, see Hooks.OnClientBack

	// Request is the HTTP request that became the connection, with its URL, Host and
	// Header, but without body and context. TLS is the state of its TLS connection, nil
	// if the server itself does not end TLS. Both are nil for other transports, and once
	// OnClientConnected has returned, because they would cost memory for as long as the
	// connection lasts: keep what is needed with Conn.SetValue. A copy of Info that
	// OnClientConnected made keeps them.
	Request *http.Request
	TLS     *tls.ConnectionState
}

// unknownAddr stands for an address that a transport does not know.
type unknownAddr struct{}

func (unknownAddr) Network() string { return "unknown" }
func (unknownAddr) String() string  { return "unknown" }

func known(addr net.Addr) net.Addr {
	if addr == nil {
		return unknownAddr{}
	}
	return addr
}

// open prepares a connection, for which the caller has reserved a place, and registers
// it, or makes conn the socket of a connection that exists. The caller calls serve. After
// an error conn is closed and the place released. If the connection may outlive conn,
// running, unless it is nil, counts it until its end.
func (e *Endpoint) open(ctx context.Context, conn transport.Conn, info Info, running *sync.WaitGroup) (serve func() error, err error) {
	s := e.server
	s.topics.openSoon()
	placed := false
	defer func() {
		if !placed {
			s.release()
		}
	}()
	info.Version = e.opts.Version
	v, negotiated, err := s.negotiated(ctx, conn)
	if err != nil {
		return nil, err
	}
	if negotiated {
		info.Version = v
	}
	info.RemoteAddr, info.LocalAddr = known(conn.RemoteAddr()), known(conn.LocalAddr())
	info.SubProtocol = e.opts.SubProtocol
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
	if rules.Conf && !negotiated { // published clients accept no longer messages than the server does
		conf.MaxMessage = e.opts.MaxMessageSize
	}
	var hello protocol.HelloBody
	outcome := protocol.OutcomeFresh
	if rules.Hello {
		if hello, err = e.greet(ctx, conn, &conf); err != nil {
			return nil, err
		}
		info.UserAgent = userAgent(info.UserAgent, hello)
	}
	if hello.Resume != nil {
		var resumed *Conn
		if resumed, outcome, err = s.resume(ctx, conn, conf, hello, info); err != nil {
			return nil, err
		}
		if resumed != nil {
			if r := resumed.resumption; r.running == nil && running != nil { // it comes from another node
				running.Add(1)
				r.running = running
			}
			return resumed.carry, nil
		}
		if outcome == protocol.OutcomeUnavailable {
			return nil, comeLater(conn)
		}
	}
	if s.isFull() {
		_ = conn.Close(transport.StatusTryAgainLater, "too many connections") // the error below says more
		return nil, ErrTooManyConns
	}
	c := &Conn{server: s, info: info, negotiated: negotiated, limit: conf.MaxMessage}
	c.meet(hello)
	if info.Request != nil {
		c.hello.Store(info.Request)
		c.info.Request = nil
	}
	conf.Role = (*receiver)(c)
	if rules.Hello && s.opts.ResumeWindow > 0 {
		c.resumable(&conf)
	}
	c.link = link.New(context.WithValue(ctx, connKey{s}, c), conf)
	if rules.Conf { // before anything else can be sent
		// A failure to send it is found by the reader.
		_ = c.link.Send(context.Background(), e.conf(info.Version).Message())
	}
	if rules.Hello {
		c.welcome(outcome)
	}
	if placed = s.add(c); !placed {
		_ = conn.Close(transport.StatusGoingAway, "server shutting down") // the error below says more
		c.link.Abort(ErrServerClosed)                                     // releases it from ctx
		return nil, ErrServerClosed
	}
	if c.resumption != nil && running != nil {
		running.Add(1)
		c.resumption.running = running
	}
	c.stop = c.endsWith(ctx)
	return c.serve, nil
}

// connKey is the key of the *Conn in the contexts of its handlers. There is one for each
// server, because a connection may be served inside a handler of another server.
type connKey struct{ server *Server }

// endsWith makes the connection end with ctx, until the function that it returns is called.
// If ctx never ends there is none: it would only cost memory.
func (c *Conn) endsWith(ctx context.Context) (stop func() bool) {
	if ctx.Done() == nil {
		return nil
	}
	return context.AfterFunc(ctx, func() { c.link.Abort(context.Cause(ctx)) })
}

// serve begins the connection and carries its first socket.
func (c *Conn) serve() error {
	if c.server.opts.Hooks.OnClientConnected != nil {
		c.link.Order(0, (*connected)(c))
	} else {
		c.admitted.Store(true)
	}
	return c.carry()
}

// finish does what is to be done at the end of the connection. It is called once, and
// returns why the connection ended.
func (c *Conn) finish() error {
	defer func() { // also if a hook ends this goroutine
		c.server.remove(c)
		if r := c.resumption; r != nil && r.running != nil {
			r.running.Done()
		}
	}()
	if c.stop != nil {
		c.stop()
	}
	reason := c.link.Finish()
	c.logEnd(reason)
	c.neverExpires()
	c.server.sessions.leave(c)
	if r := c.resumption; r != nil && r.origins != nil && c.admitted.Load() && !c.hasMoved() {
		c.tellOrigins()
	}
	prepared := c.admitted.Load() || c.resumption != nil && c.resumption.prepared
	if c.server.opts.Hooks.OnClientDisconnected != nil && prepared {
		tasks.Run(&disconnected{c, reason})
	}
	return reason
}

// Context returns the context of the connection's handlers. It ends with the connection.
func (c *Conn) Context() context.Context { return c.link.Context() }

// Info returns what is known of the connection. After OnClientConnected has returned,
// Info.Request and Info.TLS are nil.
func (c *Conn) Info() Info {
	info := *c.present()
	if r := c.hello.Load(); r != nil {
		info.Request, info.TLS = r, r.TLS
	}
	return info
}

// present is Info without what only OnClientConnected gets.
func (c *Conn) present() *Info {
	if c.resumption != nil {
		if info := c.resumption.info.Load(); info != nil {
			return info
		}
	}
	return &c.info
}

// Credentials returns what a client of 3.0 sent to prove who it is, for OnClientConnected
// to check. It returns nil if the client sent none, and once OnClientConnected has
// returned.
func (c *Conn) Credentials() []byte {
	if proof := c.proof.Load(); proof != nil {
		return *proof
	}
	return nil
}

// Value returns what SetValue stored last, nil before.
func (c *Conn) Value() any {
	if v := c.value.Load(); v != nil {
		return *v
	}
	return nil
}

// SetValue stores a value of the application with the connection, so that it needs no
// map of connections. The value is kept until it is replaced or the Conn is garbage
// collected. SetValue replaces atomically; what is inside the value is the
// application's to synchronize.
func (c *Conn) SetValue(v any) { c.value.Store(&v) }

// Signal sends a signal to the client. It waits for room in the connection's outbox
// until ctx ends. After nil the signal is queued, and sent unless the connection is lost
// first. On a connection that has ended the error wraps ErrConnClosed.
func (c *Conn) Signal(ctx context.Context, name string, p protocol.Payload) error {
	if c.behind.Load() {
		return &sendFailed{ErrSlowConsumer}
	}
	return c.sendError(c.link.Send(ctx, protocol.Message{Kind: protocol.Signal, Name: name, Payload: p}))
}

// sendError wraps ErrConnClosed around an error of sending on a connection that has ended.
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

// Close ends the connection gracefully: new requests are answered with
// protocol.ErrShutdown and new signals are dropped, running handlers finish, the outbox is
// sent, and the connection is closed with status and reason. Close starts this and returns
// at once, so handlers and hooks of the connection may call it; OnClientDisconnected is
// called when it is done. Later calls do nothing. A connection whose client is away ends at
// once: the client learns no status, and gets a new connection when it comes back.
//
// Close has no time limit: it waits for handlers that do not return, and for a client that
// does not read but sends pings. Abort ends the connection then.
//
// The status tells the client whether to come back: after 4500 to 4999, the final statuses
// of applications, it does not connect again; after 4000 to 4499 and after most others it
// does, see transport.Status.Final. Published clients connect again after any status. A
// status that cannot be sent, see transport.Status.Sendable, becomes StatusNormalClosure.
// The client sees the reason, cut to transport.MaxReason bytes of valid UTF-8.
func (c *Conn) Close(status transport.Status, reason string) {
	if !status.Sendable() {
		status = transport.StatusNormalClosure
	}
	if relay := c.movedTo(); relay != nil {
		var f form
		f.u32(uint32(status))
		f.bytes([]byte(reason))
		relay.call(opClose, f)
		return
	}
	var cause error = ErrConnClosed
	if status != transport.StatusNormalClosure || reason != "" {
		cause = &closedWith{status, transport.CutReason(reason)}
	}
	c.close(status, reason, cause)
}

// closedWith is the ErrConnClosed of a Conn.Close that says more.
type closedWith struct {
	status transport.Status
	reason string
}

func (e *closedWith) Error() string {
	text := ErrConnClosed.Error() + " (" + e.status.String() + ")"
	if e.reason != "" {
		text += ": " + e.reason
	}
	return text
}

func (e *closedWith) Unwrap() error { return ErrConnClosed }

// close is Close with the cause that ServeConn returns.
func (c *Conn) close(status transport.Status, reason string, cause error) {
	if !c.closing.Swap(true) {
		c.link.Close(status, reason, cause)
	}
}

// Abort drops the connection at once, without a close status. The context of its handlers
// ends.
func (c *Conn) Abort() {
	if relay := c.movedTo(); relay != nil {
		var f form
		f.u32(0)
		f.bytes(nil)
		relay.call(opClose, f)
	}
	c.link.Abort(ErrConnClosed)
}

// tooSlow ends a connection whose outbox is full.
func (c *Conn) tooSlow() {
	c.link.DisconnectLater(transport.StatusSlowConsumer, "slow consumer", ErrSlowConsumer)
}

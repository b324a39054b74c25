package client

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/internal/logs"
	"github.com/webwire-go/webwire/internal/tasks"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// Client is the client's end of a connection. It connects when a connection is needed,
// and again when the connection is lost. Its methods may be called from any goroutine,
// including those of hooks.
type Client struct {
	dialer    transport.Dialer
	dialling  chan struct{} // holds one element while a call of the dialer runs
	opts      Options
	log       logs.Logger
	hooks     tasks.Queue
	inbox     inbox
	onSignal  SignalHandler // nil: signals are dropped
	onRequest RequestHandler
	keys      tasks.Queue // calls of Options.Keys
	subs      subscriptions

	// link is the connection, nil while there is none that can be used.
	link atomic.Pointer[link.Link]

	// leaving is the connection whose server shuts down: it gets no new requests, and signals
	// until served, see link.Now.
	leaving atomic.Pointer[link.Link]
	served  atomic.Int64

	// identity is the number of the session that Session returns, zero for none. It
	// changes under mu, and before link does.
	identity atomic.Uint64

	calls     atomic.Int64  // that Shutdown waits for
	stopping  atomic.Bool   // Shutdown was called
	hookTurn  atomic.Uint64 // odd while a hook runs
	unhandled atomic.Uint64 // signals without a handler in a Mux

	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	mu       sync.Mutex
	status   Status
	changed  chan struct{}   // closed when status, failure or running changes
	running  bool            // the goroutine that connects exists
	told     *link.Link      // the connection on which requests that waited may be sent
	moving   <-chan struct{} // SocketOver of the socket that the server asked to leave last
	failure  error           // why the last attempt to connect failed, nil after a success
	gaveUp   bool            // failure is final until Connect is called
	stops    uint64          // how often connecting ended without a connection
	stopped  error           // why it did the last time
	trying   trying
	session  sessionState
	loading  *keyLoad // goes on, nil if there is none
	saving   *keySave // waits for its turn, nil if there is none
	connects uint64
	resumes  uint64
	attempts uint64
	past     link.Stats // of connections that are gone

	owned sync.WaitGroup // the goroutine that connects, and those of requests about the session
}

// New returns a client of the endpoint that d dials. It does nothing until one of its
// methods is called.
func New(d transport.Dialer, opts Options) *Client {
	c := &Client{
		dialer:   d,
		dialling: make(chan struct{}, 1),
		opts:     opts.withDefaults(),
		changed:  make(chan struct{}),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.log.Init(c.opts.Logger, logKinds)
	c.inbox.size = c.opts.InboxSize
	c.onSignal, c.onRequest = c.opts.onSignal(), c.opts.onRequest()
	return c
}

// Connect waits until the client is connected and the server has answered whether it can
// restore the session, if there is one to restore (see Hooks.OnSessionError). It tries
// until ctx ends, or for Options.Timeout if ctx has no deadline; with
// Options.DisableAutoconnect it tries once. The error is ErrClosed, the error of an
// attempt if the client gives up, or, if there was not enough time, an error that is
// ctx.Err() or a *TimeoutError and wraps the error of the last attempt.
//
// Other methods connect by themselves, unless autoconnect is disabled or the client gave
// up (see Hooks.OnConnectFailed). After it gave up Connect first waits for the pause
// that is due.
func (c *Client) Connect(ctx context.Context) error {
	if c.stopping.Load() {
		return ErrClosed
	}
	w := waiter{purpose: toConnect}
	for {
		l, _, err := c.await(ctx, &w)
		if err != nil || l.Cause() == nil {
			return err
		}
		w.gone = l // it has ended, or is about to
	}
}

// Request sends a request and returns the payload of the reply, which belongs to the
// caller. It waits for a connection and for the reply until ctx ends, or for
// Options.Timeout if ctx has no deadline. A request that had to wait for a connection is
// sent after Hooks.OnConnected has returned.
//
// A request made while the client has a session is executed under that session or not
// at all: it waits until the session is restored, and fails with a *DisconnectedError
// whose Sent is false if the session is closed or replaced meanwhile. A request made
// without a session may be executed under any.
//
// Each request has exactly one outcome, and is executed at most once. With servers of 3.0 the
// client waits for the reply while the connection is without a socket, and sends the request
// again if it did not arrive; it also makes requests again, on its next connection, that a
// server refused because it shuts down. MaybeExecuted reports whether the server may have
// executed a request that failed. The error is one of
//   - a *protocol.PeerError that contains a *protocol.Error, protocol.ErrInternal,
//     protocol.ErrShutdown or another error of package protocol: the server's answer;
//   - a *DisconnectedError if the connection was lost;
//   - a *TimeoutError, or an error that is ctx.Err(); if there was no connection it also
//     has the cause, for instance the error of the last attempt;
//   - ErrClosed, ErrDisconnected, or a *DisconnectedError with the reason why the client
//     gave up connecting: the request was not sent;
//   - one that wraps protocol.ErrMalformed if the protocol version does not allow the
//     name or the payload, or protocol.ErrTooBig if the message is longer than the
//     server accepts: the request was not sent;
//   - one that wraps protocol.ErrMalformed if the reply cannot be decoded.
func (c *Client) Request(ctx context.Context, name string, p protocol.Payload) (protocol.Payload, error) {
	if err := c.enter(); err != nil {
		return protocol.Payload{}, err
	}
	defer c.exit()
	w := waiter{purpose: toRequest}
	for {
		l, timeout, err := c.await(ctx, &w)
		if err != nil {
			return protocol.Payload{}, err
		}
		reply, err := l.RequestFrom(ctx, protocol.Message{Kind: protocol.Request, Name: name, Payload: p}, w.from, timeout, nil)
		if c.again(&w, l, err) {
			continue
		}
		err = c.overdue(ctx, &w, c.outcome(ctx, &w, l, err))
		if late, ok := err.(*TimeoutError); ok && w.timed {
			late.After = c.opts.Timeout // the wait for the connection included
		}
		return reply, err
	}
}

// Call is Request with a JSON argument and a JSON result. If the reply is empty the
// result is the zero Out.
func Call[Out, In any](ctx context.Context, c *Client, name string, in In) (Out, error) {
	var out Out
	p, err := protocol.JSON(in)
	if err != nil {
		return out, &link.UnsentError{Err: err}
	}
	reply, err := c.Request(ctx, name, p)
	if err == nil && len(reply.Data) > 0 {
		err = reply.DecodeJSON(&out)
	}
	return out, err
}

// Signal sends a signal. It does not wait for a connection: while there is none it
// returns ErrDisconnected or a *DisconnectedError with the cause, and begins to connect
// unless autoconnect is disabled. So it does while requests in flight keep the client from
// leaving a server that shuts down and drops signals. It waits for room in the outbox until
// ctx ends, and sends nothing if ctx has ended. If it returns nil the signal will be sent
// unless the connection ends: it outlives its socket with servers of 3.0, see Hooks.OnGap.
func (c *Client) Signal(ctx context.Context, name string, p protocol.Payload) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := c.enter(); err != nil {
		return err
	}
	defer c.exit()
	l := c.link.Load()
	if l == nil || l == c.leaving.Load() && !c.takesSignals(l) {
		return c.notConnected()
	}
	err := l.Send(ctx, protocol.Message{Kind: protocol.Signal, Name: name, Payload: p})
	if err != nil && l.Cause() != nil {
		return &DisconnectedError{Cause: l.Cause()}
	}
	return err
}

// notConnected returns why there is no connection, and sees to it that there will
// be one.
func (c *Client) notConnected() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.status == Closed:
		return ErrClosed
	case c.gaveUp:
		return &DisconnectedError{Cause: c.failure}
	case !c.opts.DisableAutoconnect:
		c.start()
	}
	if c.failure != nil {
		return &DisconnectedError{Cause: c.failure}
	}
	return ErrDisconnected
}

// requestFailed logs the error of a handler of a request of the server.
func (c *Client) requestFailed(name string, err error) {
	c.log.Write(requestFailed, "webwire: request of the server failed", "request", logs.Clean(name), "error", logText(err, c.sessionKey()))
}

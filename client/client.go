package client

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/internal/tasks"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// Client is one end of a connection that it makes when it is needed and makes
// again when it is lost. Its methods may be called from any goroutine, those of
// hooks included.
type Client struct {
	dialer   transport.Dialer
	dialling chan struct{} // holds one element while a call of the dialer runs
	opts     Options
	hooks    tasks.Queue
	keys     tasks.Queue // calls of Options.Keys

	// link is the connection, nil while there is none that can be used.
	link atomic.Pointer[link.Link]

	// identity is the number of the session that Session returns, zero for none. It
	// changes under mu, and before link does.
	identity atomic.Uint64

	hookTurn atomic.Uint64 // odd while a hook runs

	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	mu       sync.Mutex
	status   Status
	changed  chan struct{} // closed when status, failure or running changes
	running  bool          // the goroutine that connects exists
	told     *link.Link    // the connection on which requests that waited may be sent
	leaving  *link.Link    // the connection whose server said that it shuts down
	failure  error         // why the last attempt to connect failed, nil after a success
	gaveUp   bool          // failure is final until Connect is called
	stops    uint64        // how often connecting ended without a connection
	stopped  error         // why it did the last time
	trying   trying
	session  sessionState
	saving   *keySave // waits for its turn, nil if there is none
	connects uint64
	attempts uint64
	past     link.Stats // of connections that are gone

	owned sync.WaitGroup // the goroutine that connects, and those of requests about the session
}

// New returns a client of the endpoint that d dials. It does nothing until it is
// used.
func New(d transport.Dialer, opts Options) *Client {
	c := &Client{
		dialer:   d,
		dialling: make(chan struct{}, 1),
		opts:     opts.withDefaults(),
		changed:  make(chan struct{}),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.hooks.Limit = c.opts.InboxSize
	return c
}

// Connect connects, unless the client is connected, and returns once it is, and
// the server has answered whether the session can be restored, if there is one to
// restore (see Hooks.OnSessionError). It tries again and again within ctx, or
// Options.Timeout if ctx has no deadline; with Options.DisableAutoconnect it tries
// once. The error is ErrClosed, that of an attempt, or for lack of time one that is
// ctx.Err() or a *TimeoutError and has the error of the last attempt as its cause.
//
// There is no need to call Connect before other methods unless autoconnect is
// disabled or the client gave up (see Hooks.OnConnectFailed). After that Connect
// waits for the pause that is due first.
func (c *Client) Connect(ctx context.Context) error {
	w := waiter{purpose: toConnect}
	for {
		l, _, err := c.await(ctx, &w)
		if err != nil || l.Cause() == nil {
			return err
		}
		w.gone = l // it has ended, or is about to
	}
}

// Request sends a request and returns the payload of the reply, which is the
// caller's. It waits for a connection and the reply within ctx, or
// Options.Timeout if ctx has no deadline. A request that had to wait for a
// connection is sent after Hooks.OnConnected has returned.
//
// A request made while the client had a session is executed under that session
// or not at all: it waits until the session is restored, and ends with a
// *DisconnectedError whose Sent is false if the session is closed or replaced
// meanwhile. A request made without a session may be executed under any.
//
// Each request has exactly one outcome, and is never sent twice. Whether the server may
// have executed a request that failed is what MaybeExecuted reports. The error is one of
//   - a *protocol.PeerError that contains a *protocol.Error, protocol.ErrInternal or
//     protocol.ErrShutdown: the server's answer;
//   - a *DisconnectedError if the connection was lost;
//   - a *TimeoutError, or an error that is ctx.Err(); if there was no connection it also
//     has the cause, for instance the error of the last attempt;
//   - ErrClosed, ErrDisconnected, or a *DisconnectedError with the reason why the client
//     gave up connecting: the request was not sent;
//   - one that wraps protocol.ErrMalformed, if the protocol version does not allow the
//     name or the payload, or protocol.ErrTooBig, if the message is longer than the
//     server accepts: the request was not sent.
func (c *Client) Request(ctx context.Context, name string, p protocol.Payload) (protocol.Payload, error) {
	w := waiter{purpose: toRequest}
	for {
		l, timeout, err := c.await(ctx, &w)
		if err != nil {
			return protocol.Payload{}, err
		}
		reply, err := l.Request(ctx, protocol.Message{Kind: protocol.Request, Name: name, Payload: p}, timeout, nil)
		if link.IsLate(err) {
			w.gone = l // the connection ended before the request began: there is none
			continue
		}
		if peer, ok := err.(*protocol.PeerError); ok && peer.Err == protocol.ErrShutdown {
			c.leave(l)
		}
		err = public(err)
		if late, ok := err.(*TimeoutError); ok {
			late.After = c.opts.Timeout // the wait for the connection included
		}
		return reply, err
	}
}

// Call is Request with a JSON argument and a JSON result. An empty reply is the
// zero Out.
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
// returns ErrDisconnected or a *DisconnectedError that says why, and begins to connect
// unless autoconnect is disabled. It waits within ctx for room in the outbox, and
// sends nothing if ctx has ended. That it returned nil means that the signal will be
// sent unless the connection is lost.
func (c *Client) Signal(ctx context.Context, name string, p protocol.Payload) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l := c.link.Load()
	if l == nil {
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

// Close ends the client for good. What Signal accepted is sent, pending requests
// fail with ErrClosed, the connection is closed and OnDisconnected called. Close
// does not wait for hooks, which may call it, but for Options.Keys. It returns within
// a few seconds, whatever server and dialer do, and may be called several times.
func (c *Client) Close() error {
	c.mu.Lock()
	l := c.link.Load()
	c.setStatus(Closed)
	c.mu.Unlock()
	if l != nil {
		ctx, cancel := context.WithTimeout(c.ctx, transport.DefaultCloseTimeout)
		l.Flush(ctx)
		cancel()
		l.Disconnect(transport.StatusNormalClosure, "", ErrClosed)
	}
	c.cancel()
	c.owned.Wait()
	c.flushKeys()
	return nil
}

func (c *Client) log(level slog.Level, msg string, args ...any) {
	c.opts.Logger.Log(context.Background(), level, msg, args...)
}

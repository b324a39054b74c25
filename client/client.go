package client

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/webwire-go/webwire/internal/link"
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
	hooks    link.Queue
	keys     link.Queue // calls of Options.Keys

	// link is the connection, nil while there is none that can be used.
	link atomic.Pointer[link.Link]

	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	mu       sync.Mutex
	status   Status
	changed  chan struct{} // closed when status, failure or running changes
	running  bool          // the goroutine that connects exists
	failure  error         // why the last attempt to connect failed, nil after a success
	gaveUp   bool          // failure is final until Connect is called
	session  sessionState
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
// its session restored if it has one. It tries again and again within ctx, or
// Options.Timeout if ctx has no deadline; with Options.DisableAutoconnect it tries
// once. The error is ErrClosed, that of an attempt, or for lack of time ctx.Err() or
// a *TimeoutError.
//
// There is no need to call Connect before other methods unless autoconnect is
// disabled or the client gave up (see Hooks.OnConnectFailed).
func (c *Client) Connect(ctx context.Context) error {
	var gone *link.Link
	for {
		l, _, err := c.await(ctx, true, gone)
		if err != nil || l.Cause() == nil {
			return err
		}
		gone = l // it has ended, or is about to
	}
}

// Request sends a request and returns the payload of the reply, which is the
// caller's. It waits for a connection and the reply within ctx, or
// Options.Timeout if ctx has no deadline.
//
// Each request has exactly one outcome, and is never sent twice. Besides nil the
// error is
//   - a *protocol.Error, protocol.ErrInternal or protocol.ErrShutdown, if the
//     server answered so;
//   - a *DisconnectedError if the connection was lost, which says whether the
//     server may have executed the request;
//   - ctx.Err(), or a *TimeoutError;
//   - ErrClosed, ErrDisconnected, or why the client gave up connecting: the
//     request was not sent;
//   - one that wraps protocol.ErrMalformed, if the version of the protocol does
//     not allow such a name or payload, or protocol.ErrTooBig, if the server takes
//     no message of that length: the request was not sent.
func (c *Client) Request(ctx context.Context, name string, p protocol.Payload) (protocol.Payload, error) {
	var gone *link.Link
	for {
		l, timeout, err := c.await(ctx, false, gone)
		if err != nil {
			return protocol.Payload{}, err
		}
		reply, err := l.Request(ctx, protocol.Message{Kind: protocol.Request, Name: name, Payload: p}, timeout, nil)
		if link.IsLate(err) {
			gone = l // the connection ended before the request began: there is none
			continue
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
		return out, err
	}
	reply, err := c.Request(ctx, name, p)
	if err == nil && len(reply.Data) > 0 {
		err = reply.DecodeJSON(&out)
	}
	return out, err
}

// Signal sends a signal. It does not wait for a connection: while there is none it
// returns ErrDisconnected, and begins to connect unless autoconnect is disabled. It
// waits within ctx for room in the outbox. That it returned nil means that the
// signal will be sent unless the connection is lost.
func (c *Client) Signal(ctx context.Context, name string, p protocol.Payload) error {
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
	return ErrDisconnected
}

// await returns the connection, and what is left of Options.Timeout if that is
// what bounds the caller. explicit is true for Connect. gone is a connection that
// turned out to be none any more, nil if there is no such.
func (c *Client) await(ctx context.Context, explicit bool, gone *link.Link) (*link.Link, time.Duration, error) {
	timeout := c.within(ctx)
	if l := c.link.Load(); l != nil && l != gone {
		return l, timeout, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	began := time.Now()
	var late <-chan time.Time
	if timeout > 0 {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		late = timer.C
	}
	for asked := false; ; {
		l, changed, err := c.look(explicit, &asked, gone)
		if err != nil {
			return nil, 0, err
		}
		if l != nil {
			if timeout > 0 {
				timeout = max(1, timeout-time.Since(began))
			}
			return l, timeout, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		case <-late:
			return nil, 0, &TimeoutError{After: timeout, Cause: c.lastFailure()}
		}
	}
}

// within returns Options.Timeout if that is what bounds the caller, else zero.
func (c *Client) within(ctx context.Context) time.Duration {
	if _, bounded := ctx.Deadline(); bounded {
		return 0
	}
	return c.opts.Timeout
}

// look returns the connection, or a channel that is closed when it is worth to
// look again, or why there is no connection to wait for. It starts connecting. asked
// says that an attempt was made or waited for: the failure, if there is one, is its.
func (c *Client) look(explicit bool, asked *bool, gone *link.Link) (*link.Link, <-chan struct{}, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status == Closed {
		return nil, nil, ErrClosed
	}
	if l := c.link.Load(); l != nil && l != gone {
		return l, nil, nil
	}
	once := c.opts.DisableAutoconnect
	before := *asked
	*asked = before || c.link.Load() == nil // else it is gone, and about to be cleared away
	switch {
	case c.running:
	case explicit && !before:
		c.gaveUp = false
		c.start()
	case explicit && (c.gaveUp || once):
		return nil, nil, c.failure
	case c.gaveUp:
		return nil, nil, &DisconnectedError{Cause: c.failure}
	case once:
		return nil, nil, ErrDisconnected
	default:
		c.start()
	}
	if once && !explicit {
		return nil, nil, ErrDisconnected
	}
	return nil, c.changed, nil
}

func (c *Client) lastFailure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure == nil {
		return errors.New("connecting takes that long")
	}
	return c.failure
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
		l.Disconnect(transport.StatusNormal, "", ErrClosed)
	}
	c.cancel()
	c.owned.Wait()
	c.flushKeys()
	return nil
}

func (c *Client) log(level slog.Level, msg string, args ...any) {
	c.opts.Logger.Log(context.Background(), level, msg, args...)
}

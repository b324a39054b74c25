package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/protocol"
)

// waiter is a call that needs a connection.
type waiter struct {
	purpose purpose
	key     string     // of toRestore
	gone    *link.Link // a connection that takes no requests any more, nil if there is none

	timed bool          // Options.Timeout bounds the call: the fields below are set
	until time.Duration // its end, see link.Now
	from  time.Duration // when await returned what is left of it

	began  bool          // the fields below are set
	since  time.Duration // when that was, see link.Now
	under  uint64        // the identity of the session then
	hook   uint64        // the hook that was running then: it may be what made the call; zero: none
	looked bool          // look was called
	asked  bool          // an attempt was made or waited for: the failure, if there is one, is its
	stops  uint64        // Client.stops before that
}

type purpose uint8

const (
	toConnect purpose = iota
	toRequest
	toRestore
)

var (
	errConnecting = errors.New("client: no attempt to connect has ended yet")
	errLeaving    = fmt.Errorf("client: waiting to leave the server: %w", &protocol.PeerError{Err: protocol.ErrShutdown})
	errHooksBusy  = errors.New("client: OnConnected has not returned")

	errSessionChanged = errors.New("client: the session under which the request was made was closed or replaced")
)

// begin notes under which circumstances the call began.
func (c *Client) begin(w *waiter) {
	if w.began {
		return
	}
	w.began, w.since = true, link.Now()
	w.under = c.identity.Load()
	if turn := c.hookTurn.Load(); turn%2 == 1 {
		w.hook = turn
	}
}

// await returns the connection, and what is left of Options.Timeout, from w.from on, if
// that is what bounds the caller.
func (c *Client) await(ctx context.Context, w *waiter) (*link.Link, time.Duration, error) {
	c.begin(w)
	timeout := c.within(ctx)
	switch {
	case timeout <= 0:
	case !w.timed:
		w.timed, w.from = true, w.since
		w.until = w.from + timeout
	default:
		timeout = w.left()
	}
	if w.gone == nil {
		// A new connection comes with its identity: the two belong together.
		if l := c.link.Load(); l != nil && l != c.leaving.Load() && c.identity.Load() == w.under && w.purpose == toRequest {
			return l, timeout, nil
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, 0, &link.UnsentError{Err: err}
	}
	var late <-chan time.Time
	if timeout > 0 {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		late = timer.C
	}
	for {
		l, changed, err := c.look(w)
		if err != nil {
			return nil, 0, err
		}
		if l != nil {
			if timeout > 0 {
				timeout = w.left()
			}
			return l, timeout, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, 0, c.tooLate(ctx, w)
		case <-late:
			return nil, 0, &TimeoutError{After: c.opts.Timeout, Cause: c.obstacle()}
		}
	}
}

// left returns what is left of Options.Timeout, from now on.
func (w *waiter) left() time.Duration {
	w.from = link.Now()
	return max(1, w.until-w.from)
}

// again reports whether a request that failed with err on l is to be made again on the next
// connection: it was not executed, because l has ended or its server shuts down.
func (c *Client) again(w *waiter, l *link.Link, err error) bool {
	if err == nil {
		return false
	}
	if l.Unsent(err) {
		w.gone = l
		return true
	}
	// An answer, and not the cause of a lost connection, which may wrap one.
	if peer, ok := err.(*protocol.PeerError); !ok || !errors.Is(peer.Err, protocol.ErrShutdown) {
		return false
	}
	c.leave(l) // so that the request waits for the next connection
	return !c.opts.DisableAutoconnect
}

// within returns Options.Timeout if that is what bounds the caller, else zero.
func (c *Client) within(ctx context.Context) time.Duration {
	if _, bounded := ctx.Deadline(); bounded {
		return 0
	}
	return c.opts.Timeout
}

// look returns the connection, or a channel that is closed when it is worth
// looking again, or why there is no connection to wait for. It starts connecting.
func (c *Client) look(w *waiter) (*link.Link, <-chan struct{}, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := !w.looked && w.gone == nil
	w.looked = true
	if c.status == Closed {
		return nil, nil, ErrClosed
	}
	if w.purpose == toRequest && w.under != 0 && w.under != c.session.number {
		return nil, nil, &DisconnectedError{Cause: errSessionChanged}
	}
	if l := c.link.Load(); l != nil && l != w.gone && l != c.leaving.Load() {
		if c.admits(w, l, at) {
			return l, nil, nil
		}
		return nil, c.changed, nil
	}
	once := c.opts.DisableAutoconnect
	explicit := w.purpose == toConnect
	before := w.asked
	if !before {
		w.stops = c.stops
	}
	w.asked = before || c.link.Load() == nil // else it is gone, and about to be cleared away
	switch {
	case c.stops != w.stops && explicit: // whatever was begun since
		return nil, nil, c.stopped
	case c.stops != w.stops:
		return nil, nil, &DisconnectedError{Cause: c.stopped}
	case c.running:
	case explicit && !before:
		if !c.gaveUp {
			c.trying.due = time.Time{}
		}
		c.gaveUp = false
		c.start()
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

// admits reports whether a call may use l now; at says that it has not waited. The
// caller holds mu.
func (c *Client) admits(w *waiter, l *link.Link, at bool) bool {
	switch {
	case w.purpose == toConnect:
		return !l.IsAway()
	case w.purpose == toRestore && c.session.restoring && c.session.key == w.key:
		return false // two at a time count twice at some servers
	case w.purpose == toRequest && w.under != 0 && w.under != c.identity.Load():
		return false // its session is being restored
	case at, c.told == l:
		return true
	}
	// OnConnected cannot be called before the hook that is running has returned, which
	// may wait for this call.
	return w.hook != 0 && w.hook == c.hookTurn.Load()
}

// tooLate returns the error of a call whose context ended while it waited.
func (c *Client) tooLate(ctx context.Context, w *waiter) error {
	cause := c.obstacle()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &TimeoutError{After: link.Now() - w.since, Cause: cause}
	}
	return &canceledError{reason: ctx.Err(), cause: cause}
}

// outcome returns the error of a request on l, nil for none, as the client's callers know it.
func (c *Client) outcome(ctx context.Context, w *waiter, l *link.Link, err error) error {
	if err == nil {
		return nil // before the variables below, which cost an allocation each
	}
	var unsent *link.UnsentError
	var late *link.TimeoutError
	switch {
	case l == nil || !errors.As(err, &unsent) || !l.IsAway():
	case errors.As(err, &late):
		return &TimeoutError{After: late.After, Cause: c.obstacle()}
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return c.tooLate(ctx, w)
	}
	return public(err)
}

// obstacle returns why calls wait.
func (c *Client) obstacle() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.link.Load()
	switch away := l == nil || l.IsAway(); {
	case away && c.failure != nil:
		return c.failure
	case away:
		return errConnecting
	case l == c.leaving.Load():
		return errLeaving
	case c.session.failure != nil:
		return c.session.failure
	}
	return errHooksBusy
}

package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/webwire-go/webwire/internal/tasks"
	"github.com/webwire-go/webwire/transport"
)

// start starts the goroutine that connects, if there is none. The caller holds mu.
func (c *Client) start() {
	if c.running || c.status == Closed {
		return
	}
	c.running = true
	c.setStatus(Connecting)
	c.owned.Go(c.maintain)
}

// trying is what the client knows of its attempts to connect, guarded by its mutex.
// It outlives the goroutine that connects.
type trying struct {
	retries int       // pauses since a connection lasted
	due     time.Time // when the next attempt may be made
	last    uint64    // kind of the last failure
	same    int       // failures of that kind in a row, if it is not zero
	failing bool      // the last one failed, and that is in the log
	spread  bool      // the server has spread its clients: they need no pause, once
}

// maintain owns the connection: it connects, reads until the connection ends, and
// connects again, until the client is closed, gives up, or is to connect only once.
func (c *Client) maintain() {
	var open *opening // a socket that is open already
	again := true
	for again {
		if open == nil {
			c.pause(c.ctx)
		}
		again, open = c.connectAndRead(open)
	}
	if open != nil {
		_ = open.conf.Conn.Close(transport.StatusNormalClosure, "") // it was not used
	}
}

// pause waits until the next attempt is due, or ctx ends.
func (c *Client) pause(ctx context.Context) {
	c.mu.Lock()
	due := c.trying.due
	c.mu.Unlock()
	if due.IsZero() {
		return
	}
	passed(time.Until(due), ctx.Done()) // if not, the attempt fails at once
}

// connectAndRead makes one connection, on a socket that is open already unless that is
// nil, and reads until it ends. It reports whether to make another, and returns the socket
// for that if there is one.
func (c *Client) connectAndRead(open *opening) (again bool, next *opening) {
	if open == nil {
		c.mu.Lock()
		c.attempts++
		c.mu.Unlock()
		ctx, cancel := context.WithTimeout(c.ctx, c.opts.DialTimeout)
		defer cancel()
		var err error
		if open, err = c.dial(ctx, nil); err != nil {
			return c.ended(nil, err), nil
		}
	}
	s := newServing(c, open.conf)
	l := s.link
	stop := context.AfterFunc(c.ctx, func() {
		// Close cannot reach a connection that is not open for use yet. A server that is
		// not told would wait for it.
		l.Disconnect(transport.StatusNormalClosure, "", ErrClosed)
		l.Abort(ErrClosed)
	})
	defer stop()
	if open.welcome != nil {
		s.welcomed(open.welcome)
	}
	var using sync.WaitGroup
	using.Go(s.use)
	lost := l.Carry()
	over := false
	for l.IsAway() && !over {
		if next, over = c.goOn(s, lost); !over {
			lost = l.Carry()
		}
	}
	// Handlers of the server's requests may run on, and may themselves wait for the next
	// connection. Their contexts have ended.
	err := l.Release()
	using.Wait()
	return c.ended(s, err), next
}

// ended records that a connection ended, or, if s is nil, could not be made,
// and reports whether to try again.
func (c *Client) ended(s *serving, err error) (again bool) {
	err = reason(err)
	final := s != nil && s.final != nil
	if final {
		err = s.final
	}
	if s != nil && !s.since.IsZero() {
		s.logEnd(err)
	}
	if !final {
		err = c.counted(err)
		final = c.givesUp(err)
	}
	again, first := c.end(s, err, final)
	if first {
		c.logFailing(err)
	}
	return again
}

// end is ended under the lock. first reports whether the attempt is the first of a row
// of failures.
func (c *Client) end(s *serving, err error, final bool) (again, first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	hooks := &c.opts.Hooks
	lasted := time.Duration(0)
	used := s != nil && !s.since.IsZero()
	if s != nil {
		c.link.Store(nil)
		c.told = nil
		c.past.Add(s.link.Stats())
		if c.session.closed { // and no CloseSession succeeded, nor will
			c.session.closed = false
			c.tellClosed()
		}
		c.session.lost()
		c.reckon(false)
	}
	if used {
		lasted = time.Since(s.since)
		if hooks.OnDisconnected != nil {
			c.later("OnDisconnected", func() { hooks.OnDisconnected(c.ctx, err) })
		}
		if g, ok := s.gap(); ok && hooks.OnGap != nil {
			c.later("OnGap", func() { hooks.OnGap(c.ctx, g) })
		}
	}
	c.failure = err
	open := c.status != Closed
	c.gaveUp = open && final
	again = open && !c.gaveUp && !c.opts.DisableAutoconnect
	switch {
	case c.gaveUp:
		if hooks.OnConnectFailed != nil {
			c.later("OnConnectFailed", func() { hooks.OnConnectFailed(c.ctx, err) })
		}
	case again && !used:
		first = c.attemptFailed(err)
	}
	if lasted >= c.stable(err) {
		c.trying.retries = 0
	}
	c.delay(err)
	c.running = again
	if again {
		c.setStatus(Connecting)
	} else {
		c.stops++
		c.stopped = err
		c.setStatus(Disconnected)
	}
	c.notify()
	return again, first
}

// attemptFailed calls OnConnectError, and reports whether the attempt is the first of a row
// of failures. The caller holds mu.
func (c *Client) attemptFailed(err error) (first bool) {
	if hook := c.opts.Hooks.OnConnectError; hook != nil {
		c.later("OnConnectError", func() { hook(c.ctx, err) })
	}
	first = !c.trying.failing
	c.trying.failing = true
	return first
}

// reached records that an attempt has succeeded, and reports whether others failed before.
// The caller holds mu.
func (c *Client) reached() (recovered bool) {
	recovered = c.trying.failing
	c.trying.failing = false
	c.trying.last = 0 // which was before it
	c.failure = nil
	return recovered
}

// The log tells of the first failure in a row, and of the success after it.

func (c *Client) logFailing(err error) {
	c.log.Write(cannotConnect, "webwire: cannot connect, the client tries again until it succeeds", "error", logText(err, c.sessionKey()))
}

func (c *Client) logRecovered() {
	c.log.Write(recovered, "webwire: connected after attempts that failed")
}

// delay sets the time of the next attempt after one that failed with err, or after a loss.
// The caller holds mu.
func (c *Client) delay(err error) {
	pause := c.backoff(c.trying.retries, err)
	if c.trying.spread && c.trying.retries == 0 { // retries: the socket did not last
		pause = 0
	}
	c.trying.spread = false
	c.trying.due = time.Now().Add(pause)
	c.trying.retries++
}

// counted returns the error of an attempt, as a *RepeatedError if it is one.
func (c *Client) counted(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := &c.trying
	if kind := kind(err); kind != a.last {
		a.last, a.same = kind, 0
	}
	if a.last == 0 {
		return err
	}
	if a.same++; a.same == 1 {
		return err
	}
	return &RepeatedError{Times: a.same, Err: err}
}

// givesUp asks Options.GiveUp, without holding a lock. The goroutine that connects does not end
// with it.
func (c *Client) givesUp(err error) (final bool) {
	if c.Status() != Closed {
		tasks.RunApart(&within{hook{c, "Options.GiveUp", func() { final = c.opts.GiveUp(err) }}})
	}
	return final
}

// stable returns how long a connection that ended with err must have lasted for the
// pauses to start anew. A server that goes away in good order is none that fails, nor is
// one that wants new credentials.
func (c *Client) stable(err error) time.Duration {
	if errors.Is(err, errServerLeaves) {
		return c.opts.MinBackoff
	}
	var closed *transport.CloseError
	if errors.As(err, &closed) {
		switch closed.Status {
		case transport.StatusGoingAway, transport.StatusCredentialsExpired:
			return c.opts.MinBackoff
		}
	}
	return c.opts.MaxBackoff
}

// The limits of the default options, with this growth, bring thousands of clients whose
// server was away for a second or for an hour back within MaxBackoff, evenly.
const growth = 4

// backoff returns the pause before the next attempt: random, so that many clients that
// lost their server do not come back at once. Once they are spread over MaxBackoff, pauses
// of nearly that length keep them so.
func (c *Client) backoff(retries int, err error) time.Duration {
	least, limit := time.Duration(0), min(c.opts.MinBackoff, c.opts.MaxBackoff)
	for range retries {
		if limit > c.opts.MaxBackoff/growth {
			limit = c.opts.MaxBackoff
			least = limit - limit/4
			break
		}
		limit *= growth
	}
	// A server that says when to come back sets the pace, the jitter is ours.
	var refused *transport.RefusedError
	if errors.As(err, &refused) && refused.RetryAfter > 0 {
		least = min(refused.RetryAfter, maxRetryAfter)
		limit = least + min(limit, max(least, c.opts.MinBackoff))
	}
	return least + rand.N(limit-least+1)
}

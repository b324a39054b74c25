package client

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

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

// maintain owns the connection: it connects, reads until the connection ends, and
// connects again, until the client is closed, gives up, or shall connect but once.
func (c *Client) maintain() {
	retries := 0
	for {
		lasted, again, err := c.connectAndRead()
		if !again {
			return
		}
		if lasted >= c.stable(err) {
			retries = 0
		}
		pause := time.NewTimer(c.backoff(retries, err))
		retries++
		select {
		case <-pause.C:
		case <-c.ctx.Done():
			pause.Stop() // the next attempt fails at once
		}
	}
}

// connectAndRead makes one connection and reads until it ends. It returns how long
// it was of use, and why it ended or could not be made.
func (c *Client) connectAndRead() (lasted time.Duration, again bool, err error) {
	c.mu.Lock()
	c.attempts++
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(c.ctx, c.opts.DialTimeout)
	defer cancel()
	l, err := c.dial(ctx)
	if err != nil {
		return 0, c.ended(nil, err), err
	}
	stop := context.AfterFunc(c.ctx, func() { l.Abort(ErrClosed) })
	defer stop()
	s := &serving{client: c, link: l}
	var preparing sync.WaitGroup
	preparing.Go(s.prepare)
	err = l.Run(s)
	preparing.Wait()
	if !s.since.IsZero() {
		lasted = time.Since(s.since)
	}
	return lasted, c.ended(s, err), err
}

// ended takes note that a connection ended, or, if s is nil, could not be made,
// and reports whether to try again.
func (c *Client) ended(s *serving, err error) (again bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	hooks := &c.opts.Hooks
	if s != nil {
		c.link.Store(nil)
		c.past.Add(s.link.Stats())
		c.session.active = false
		if !s.since.IsZero() && hooks.OnDisconnected != nil {
			c.later("OnDisconnected", func() { hooks.OnDisconnected(err) })
		}
	}
	c.failure = err
	if c.status != Closed && permanent(err) {
		c.gaveUp = true
		if hooks.OnConnectFailed != nil {
			c.later("OnConnectFailed", func() { hooks.OnConnectFailed(err) })
		}
	}
	again = c.status != Closed && !c.gaveUp && !c.opts.DisableAutoconnect
	c.running = again
	if again {
		c.setStatus(Connecting)
	} else {
		c.setStatus(Disconnected)
	}
	c.notify()
	return again
}

// permanent reports whether it makes no sense to try again after err.
func permanent(err error) bool {
	var version *VersionError
	var refused *transport.RefusedError
	var cert *tls.CertificateVerificationError
	switch {
	case errors.Is(err, transport.ErrConfig), errors.As(err, &version), errors.As(err, &cert):
		return true
	case errors.As(err, &refused):
		switch refused.StatusCode {
		case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
			return false
		}
		return refused.StatusCode >= 400 && refused.StatusCode < 500
	}
	return false
}

// stable returns how long a connection that ended with err must have lasted for the
// pauses to start anew. A server that goes away in good order is none that fails.
func (c *Client) stable(err error) time.Duration {
	var closed *transport.CloseError
	if errors.As(err, &closed) && closed.Status == transport.StatusGoingAway {
		return c.opts.MinBackoff
	}
	return c.opts.MaxBackoff
}

// growth is how much longer a pause may be than the one before. With it, and the
// default limits, thousands of clients whose server was away for seconds are back
// within MaxBackoff, evenly enough, after a handful of attempts each.
const growth = 3

// backoff returns the pause before the next attempt: exponential, with full
// jitter, so that many clients that lost their server do not come back at once.
func (c *Client) backoff(retries int, err error) time.Duration {
	limit := min(c.opts.MinBackoff, c.opts.MaxBackoff)
	for range retries {
		if limit > c.opts.MaxBackoff/growth {
			break
		}
		limit *= growth
	}
	// A server that says when to come back sets the pace, the jitter is ours.
	asked := time.Duration(0)
	var refused *transport.RefusedError
	if errors.As(err, &refused) && refused.RetryAfter > 0 {
		asked = min(refused.RetryAfter, maxRetryAfter)
		limit = min(limit, max(asked, c.opts.MinBackoff))
	}
	return asked + rand.N(limit) + 1
}

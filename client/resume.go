package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// Gap tells of signals that were lost, see Hooks.OnGap.
type Gap struct {
	// Missed is the number of signals of the server that the client has not received, and
	// will not. Items of streamed replies count too. It is zero if the server cannot tell,
	// because the connection has ended: then there may be any number, or none.
	Missed uint64

	// Unacknowledged is the number of signals that Signal accepted and of which it is not
	// known whether the server has received them.
	Unacknowledged int
}

var (
	errNotResumed  = errors.New("client: the server does not go on with the connection")
	errWindowOver  = errors.New("client: the server was out of reach for longer than it waits for its clients")
	errNoWelcome   = fmt.Errorf("client: server did not answer hello: %w", context.DeadlineExceeded)
	errUnavailable = errors.New("client: the server cannot tell now whether it goes on with the connection")
)

// ticket is what a client needs to go on with a connection on another socket. It is used
// by the goroutine that connects, and by the reader.
type ticket struct {
	conn    protocol.ConnID
	secret  protocol.Secret
	window  time.Duration // zero: the server does not resume connections
	attempt uint32        // of the last hello that asked for it

	// The gap that the application was told of last, and how many messages had arrived
	// then: as long as no other arrives it only grows.
	gap, gapAt uint64
}

// take takes what the server says in a welcome.
func (t *ticket) take(w *protocol.WelcomeBody) {
	t.conn, t.secret, t.window = w.Conn, w.Secret, w.Window
}

// missed returns how many of the messages that are lost after those received the
// application was not told of.
func (t *ticket) missed(lost, received uint64) uint64 {
	told := uint64(0)
	if t.gapAt == received {
		told = min(t.gap, lost)
	}
	t.gap, t.gapAt = lost, received
	return lost - told
}

// gap returns what may be lost with a connection that has ended, and whether there may be
// anything. A socket that the client has closed delivers what was written to it before; one
// that the server has closed need not.
func (s *serving) gap() (g Gap, ok bool) {
	all, unwritten, away := s.link.Unacknowledged()
	if s.link.Cause() != ErrClosed {
		return Gap{Unacknowledged: all}, away || all > 0
	}
	if !away {
		all = unwritten
	}
	return Gap{Unacknowledged: all}, all > 0 // who closes the client misses no signals
}

// survives reports whether the connection outlives a socket that the server closed with a
// status: only if the status says so.
func survives(err error) bool {
	var closed *transport.CloseError
	return !errors.As(err, &closed) || closed.Status == transport.StatusCredentialsExpired || closed.Status == transport.StatusServiceRestart
}

// welcomed takes the answer to the hello of a new connection.
func (s *serving) welcomed(w *protocol.WelcomeBody) {
	s.ticket.take(w)
	if w.Window <= 0 {
		s.link.NeverResumes()
	} else if !s.client.opts.DisableAutoconnect {
		s.window = w.Window
	}
	close(s.welcome)
}

// isWelcome reports whether the server has answered the hello of the connection.
func (s *serving) isWelcome() bool {
	select {
	case <-s.welcome:
		return true
	default:
		return false
	}
}

// awaitWelcome waits until the connection outlives its socket, if it ever does, and reports
// whether it did not end before. Nothing that an application sends goes out earlier: it
// could be lost with the socket. A server that does not answer in time is of no use.
func (s *serving) awaitWelcome() bool {
	if s.welcome == nil {
		return true
	}
	limit := time.NewTimer(s.client.opts.DialTimeout)
	defer limit.Stop()
	select {
	case <-s.welcome:
		return true
	case <-s.link.Context().Done():
	case <-limit.C:
		s.link.Disconnect(transport.StatusNormalClosure, "", errNoWelcome)
	}
	return false
}

// goOn makes attempts to give a connection that is away another socket until that
// succeeds, and returns nil, or until the connection has ended. Then next is the socket of
// the connection that comes next, if there is one already.
func (c *Client) goOn(s *serving, cause error) (next *opening, over bool) {
	l := s.link
	c.away(s, cause)
	if s.ticket.window <= 0 { // there was no welcome yet
		l.AbortAway(cause)
		return nil, true
	}
	window := time.AfterFunc(s.ticket.window, func() { l.AbortAway(fmt.Errorf("%w: %w", errWindowOver, cause)) })
	defer window.Stop()
	for {
		c.pause(l.Context())
		if !l.IsAway() {
			return nil, true
		}
		next, err := c.tryGoingOn(s)
		switch {
		case next != nil:
			l.AbortAway(fmt.Errorf("%w: %w", errNotResumed, cause))
			return next, true
		case err == nil:
			c.back(s)
			return nil, false
		case !l.IsAway():
			return nil, true
		}
		err = c.counted(reason(err))
		if c.givesUp(err) {
			s.final = err
			l.AbortAway(err)
			return nil, true
		}
		c.stillAway(err)
	}
}

// tryGoingOn makes one attempt. It returns nil, nil if the connection goes on, and a socket
// if that carries another connection.
func (c *Client) tryGoingOn(s *serving) (next *opening, err error) {
	l := s.link
	c.mu.Lock()
	c.attempts++
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(l.Context(), c.opts.DialTimeout)
	defer cancel()
	s.ticket.attempt++
	received := l.Received()
	o, err := c.dial(ctx, &protocol.Resume{
		Conn:      s.ticket.conn,
		Secret:    s.ticket.secret,
		Attempt:   s.ticket.attempt,
		Received:  received,
		FirstKept: l.FirstKept(),
	})
	if err != nil {
		return nil, err
	}
	w := o.welcome
	switch {
	case w == nil || !w.Outcome.Resumed() && w.Outcome != protocol.OutcomeUnavailable:
		return o, nil
	case w.Outcome == protocol.OutcomeUnavailable:
		_ = o.conf.Conn.Close(transport.StatusTryAgainLater, "") // the error below says more
		return nil, errUnavailable
	}
	lost := w.From - 1 - received - uint64(w.Late)
	err = link.ErrCannotResume
	if w.From > received && lost <= w.From {
		err = l.Resume(link.Resumption{Conn: o.conf.Conn, Received: w.Received, From: w.From, Late: w.Late})
	}
	if errors.Is(err, link.ErrCannotResume) {
		err = fmt.Errorf("%w: the server has received %d messages and goes on at number %d after %d others; the client has received %d and keeps those from %d on",
			ErrProtocolViolation, w.Received, w.From, w.Late, received, l.FirstKept())
		c.log.Write(cannotResume, "webwire: a connection cannot be resumed", "error", logText(err, c.sessionKey()))
	}
	if err != nil {
		_ = o.conf.Conn.Close(transport.StatusProtocolError, "cannot resume") // err says more
		l.AbortAway(err)
		return nil, err
	}
	s.ticket.take(w)
	if missed := s.ticket.missed(lost, received); missed > 0 {
		c.tellGap(Gap{Missed: missed})
	}
	if lost > 0 {
		c.subs.doubt() // before any message is received
	}
	return nil, nil
}

// away records that a connection has lost its socket.
func (c *Client) away(s *serving, cause error) {
	why := reason(cause)
	c.mu.Lock()
	used := !s.since.IsZero()
	if used {
		if time.Since(s.since) >= c.stable(cause) {
			c.trying.retries = 0
		}
		s.resuming(why)
	} else {
		s.lostBy = why
	}
	c.delay(cause)
	c.mu.Unlock()
	if used {
		s.logLoss(why)
	}
}

// resuming tells that a connection that is used has no socket. The caller holds mu.
func (s *serving) resuming(why error) {
	c := s.client
	c.setStatus(Resuming)
	c.failure = why
	if hook := c.opts.Hooks.OnAway; hook != nil {
		c.later("OnAway", func() { hook(c.ctx, why) })
	}
}

// stillAway records that an attempt to go on with a connection has failed.
func (c *Client) stillAway(err error) {
	c.mu.Lock()
	first := c.attemptFailed(err)
	c.failure = err
	c.delay(err)
	c.notify()
	c.mu.Unlock()
	if first {
		c.logFailing(err)
	}
}

// back records that a connection goes on.
func (c *Client) back(s *serving) {
	c.mu.Lock()
	recovered := c.reached()
	c.resumes++
	c.leaving.CompareAndSwap(s.link, nil)
	s.lostBy = nil
	if !s.since.IsZero() {
		s.since = time.Now()
		c.setStatus(Connected)
		if hook := c.opts.Hooks.OnBack; hook != nil {
			c.later("OnBack", func() { hook(c.ctx) })
		}
	}
	c.notify()
	c.mu.Unlock()
	if recovered {
		c.logRecovered()
	}
}

// tellGap calls OnGap.
func (c *Client) tellGap(g Gap) {
	if hook := c.opts.Hooks.OnGap; hook != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.later("OnGap", func() { hook(c.ctx, g) })
	}
}

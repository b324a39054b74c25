package server

import (
	"context"
	"errors"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/internal/logs"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// Shutdown ends the server gracefully. From now on HTTP requests are answered with 503 and
// Retry-After. Clients of 3.0 are asked to move: they hold new requests back, wait for the
// replies to those in flight, and connect again, each at a random time within
// Options.DrainSpread. Until they have left, at most five seconds after that, they are served as
// before. Then, and for clients of other versions at once, requests are answered with
// protocol.ErrShutdown, after which the clients of this module make them again on their
// next connection, and signals are dropped and counted.
// If other nodes share Options.Engine, clients of 3.0 come back to one of them, which goes on
// with their connections (see Hooks.OnClientBack), and are refused nothing. Shutdown waits for
// that until no client has come to another node for ten seconds.
//
// Running handlers finish and their replies are sent. Then the connections are closed with
// StatusGoingAway, and OnClientDisconnected is called for each. Shutdown returns nil when
// all of this is done; the session store is not used after that. If ctx ends first, all
// remaining connections are dropped at once and Shutdown returns ctx.Err(); the contexts of
// handlers that are still running end, but Shutdown does not wait for them.
//
// Shutdown may be called several times, also while Close runs. A handler or hook may call
// it with a context derived from its own. Shutdown then does not wait for that handler's
// connection, which is closed after the handler's reply has been sent. Such a context ends
// with the connection, and with clients of 3.0 also when the client cancels the request or its
// deadline passes. Then Shutdown returns ctx.Err() but drops nothing: the shutdown goes on
// without a time limit, as after BeginShutdown. To give it a limit of its own derive ctx from
// context.WithoutCancel.
//
// With any other context Shutdown waits for every connection. Called by a handler, it waits
// for the handler's own connection, which cannot end before: when ctx ends it drops that
// connection and returns ctx.Err(), and if ctx never ends it does not return. Handlers and
// hooks without a context call BeginShutdown instead.
//
// Shutdown does not affect the http.Server that the server is mounted in: shut that down
// too, before or after.
func (s *Server) Shutdown(ctx context.Context) error {
	caller, _ := ctx.Value(connKey{s}).(*Conn)
	if caller != nil {
		defer s.exempt(caller)()
	}
	err := s.beginShutdown()
	var closed chan struct{} // not nil: only connections whose handlers call Shutdown are left
	for {
		changed := s.change()
		if closed == nil && s.isIdle(caller != nil) {
			if caller == nil {
				s.topics.close()
				return err
			}
			closed = make(chan struct{})
			go func() { // it waits for what is being sent to those that are left
				defer close(closed)
				s.topics.close()
			}()
		}
		select {
		case <-closed:
			return err
		case <-changed:
		case <-ctx.Done():
			if caller != nil && caller.hasLeft(ctx) { // the others stay
				return ctx.Err()
			}
			s.drop()
			s.topics.close()
			return ctx.Err()
		}
	}
}

// hasLeft reports whether ctx, which is derived from that of a handler or hook of c, has ended
// with it: because of the connection or the request, and not for a reason of the handler.
func (c *Conn) hasLeft(ctx context.Context) bool {
	own := c.link.Context()
	if in := link.IncomingOf(ctx); in != nil {
		own = in.Context()
	}
	return own.Err() != nil && errors.Is(context.Cause(ctx), context.Cause(own))
}

// BeginShutdown starts a graceful shutdown and returns at once. Handlers and hooks may call
// it. The shutdown has no time limit; call Shutdown to wait for its end, or Close to cut it
// short.
func (s *Server) BeginShutdown() {
	if err := s.beginShutdown(); err != nil {
		s.log.Write(acceptFailed, "webwire: listener cannot be closed", "error", logs.Text(err))
	}
}

func (s *Server) beginShutdown() error {
	first, err := s.refuseNew(true)
	if first {
		go s.closeDrained()
	}
	return err
}

// closeDrained waits until no request is being handled, and closes the connections. It does
// not wait for handlers that call Shutdown: their connections are closed when they have
// drained.
func (s *Server) closeDrained() {
	conns := s.snapshot()
	limit := time.NewTimer(s.opts.DrainSpread + moveTime)
	defer limit.Stop()
	for _, c := range conns {
		if c.moves() && !c.hasMoved() && !s.awaitMoved(c, limit.C) {
			break
		}
	}
	if s.knowsOthers() {
		for _, c := range conns {
			if !s.isCaller(c) && c.resumption != nil && !c.link.IsAway() && !c.hasMoved() {
				c.link.CloseSocket(transport.StatusServiceRestart, "server shutting down", ErrServerClosed)
			}
		}
		s.awaitTaken(conns)
	}
	for _, c := range conns {
		c.link.Drain()
		c.endAway()
	}
	for _, c := range conns {
		s.awaitDrained(c)
	}
	for _, c := range conns {
		c.close(transport.StatusGoingAway, "server shutting down", ErrServerClosed)
	}
	s.end()
}

// moves reports whether the client of c understands that it is asked to move.
func (c *Conn) moves() bool { return c.info.Version >= protocol.V3_0 }

const (
	// moveTime is for how long after Options.DrainSpread clients may take to move.
	moveTime = 5 * time.Second

	// takeOverTime is for how long clients that have left may take to come to another node,
	// since the last one has.
	takeOverTime = 10 * time.Second

	// drainGrace is for how long clients may wait for what is in flight: for as long as
	// Shutdown does.
	drainGrace = 24 * time.Hour
)

// knows reports whether a node is known to be alive.
func (s *Server) knows(node engine.NodeID) bool {
	if s.topics.engine.Roster == nil {
		return false
	}
	for other := range s.topics.engine.Roster.Nodes() {
		if other == node {
			return true
		}
	}
	return false
}

// knowsOthers reports whether another node is alive, to which clients can go.
func (s *Server) knowsOthers() bool {
	if !s.hasNodes() || !s.topics.opened.Load() {
		return false
	}
	for node := range s.topics.engine.Roster.Nodes() {
		if node != s.topics.self {
			return true
		}
	}
	return false
}

// endAway ends a connection that has no socket, unless another node has it.
func (c *Conn) endAway() {
	if c.link.IsAway() && c.takeTurn() { // it may be on its way
		defer c.give(&c.resumption.turn)
		if !c.hasMoved() {
			c.link.EndAway(ErrServerClosed)
		}
	}
}

// takeTurn is take for resumption.turn. It reports false if c calls Shutdown, because OnClientBack
// may do so while the turn is held.
func (c *Conn) takeTurn() bool {
	s, r := c.server, c.resumption
	s.mu.Lock()
	defer s.mu.Unlock()
	for r.turn {
		if c.callers > 0 {
			return false
		}
		changed, called := await(&r.changed), await(&s.changed)
		s.mu.Unlock()
		select {
		case <-changed:
		case <-called:
		}
		s.mu.Lock()
	}
	r.turn = true
	return true
}

// awaitTaken returns when another node has those of the connections that have no socket, or
// none has been taken for takeOverTime.
func (s *Server) awaitTaken(conns []*Conn) {
	limit := time.NewTimer(takeOverTime)
	defer limit.Stop()
	before := s.handedOver.Load()
	for _, c := range conns {
		for {
			changed := s.change()
			if !c.link.IsAway() || c.hasMoved() || s.isCaller(c) {
				break
			}
			if now := s.handedOver.Load(); now != before {
				before = now
				limit.Reset(takeOverTime)
			}
			select {
			case <-changed:
			case <-limit.C:
				return
			}
		}
	}
}

// awaitMoved returns when c has no socket any more, or calls Shutdown. It returns false
// when the time is over.
func (s *Server) awaitMoved(c *Conn, over <-chan time.Time) bool {
	moved := c.link.SocketOver()
	for {
		changed := s.change()
		if s.isCaller(c) {
			return true
		}
		select {
		case <-moved:
			return true
		case <-changed:
		case <-over:
			return false
		}
	}
}

// awaitDrained returns when no task of c is waiting or running, or c calls Shutdown. If c
// loses its socket meanwhile it ends: nobody gets the replies.
func (s *Server) awaitDrained(c *Conn) {
	drained, over := c.link.Drain(), c.link.SocketOver()
	for {
		changed := s.change()
		if s.isCaller(c) {
			return
		}
		select {
		case <-drained:
			return
		case <-over:
			c.endAway()
			over = nil
		case <-changed:
		}
	}
}

// Close drops all connections at once and ends Serve. The contexts of handlers end, but
// Close does not wait for them; call Shutdown afterwards to wait. Close may be called
// several times, also by handlers and hooks. Its error is that of closing the listeners.
func (s *Server) Close() error {
	_, err := s.refuseNew(false)
	for _, c := range s.snapshot() {
		c.link.Abort(ErrServerClosed)
	}
	s.topics.close()
	return err
}

// refuseNew makes the server accept no more connections, and reports whether this is the
// first call. If the first call is to drain, the server counts as busy, and every
// connection drains before isClosing reports true.
func (s *Server) refuseNew(drain bool) (first bool, err error) {
	s.mu.Lock()
	first = !s.isClosing()
	if first {
		if drain {
			s.busy++
			ask := protocol.DrainBody{Reason: protocol.DrainShutdown, Spread: s.opts.DrainSpread, Grace: drainGrace}
			for _, c := range s.conns {
				if c.moves() {
					c.link.Urge(ask.Message())
					if c.resumption != nil {
						c.link.AckAtOnce()
					}
				} else {
					c.link.Drain()
				}
			}
		}
		close(s.closing)
	}
	listeners := s.listeners
	s.listeners = make(map[transport.Listener]struct{})
	s.mu.Unlock()
	var errs []error
	for ln := range listeners {
		errs = append(errs, ln.Close())
	}
	return first, errors.Join(errs...)
}

// drop ends all connections at once, those on which nothing runs with a close status.
func (s *Server) drop() {
	for _, c := range s.snapshot() {
		select {
		case <-c.link.Drain():
			c.link.DisconnectLater(transport.StatusGoingAway, "server shutting down", ErrServerClosed)
		default:
			c.link.Abort(ErrServerClosed)
		}
	}
}

// isIdle reports whether the server has neither connections nor tasks of its own. If
// exempting, connections whose handlers call Shutdown do not count.
func (s *Server) isIdle(exempting bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy > 0 {
		return false
	}
	for _, c := range s.conns {
		if !exempting || c.callers == 0 {
			return false
		}
	}
	return true
}

// begin counts a task of the server that uses the session store, so that Shutdown waits for
// it. It reports false if Shutdown may have returned, and the task must not start. After
// true the caller calls end.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.conns) == 0 && s.isClosing() {
		return false
	}
	s.busy++
	return true
}

func (s *Server) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy--
	s.notify()
}

// change returns a channel that is closed when the results of isIdle and isCaller may have
// changed.
func (s *Server) change() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return await(&s.changed)
}

func (s *Server) isCaller(c *Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return c.callers > 0
}

// exempt makes Shutdown not wait for c until the function that it returns is called.
func (s *Server) exempt(c *Conn) (end func()) {
	count := func(n int32) {
		s.mu.Lock()
		defer s.mu.Unlock()
		c.callers += n
		s.notify()
	}
	count(1)
	return func() { count(-1) }
}

// notify closes the channel that change returned. The caller holds mu.
func (s *Server) notify() { wake(&s.changed) }

package server

import (
	"context"
	"errors"

	"github.com/webwire-go/webwire/transport"
)

// Shutdown ends the server in good order. From now on HTTP requests get 503 with
// Retry-After, requests the shutdown error, and signals are dropped and counted.
// Running handlers finish and their replies are sent; then the connections are
// closed with StatusGoingAway, and OnClientDisconnected is called for each. Shutdown
// returns nil once all of that is done; the session store is not used any more then.
// If ctx ends before, what is left is dropped at once and ctx.Err() returned; handlers
// that still run see their context end, but nobody waits for them.
//
// Shutdown may be called several times, also while Close runs. A handler or hook
// may call it with a context derived from its own: then it does not wait for the
// connection of that handler, which is closed after its last reply was sent. Such a
// context ends with the connection, and cuts the shutdown short if the caller's client
// leaves; context.WithoutCancel prevents that.
//
// With any other context Shutdown waits for every connection, that of a handler that
// called it too, which cannot end before Shutdown returns: other connections finish, but
// Shutdown does not return before ctx ends, drops the caller's connection then, and
// returns ctx.Err(). With a context that never ends it does not return. Handlers and
// hooks that have no context of their own call BeginShutdown instead.
//
// It does not know the http.Server that the server is mounted in; shut that down
// too, before or after.
func (s *Server) Shutdown(ctx context.Context) error {
	caller, _ := ctx.Value(connKey{s}).(*Conn)
	if caller != nil {
		defer s.exempt(caller)()
	}
	err := s.beginShutdown()
	for {
		changed := s.change()
		if s.isIdle(caller != nil) {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			s.drop()
			return ctx.Err()
		}
	}
}

// BeginShutdown begins what Shutdown does and returns at once. Handlers and hooks may
// call it. The shutdown has no limit of time; to wait for its end, or to end it, call
// Shutdown or Close.
func (s *Server) BeginShutdown() {
	if err := s.beginShutdown(); err != nil {
		s.log.write(acceptFailed, "webwire: listener cannot be closed", "error", textOf(err))
	}
}

func (s *Server) beginShutdown() error {
	first, err := s.refuseNew(true)
	if first {
		go s.closeDrained()
	}
	return err
}

// closeDrained waits until no request is handled any more, and closes the connections.
// Handlers that call Shutdown are not waited for: their connections are closed when they
// are drained too.
func (s *Server) closeDrained() {
	conns := s.snapshot()
	for _, c := range conns {
		s.awaitDrained(c)
	}
	for _, c := range conns {
		c.close(transport.StatusGoingAway, "server shutting down", ErrServerClosed)
	}
	s.end()
}

// awaitDrained returns when no task of c is waiting or running, or c calls Shutdown.
func (s *Server) awaitDrained(c *Conn) {
	drained := c.link.Drain()
	for {
		changed := s.change()
		if s.isCaller(c) {
			return
		}
		select {
		case <-drained:
			return
		case <-changed:
		}
	}
}

// Close drops all connections at once and ends Serve. It does not wait for
// handlers, whose context ends; to do so call Shutdown afterwards. It may be
// called several times, by handlers and hooks too.
func (s *Server) Close() error {
	_, err := s.refuseNew(false)
	for _, c := range s.snapshot() {
		c.link.Abort(ErrServerClosed)
	}
	return err
}

// refuseNew makes the server take no connections any more. It reports whether the
// caller is the first to do so. If the first drains the server, that counts as busy,
// and no connection takes requests any more once others can see that it is closing.
func (s *Server) refuseNew(drain bool) (first bool, err error) {
	s.mu.Lock()
	first = !s.isClosing()
	if first {
		if drain {
			s.busy++
			for _, c := range s.conns {
				c.link.Drain()
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

// drop ends all connections: those on which nothing runs with a close status, the
// others at once.
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

// isIdle reports whether no connection is left and nothing runs on the server's own
// account. If exempting, connections whose handlers call Shutdown do not count.
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

// begin counts a task that uses the session store on the server's own account, which
// Shutdown waits for. It reports false if there is no connection that needs it and
// there will be none: Shutdown may have returned. After true the caller calls end.
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

// change returns a channel that is closed when the answers of isIdle and isCaller may
// have changed.
func (s *Server) change() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
}

func (s *Server) isCaller(c *Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return c.callers > 0
}

// exempt makes Shutdown not wait for c until the function that it returns is called.
func (s *Server) exempt(c *Conn) (end func()) {
	count := func(n int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		c.callers += n
		s.notify()
	}
	count(1)
	return func() { count(-1) }
}

// notify wakes who awaits a condition. The caller holds mu.
func (s *Server) notify() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

package server

import (
	"context"
	"errors"
	"runtime"
	"strings"

	"github.com/webwire-go/webwire/transport"
)

// Shutdown ends the server in good order. From now on HTTP requests get 503 with
// Retry-After, requests the shutdown error, and signals are dropped and counted.
// Running handlers finish and their replies are sent; then the connections are
// closed with StatusGoingAway, OnClientDisconnected is called for each, and
// Shutdown returns nil. If ctx ends before, what is left is dropped at once and
// ctx.Err() returned; handlers that still run see their context end, but nobody
// waits for them.
//
// Shutdown may be called several times, also while Close runs. A handler or hook
// may call it with a context derived from its own: then it does not wait for the
// connection of that handler, which is closed after its last reply was sent. Called by a
// handler or hook with any other context it cannot know what not to wait for: it
// returns nil at once, and the shutdown goes on in the background within ctx.
//
// It does not know the http.Server that the server is mounted in; shut that down
// too, before or after.
func (s *Server) Shutdown(ctx context.Context) error {
	caller, _ := ctx.Value(connKey{}).(*Conn)
	if caller == nil || caller.server != s {
		if calledByTask() {
			go s.shutdown(ctx, nil) // what it would return is known to OnClientDisconnected
			return nil
		}
		caller = nil
	}
	return s.shutdown(ctx, caller)
}

func (s *Server) shutdown(ctx context.Context, caller *Conn) error {
	if caller != nil {
		defer s.exempt(caller)()
	}
	err := s.refuseNew()
	conns := s.snapshot()
	for _, c := range conns {
		c.link.Drain()
	}
	// Handlers that call Shutdown do not wait for each other; who is none waits for them.
	exempting := caller != nil
	for _, c := range conns {
		if !s.await(ctx, c.link.Drain(), func() bool { return exempting && s.isCaller(c) }) {
			return ctx.Err()
		}
	}
	for _, c := range conns {
		c.link.Close(transport.StatusGoingAway, "server shutting down", ErrServerClosed)
	}
	if !s.await(ctx, nil, func() bool { return s.empty(exempting) }) {
		return ctx.Err()
	}
	return err
}

// await returns true once event is closed or condition holds, which it looks at
// when a connection is gone or calls Shutdown. If ctx ends before it drops all
// connections and returns false.
func (s *Server) await(ctx context.Context, event <-chan struct{}, condition func() bool) bool {
	for {
		changed := s.change()
		if condition() {
			return true
		}
		select {
		case <-event:
			return true
		case <-changed:
		case <-ctx.Done():
			s.abort()
			return false
		}
	}
}

// Close drops all connections at once and ends Serve. It does not wait for
// handlers, whose context ends; to do so call Shutdown afterwards. It may be
// called several times, by handlers and hooks too.
func (s *Server) Close() error {
	err := s.refuseNew()
	s.abort()
	return err
}

// refuseNew makes the server take no connections any more.
func (s *Server) refuseNew() error {
	s.mu.Lock()
	if !s.isClosing() {
		close(s.closing)
	}
	listeners := s.listeners
	s.listeners = make(map[transport.Listener]struct{})
	s.mu.Unlock()
	var errs []error
	for ln := range listeners {
		errs = append(errs, ln.Close())
	}
	return errors.Join(errs...)
}

func (s *Server) abort() {
	for _, c := range s.snapshot() {
		c.link.Abort(ErrServerClosed)
	}
}

// empty reports whether no connection is left, exempting those that call Shutdown or not.
func (s *Server) empty(exempting bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		if !exempting || c.callers == 0 {
			return false
		}
	}
	return true
}

// change returns a channel that is closed when a connection is gone or calls Shutdown.
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

// calledByTask reports whether a handler or hook is among the callers.
func calledByTask() bool {
	pcs := make([]uintptr, 64)
	n := runtime.Callers(2, pcs)
	for n == len(pcs) { // there may be more
		pcs = make([]uintptr, 2*len(pcs))
		n = runtime.Callers(2, pcs)
	}
	frames := runtime.CallersFrames(pcs[:n])
	for {
		frame, more := frames.Next()
		if strings.HasSuffix(frame.Function, "/internal/link.Run") {
			return true
		}
		if !more {
			return false
		}
	}
}

package server

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// Server holds connections and dispatches what arrives on them. It is an
// http.Handler: mount it where clients shall connect, or serve any other transport
// with Serve and ServeConn. Its methods may be called from any goroutine, those
// of handlers and hooks included.
type Server struct {
	opts     Options
	log      logger
	sessions sessions
	root     *Endpoint
	limits   link.Limits // of all connections

	mu        sync.Mutex
	conns     []*Conn // each at its index; nearly in the order in which they came
	listeners map[transport.Listener]struct{}
	closing   chan struct{} // closed when there shall be no new connections
	changed   chan struct{} // closed by notify; nil if nobody waits for that
	busy      int           // tasks that belong to no connection and that Shutdown waits for
	accepted  uint64        // connections so far
	past      link.Stats    // of connections that are gone
}

// New returns a server. It does nothing until it is given connections.
func New(opts Options) *Server {
	s := &Server{
		opts:      opts.withDefaults(),
		listeners: make(map[transport.Listener]struct{}),
		closing:   make(chan struct{}),
	}
	s.limits.OutboxSize = s.opts.OutboxSize
	s.limits.KeepAlive = s.opts.ReadTimeout / 3
	s.limits.Tasks.Concurrency = s.opts.Concurrency
	s.limits.Tasks.Budget = s.opts.InboxSize
	s.log.to = s.opts.Logger
	s.check()
	s.sessions.init(s)
	s.root = s.Endpoint(s.opts.Version, s.opts.MaxMessageSize)
	return s
}

// check logs what is wrong with the options that are accepted all the same.
func (s *Server) check() {
	upgrader, ok := s.opts.Upgrader.(interface{ Check() error })
	if !ok {
		return
	}
	if err := upgrader.Check(); err != nil {
		s.log.write(misconfigured, "webwire: upgrader", "error", textOf(err))
	}
}

// ServeHTTP answers OPTIONS and metadata requests, and makes connections of the
// others. It returns as soon as that is done; the connection goes on, with the
// values of Options.ConnContext and none of the request's.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.root.ServeHTTP(w, r) }

// Serve serves the connections that ln accepts. It returns ErrServerClosed after
// Shutdown or Close, once its connections are gone, and the error of ln if that
// fails for good; its connections go on then. It closes ln.
func (s *Server) Serve(ln transport.Listener) error { return s.root.Serve(ln) }

// ServeConn serves one connection of any transport and returns why it ended, once
// its last handler has returned. When ctx ends the connection is dropped; handlers get
// its values. The connection should have been made with [Server.AcceptOptions]: it keeps the
// limits that it was made with.
func (s *Server) ServeConn(ctx context.Context, conn transport.Conn) error {
	return s.root.ServeConn(ctx, conn)
}

// AcceptOptions returns what a connection for [Server.ServeConn] is made with: the versions
// of the protocol that the server speaks, the best first, and the limits of its Options.
//
//	conn := stream.Server(nc, srv.AcceptOptions())
//	err := srv.ServeConn(ctx, conn)
func (s *Server) AcceptOptions() transport.AcceptOptions { return s.root.AcceptOptions() }

// Conns returns the connections at the moment when the iteration begins, except those
// whose OnClientConnected has not returned: nobody broadcasts to a client that the hook
// may yet turn away.
func (s *Server) Conns() iter.Seq[*Conn] {
	return func(yield func(*Conn) bool) {
		for _, c := range s.snapshot() {
			if c.admitted.Load() && !yield(c) {
				return
			}
		}
	}
}

func (s *Server) snapshot() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.conns)
}

// add registers a connection, unless the server takes none any more.
func (s *Server) add(c *Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isClosing() {
		return false
	}
	c.index = len(s.conns)
	s.conns = append(s.conns, c)
	s.accepted++
	return true
}

// remove forgets a connection that add registered: nothing of it is left.
func (s *Server) remove(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.conns) - 1
	moved := s.conns[last]
	moved.index, s.conns[c.index] = c.index, moved
	s.conns[last] = nil
	s.conns = s.conns[:last]
	s.past.Add(c.link.Stats())
	s.notify()
}

// isClosing reports whether the server takes no connections any more. While mu is
// held that does not change.
func (s *Server) isClosing() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// serve accepts connections until that ends.
func (s *Server) serve(e *Endpoint, ln transport.Listener) error {
	s.mu.Lock()
	if s.isClosing() {
		s.mu.Unlock()
		return errors.Join(ErrServerClosed, ln.Close())
	}
	s.listeners[ln] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.listeners, ln)
		s.mu.Unlock()
		_ = ln.Close() // ends what an error of Accept left
	}()

	var running sync.WaitGroup
	var pause time.Duration
	for {
		conn, err := ln.Accept(e.AcceptOptions())
		switch {
		case err == nil:
			pause = 0
			running.Go(func() {
				// Why it ended is OnClientDisconnected's to know.
				_ = e.ServeConn(context.Background(), conn)
			})
		case s.isClosing():
			running.Wait()
			return ErrServerClosed
		case passing(err):
			pause = min(max(minAcceptPause, 2*pause), maxAcceptPause)
			s.log.write(acceptFailed, "webwire: cannot accept connections for the moment", "error", textOf(err), "pause", pause)
			select {
			case <-time.After(pause):
			case <-s.closing:
			}
		default:
			return err
		}
	}
}

// The pause after Accept failed doubles from one to the other.
const (
	minAcceptPause = 5 * time.Millisecond
	maxAcceptPause = time.Second
)

// passing reports whether an error of Accept is one that passes: too many open
// files, a peer that was gone again.
func passing(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

// versions are all that the server speaks, the best first.
var versions = protocol.Versions()

var tokens = func() []string {
	var all []string
	for _, v := range versions {
		all = append(all, v.Token())
	}
	return slices.Clip(all)
}()

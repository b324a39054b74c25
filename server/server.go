package server

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/internal/logs"
	"github.com/webwire-go/webwire/internal/outbox"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// Server accepts connections and calls the handlers of what arrives on them. It is an
// http.Handler to be mounted where clients connect; other transports are served with
// Serve and ServeConn. Its methods may be called from any goroutine, also by handlers
// and hooks.
type Server struct {
	opts     Options
	log      logs.Logger
	sessions sessions
	topics   topics
	root     *Endpoint
	limits   link.Limits    // of all connections
	keeping  outbox.Keeping // of those that can be resumed

	mu        sync.Mutex
	conns     []*Conn // each at its index; nearly in the order in which they came
	resumable map[protocol.ConnID]*Conn
	away      int // of conns, that have no socket
	moved     movedConns
	silent    silentNodes
	reserved  int // places of connections that are being made
	listeners map[transport.Listener]struct{}
	closing   chan struct{} // closed once no connection is accepted any more
	changed   chan struct{} // closed by notify; nil if nothing waits for it
	busy      int           // tasks of no connection that Shutdown waits for
	accepted  uint64        // connections so far
	resumes   atomic.Uint64 // times that a connection got another socket
	past      link.Stats    // of connections that have ended

	handedOver atomic.Uint64 // how many connections other nodes have taken
}

// New returns a server. It starts nothing: a server works on the connections it is given.
// Options that make no sense are logged, one record each, see [Options.Check].
func New(opts Options) *Server {
	s := &Server{
		opts:      opts.withDefaults(),
		resumable: make(map[protocol.ConnID]*Conn),
		listeners: make(map[transport.Listener]struct{}),
		closing:   make(chan struct{}),
	}
	s.keeping = outbox.Keeping{
		Displace: true,
		Total:    &outbox.Total{Limit: maxResumeMemory},
		Late:     &outbox.Total{Limit: maxResumeMemory},
	}
	s.limits.OutboxSize = s.opts.OutboxSize
	s.limits.KeepAlive = s.opts.ReadTimeout / 3
	s.limits.Tasks.Concurrency = s.opts.Concurrency
	s.limits.Tasks.Budget = s.opts.InboxSize
	s.limits.Survives = survives
	s.log.Init(s.opts.Logger, logKinds)
	for _, err := range opts.faults() {
		s.log.Write(misconfigured, "webwire: options", "error", logs.Text(err))
	}
	if opts.Sessions == nil && opts.Engine.Sessions != nil && opts.Engine.Bus != nil {
		s.opts.Sessions = nodeStore{&s.topics, opts.Engine.Sessions}
	}
	s.sessions.init(s)
	s.topics.init(s)
	s.root = s.Endpoint(EndpointOptions{})
	return s
}

// ServeHTTP answers OPTIONS and metadata requests, and makes connections of all others.
// It returns when the connection is made; the connection's context has the values of
// Options.ConnContext and none of the request's.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.root.ServeHTTP(w, r) }

// Serve serves the connections that ln accepts, and closes ln. After Shutdown or Close it
// returns ErrServerClosed, once its connections have ended. If ln fails permanently it
// returns that error at once, and its connections go on.
func (s *Server) Serve(ln transport.Listener) error { return s.root.Serve(ln) }

// ServeConn serves one connection of any transport. It returns when the last handler of
// the connection has returned, with the reason why the connection ended. When ctx ends the
// connection is dropped; handlers get the values of ctx. Make the connection with
// [Server.AcceptOptions]: it keeps the limits that it was made with.
//
// A connection that can be resumed, see Options.ResumeWindow, may outlive conn. ServeConn
// then returns when conn has ended, with the reason for that. ctx remains the context of
// the connection: if it ends while the client is away, so does the connection. If conn is
// that of a client that comes back, ctx bounds the connection only while conn carries it.
func (s *Server) ServeConn(ctx context.Context, conn transport.Conn) error {
	return s.root.ServeConn(ctx, conn)
}

// AcceptOptions returns the options to make a connection for [Server.ServeConn] with: the
// versions of the protocol that the server speaks, the best first, and the limits of its
// Options.
//
//	conn := stream.Server(nc, srv.AcceptOptions())
//	err := srv.ServeConn(ctx, conn)
func (s *Server) AcceptOptions() transport.AcceptOptions { return s.root.AcceptOptions() }

// Conns returns the connections that exist when the iteration begins, without those whose
// OnClientConnected has not returned nil.
func (s *Server) Conns() iter.Seq[*Conn] {
	return func(yield func(*Conn) bool) {
		for _, c := range s.snapshot() {
			if c.admitted.Load() && !c.hasMoved() && !yield(c) {
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

// add registers a connection for which a place was reserved. It reports false if the
// server accepts no connections any more.
func (s *Server) add(c *Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isClosing() {
		return false
	}
	if r := c.resumption; r != nil {
		s.resumable[r.id] = c
		// The id of before may be that of a connection here whose handlers run: what is for them
		// has to reach it. It knows where the connection is.
		if old := s.resumable[r.former]; r.former != (protocol.ConnID{}) && (old == nil || old.resumption.id != r.former) {
			s.resumable[r.former] = c
		}
	}
	c.index = int32(len(s.conns))
	s.conns = append(s.conns, c)
	s.reserved--
	s.accepted++
	return true
}

// remove forgets a connection that add registered, after its end.
func (s *Server) remove(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unnameLocked(c)
	s.countAway(c, false)
	last := len(s.conns) - 1
	moved := s.conns[last]
	moved.index, s.conns[c.index] = c.index, moved
	s.conns[last] = nil
	s.conns = s.conns[:last]
	s.past.Add(c.link.Stats())
	s.notify()
}

// unname makes a connection one that clients and other nodes cannot ask for.
func (s *Server) unname(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unnameLocked(c)
}

// unnameLocked is unname for callers that hold mu.
func (s *Server) unnameLocked(c *Conn) {
	if r := c.resumption; r != nil {
		delete(s.resumable, r.id)
		if s.resumable[r.former] == c {
			delete(s.resumable, r.former)
		}
	}
}

// isClosing reports whether the server accepts no connections any more. The answer does
// not change while mu is held.
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
		_ = ln.Close() // also after an error of Accept
	}()

	var running sync.WaitGroup
	var pause time.Duration
	for {
		conn, err := ln.Accept(e.AcceptOptions())
		switch {
		case err == nil:
			pause = 0
			running.Go(func() {
				// OnClientDisconnected gets the reason.
				_ = e.serveConn(context.Background(), conn, &running)
			})
		case s.isClosing():
			running.Wait()
			return ErrServerClosed
		case passing(err):
			pause = min(max(minAcceptPause, 2*pause), maxAcceptPause)
			s.log.Write(acceptFailed, "webwire: cannot accept connections for the moment", "error", logs.Text(err), "pause", pause)
			select {
			case <-time.After(pause):
			case <-s.closing:
			}
		default:
			return err
		}
	}
}

// The pause after a failed Accept doubles from minAcceptPause to maxAcceptPause.
const (
	minAcceptPause = 5 * time.Millisecond
	maxAcceptPause = time.Second
)

// passing reports whether an error of Accept is temporary, such as too many open files or
// a peer that left during the handshake.
func passing(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

// versions are all that the server speaks, the best first.
var versions = protocol.Versions()

// tokens are those of versions.
var tokens = func() (all []string) {
	for _, v := range versions {
		all = append(all, v.Token())
	}
	return slices.Clip(all)
}()

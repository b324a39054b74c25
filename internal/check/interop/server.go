package interop

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/webwire-go/webwire/internal/manners"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// Options says which contract server to start. The zero value of every field works.
type Options struct {
	Network         Network          // nil: WebSocket
	Addr            string           // to listen at. Zero: a free port of 127.0.0.1
	Version         protocol.Version // spoken to peers that negotiate nothing. Zero: 1.2
	DisableSessions bool
	MaxSessionConns int           // zero: any number
	ReadTimeout     time.Duration // zero: DefaultReadTimeout
	Concurrency     int           // requests handled at once per connection. Zero: the server's default
	Logger          *slog.Logger  // nil: slog.Default()
}

const (
	// DefaultReadTimeout is that of the published servers.
	DefaultReadTimeout = time.Minute

	// MessageSize is the one message size that the published Go client of 2.0
	// agrees to. Published clients of 1.x know no limit; ours is MaxMessageSize.
	MessageSize    = 8192
	MaxMessageSize = 64 << 20

	shutdownDelay   = 50 * time.Millisecond
	shutdownTimeout = time.Minute
)

// Server is a contract server that runs.
type Server struct {
	opts Options
	web  *server.Server
	port Port
	logs signalLogs

	causes causes

	stop sync.Once     // begins the shutdown
	done chan struct{} // closed when all is over

	mu       sync.Mutex
	spawned  []*Server
	stopping bool
}

// Start starts a contract server.
func Start(opts Options) (*Server, error) {
	if opts.Network == nil {
		opts.Network = WebSocket{}
	}
	if opts.Addr == "" {
		opts.Addr = "127.0.0.1:0"
	}
	if opts.Version == 0 {
		opts.Version = protocol.V1_2
	}
	if opts.ReadTimeout <= 0 {
		opts.ReadTimeout = DefaultReadTimeout
	}
	s := &Server{opts: opts, done: make(chan struct{})}
	mux := s.handlers()
	size := MaxMessageSize
	if manners.Of(opts.Version).Conf {
		size = MessageSize
	}
	s.web = server.New(server.Options{
		Handler: mux,
		Hooks: server.Hooks{
			OnSignal: s.logs.record,
			OnClientDisconnected: func(c *server.Conn, _ error) {
				s.logs.forget(c)
				s.causes.forget(c)
			},
		},
		Upgrader:        WebSocket{}.Upgrader(),
		DisableSessions: opts.DisableSessions,
		MaxSessionConns: opts.MaxSessionConns,
		SessionPolicy:   server.RefuseNewest, // as the published servers do
		Concurrency:     opts.Concurrency,
		MaxMessageSize:  size,
		ReadTimeout:     opts.ReadTimeout,
		Version:         opts.Version,
		Logger:          opts.Logger,
	})
	var err error
	if s.port, err = opts.Network.Listen(opts.Addr, s.web); err != nil {
		return nil, err
	}
	return s, nil
}

// Addr returns the address that the server listens at.
func (s *Server) Addr() string { return s.port.Addr() }

// Done returns a channel that is closed when the server is shut down.
func (s *Server) Done() <-chan struct{} { return s.done }

// Shutdown shuts the server down after a delay: gracefully, then the listener is
// closed. It returns at once.
func (s *Server) Shutdown(delay time.Duration) {
	go s.stop.Do(func() { s.shutdown(delay) })
}

func (s *Server) shutdown(delay time.Duration) {
	defer close(s.done)
	time.Sleep(delay)
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	// While it waits HTTP requests are answered with 503, so the port stays open.
	_ = s.web.Shutdown(ctx) // then all is dropped
	_ = s.port.Close()
}

// Close drops all connections, of the servers that were spawned too, and returns
// once nothing is left.
func (s *Server) Close() {
	s.mu.Lock()
	s.stopping = true
	spawned := s.spawned
	s.mu.Unlock()
	for _, child := range spawned {
		child.Close()
	}
	_ = s.web.Close()
	s.Shutdown(0)
	<-s.done
}

// spawn starts another server beside this one.
func (s *Server) spawn(opts Options) (addr string, err error) {
	opts.Network, opts.Version, opts.Logger = s.opts.Network, s.opts.Version, s.opts.Logger
	child, err := Start(opts)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	stopping := s.stopping
	s.spawned = append(s.spawned, child)
	s.mu.Unlock()
	if stopping {
		child.Close()
	}
	return child.Addr(), nil
}

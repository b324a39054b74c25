package load

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/websocket"
)

// Quiet discards what is logged.
var Quiet = slog.New(slog.DiscardHandler)

// Host is a server over HTTP at an address of its own, to which the next one can return.
type Host struct {
	*server.Server
	Addr string
	Log  Journal // of the server and of the HTTP server
	http *http.Server
	done chan struct{}
}

// Site is where and how a Host listens.
type Site struct {
	Addr          string                          // to listen at; empty: any free one
	HeaderTimeout time.Duration                   // until the request has arrived; zero: Patience
	Wrap          func(net.Listener) net.Listener // replaces the listener; nil: as it is
}

// Start starts a server over WebSocket, which the test drops at its end.
func Start(t *testing.T, opts server.Options, at Site) *Host {
	t.Helper()
	if at.Addr == "" {
		at.Addr = "127.0.0.1:0"
	}
	if at.HeaderTimeout == 0 {
		at.HeaderTimeout = Patience
	}
	ln, err := net.Listen("tcp", at.Addr)
	if err != nil {
		t.Fatal(err)
	}
	h := &Host{Addr: ln.Addr().String(), done: make(chan struct{})}
	if at.Wrap != nil {
		ln = at.Wrap(ln)
	}
	logger := slog.New(slog.NewTextHandler(&h.Log, nil))
	opts.Upgrader = websocket.Upgrader{}
	opts.Logger = logger
	h.Server = server.New(opts)
	h.http = &http.Server{Handler: h.Server, ReadHeaderTimeout: at.HeaderTimeout, ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelWarn)}
	go func() {
		defer close(h.done)
		_ = h.http.Serve(ln) // until Drop or Retire
	}()
	t.Cleanup(h.Drop)
	return h
}

// Drop ends the server at once. It may be called more than once.
func (h *Host) Drop() {
	_ = h.http.Close()
	_ = h.Server.Close()
	<-h.done
}

// Retire shuts the server down.
func (h *Host) Retire(ctx context.Context) error {
	err := h.Server.Shutdown(ctx)
	_ = h.http.Close()
	<-h.done
	return err
}

// NewClient returns a client of the server at addr, whose log is discarded. The caller
// closes it.
func NewClient(addr string, opts client.Options) *client.Client {
	opts.Logger = Quiet
	return client.New(websocket.Dialer{URL: "ws://" + addr + "/"}, opts)
}

// Journal keeps what is logged, the first 16 MiB of it, and counts the lines. It is safe
// for concurrent use; the zero value is empty.
type Journal struct {
	mu    sync.Mutex
	lines int
	buf   bytes.Buffer
}

// Write adds a line.
func (j *Journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines++
	if j.buf.Len() < 16<<20 {
		j.buf.Write(p)
	}
	return len(p), nil
}

// Lines returns the number of lines.
func (j *Journal) Lines() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lines
}

// Text returns all lines.
func (j *Journal) Text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

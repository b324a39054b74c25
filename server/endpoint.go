package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/webwire-go/webwire/internal/logs"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// Endpoint is a way into a server with options of its own. All endpoints of a server
// share its connections, sessions, handlers and hooks.
type Endpoint struct {
	server *Server
	opts   EndpointOptions
}

// EndpointOptions are what an [Endpoint] does differently from its server.
type EndpointOptions struct {
	// Version is spoken to peers that negotiate nothing. Connections through an
	// endpoint whose version does not exist fail with ErrVersion. Zero: Options.Version.
	Version protocol.Version

	// MaxMessageSize is the longest message that is accepted, in bytes, see
	// Options.MaxMessageSize. At least 1024. Zero: Options.MaxMessageSize.
	MaxMessageSize int

	// SubProtocol is the name of the application's protocol, see Options.SubProtocol.
	// Empty: Options.SubProtocol.
	SubProtocol string
}

// Endpoint returns another way into the server, to be mounted at a path of its own:
//
//	http.Handle("/", srv)
//	http.Handle("/v2", srv.Endpoint(server.EndpointOptions{Version: protocol.V2_0, MaxMessageSize: 8192}))
//
// It may be called at any time.
func (s *Server) Endpoint(opts EndpointOptions) *Endpoint {
	if opts.Version == 0 {
		opts.Version = s.opts.Version
	}
	if opts.MaxMessageSize <= 0 {
		opts.MaxMessageSize = s.opts.MaxMessageSize
	}
	opts.MaxMessageSize = max(opts.MaxMessageSize, leastMessageSize)
	if opts.SubProtocol == "" {
		opts.SubProtocol = s.opts.SubProtocol
	}
	return &Endpoint{server: s, opts: opts}
}

// Serve is [Server.Serve] for the endpoint.
func (e *Endpoint) Serve(ln transport.Listener) error { return e.server.serve(e, ln) }

// ServeConn is [Server.ServeConn] for the endpoint.
func (e *Endpoint) ServeConn(ctx context.Context, conn transport.Conn) error {
	return e.serveConn(ctx, conn, nil)
}

// serveConn is ServeConn. If the connection may outlive conn, running, unless it is nil,
// counts it until its end.
func (e *Endpoint) serveConn(ctx context.Context, conn transport.Conn, running *sync.WaitGroup) error {
	if !e.server.reserve() {
		_ = conn.Close(transport.StatusTryAgainLater, "too many connections") // the error below says more
		return ErrTooManyConns
	}
	serve, err := e.open(ctx, conn, Info{}, running)
	if err != nil {
		return err
	}
	return serve()
}

// AcceptOptions is [Server.AcceptOptions] for the endpoint.
func (e *Endpoint) AcceptOptions() transport.AcceptOptions {
	return transport.AcceptOptions{Protocols: slices.Clone(tokens), Limits: e.limits()}
}

// ServeHTTP is [Server.ServeHTTP] for the endpoint.
func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := e.server
	switch {
	case s.isClosing():
		if asksMetadata(r) { // pages of other origins may read this as they may read the metadata
			w.Header().Set("Access-Control-Allow-Origin", "*")
			w.Header().Set("Access-Control-Expose-Headers", "Retry-After")
		}
		refuseForNow(w, "Server shutting down")
	case r.Method == http.MethodOptions:
		s.opts.Hooks.OnOptions(w, r)
	case asksMetadata(r):
		e.serveMetadata(w)
	default:
		e.upgrade(w, r)
	}
}

// refuseForNow answers a request that may succeed later.
func refuseForNow(w http.ResponseWriter, text string) {
	w.Header().Set("Retry-After", retryAfter)
	http.Error(w, text, http.StatusServiceUnavailable)
}

// asksMetadata reports whether a request asks for the metadata (section 2.2 of
// PROTOCOL.md).
func asksMetadata(r *http.Request) bool {
	switch r.Method {
	case protocol.MetadataMethod:
		return true
	case http.MethodGet, http.MethodHead:
		return r.Header.Get("Upgrade") == "" && accepts(r.Header, metadataType)
	}
	return false
}

// metadataType is what the Accept header of a GET names that asks for the metadata.
const metadataType = "application/webwire+json"

// accepts reports whether the Accept header names a media type itself.
func accepts(h http.Header, mediaType string) bool {
	for _, line := range h.Values("Accept") {
		for item := range strings.SplitSeq(line, ",") {
			name, _, _ := strings.Cut(item, ";")
			if strings.EqualFold(strings.TrimSpace(name), mediaType) {
				return true
			}
		}
	}
	return false
}

func (e *Endpoint) serveMetadata(w http.ResponseWriter) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Vary", "Accept")
	// An error means that the peer went away.
	_ = json.NewEncoder(w).Encode(protocol.Metadata{
		Version:     e.opts.Version,
		Versions:    slices.Clone(versions),
		ReadTimeout: e.server.opts.ReadTimeout,
	})
}

func (e *Endpoint) upgrade(w http.ResponseWriter, r *http.Request) {
	s := e.server
	if hook := s.opts.Hooks.BeforeUpgrade; hook != nil && !hook(w, r) {
		return
	}
	if s.opts.Upgrader == nil {
		http.Error(w, "This server takes no connections over HTTP: it has no Upgrader", http.StatusNotImplemented)
		return
	}
	ctx := context.Background() // not r.Context(): others may reuse its values once this returns
	if hook := s.opts.ConnContext; hook != nil {
		ctx = hook(ctx, r)
		if ctx == nil {
			panic("server: ConnContext returned nil")
		}
	}
	if !s.reserve() {
		refuseForNow(w, "Too many connections")
		return
	}
	upgraded := false
	defer func() { // also if the Upgrader panics
		if !upgraded {
			s.release()
		}
	}()
	conn, err := s.opts.Upgrader.Upgrade(w, r, transport.UpgradeOptions{Protocols: tokens, Limits: e.limits()})
	if err != nil {
		s.upgradeFailed(r, err)
		return
	}
	upgraded = true
	info := Info{UserAgent: cutUserAgent(r.UserAgent())}
	if s.opts.Hooks.OnClientConnected != nil || s.opts.Hooks.OnClientBack != nil {
		info.Request = helloOf(r)
	}
	serve, err := e.open(ctx, conn, info, nil)
	if err != nil {
		return // open closed the connection
	}
	go serve() // Shutdown and Close own it
}

// limits returns the limits of the endpoint's connections.
func (e *Endpoint) limits() transport.Limits {
	limits := e.server.opts.limits()
	limits.MaxMessageSize = e.opts.MaxMessageSize
	return limits
}

// upgradeFailed logs why an HTTP request became no connection. The Upgrader has answered
// the client. A refused origin is logged as a warning, because it is often one that the
// configuration lacks.
func (s *Server) upgradeFailed(r *http.Request, err error) {
	e := upgradeFailed
	if errors.Is(err, transport.ErrOrigin) {
		e = originRefused
	}
	s.log.Write(e, "webwire: upgrade failed", "remote", logs.Clean(r.RemoteAddr), "error", logs.Text(err))
}

// maxUserAgent is the number of bytes that are kept of a User-Agent.
const maxUserAgent = 256

// cutUserAgent returns at most maxUserAgent bytes of s, valid UTF-8, in memory of its own.
func cutUserAgent(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), maxUserAgent)], "")
	return strings.Clone(s)
}

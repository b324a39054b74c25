package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// Endpoint is a way into a server: it decides which version of the protocol is
// spoken to peers that negotiate nothing. All endpoints of a server share its
// connections, sessions, handlers and hooks.
type Endpoint struct {
	server         *Server
	version        protocol.Version
	maxMessageSize int
}

// Endpoint returns a further way into the server, to be mounted at a path of its
// own:
//
//	http.Handle("/", srv)
//	http.Handle("/v2", srv.Endpoint(protocol.V2_0, 8192))
//
// maxMessageSize is what Options.MaxMessageSize is for the server. Zero:
// Options.MaxMessageSize.
// A version that does not exist makes every connection fail with ErrVersion.
func (s *Server) Endpoint(v protocol.Version, maxMessageSize int) *Endpoint {
	if maxMessageSize <= 0 {
		maxMessageSize = s.opts.MaxMessageSize
	}
	return &Endpoint{server: s, version: v, maxMessageSize: maxMessageSize}
}

// Serve is [Server.Serve] for the endpoint.
func (e *Endpoint) Serve(ln transport.Listener) error { return e.server.serve(e, ln) }

// ServeConn is [Server.ServeConn] for the endpoint.
func (e *Endpoint) ServeConn(ctx context.Context, conn transport.Conn) error {
	c, err := e.open(ctx, conn, Info{})
	if err != nil {
		return err
	}
	return c.serve()
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
		refuseClosing(w)
	case r.Method == http.MethodOptions:
		s.opts.Hooks.OnOptions(w, r)
	case asksMetadata(r):
		e.serveMetadata(w)
	default:
		e.upgrade(w, r)
	}
}

func refuseClosing(w http.ResponseWriter) {
	w.Header().Set("Retry-After", retryAfter)
	http.Error(w, "Server shutting down", http.StatusServiceUnavailable)
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
		Version:     e.version,
		Versions:    versions,
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
	ctx := context.Background() // not the request's: its values may be used again once this returns
	if hook := s.opts.ConnContext; hook != nil {
		ctx = hook(ctx, r)
		if ctx == nil {
			panic("server: ConnContext returned nil")
		}
	}
	conn, err := s.opts.Upgrader.Upgrade(w, r, transport.UpgradeOptions{Protocols: tokens, Limits: e.limits()})
	if err != nil {
		s.upgradeFailed(r, err)
		return
	}
	c, err := e.open(ctx, conn, Info{UserAgent: cutUserAgent(r.UserAgent())})
	if err != nil {
		return // open closed the connection
	}
	go c.serve() // Shutdown and Close own it
}

// limits returns the limits of the connections that come in by the endpoint.
func (e *Endpoint) limits() transport.Limits {
	limits := e.server.opts.limits()
	limits.MaxMessageSize = e.maxMessageSize
	return limits
}

// upgradeFailed logs why an HTTP request became no connection. The Upgrader has told
// the client. An origin that is refused is often one that was forgotten.
func (s *Server) upgradeFailed(r *http.Request, err error) {
	e := upgradeFailed
	if errors.Is(err, transport.ErrOrigin) {
		e = originRefused
	}
	s.log.write(e, "webwire: upgrade failed", "remote", r.RemoteAddr, "error", textOf(err))
}

// maxUserAgent is the number of bytes that are kept of a User-Agent.
const maxUserAgent = 256

// cutUserAgent returns at most maxUserAgent bytes of s, valid UTF-8, in memory of its own.
func cutUserAgent(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), maxUserAgent)], "")
	return strings.Clone(s)
}

package server

import (
	"context"

	"github.com/webwire-go/webwire/internal/mux"
	"github.com/webwire-go/webwire/protocol"
)

// Mux calls the handler that is registered for the name of a request or signal. It is a
// [Handler]. The zero value is ready to use:
//
//	var mux server.Mux
//	mux.Request("chat.say", say)
//	mux.Signal("cursor.*", moveCursor)
//	srv := server.New(server.Options{Handler: &mux})
//
// A pattern is an exact name, or a prefix followed by "*". An exact name takes precedence
// over prefixes, and a longer prefix over a shorter one; "*" alone matches every name,
// including the empty one. A request that matches no pattern is answered by NotFound, a
// signal is dropped.
//
// Patterns and middleware may be added at any time, also while the Mux is in use.
type Mux struct {
	requests mux.Table[RequestHandler]
	signals  mux.Table[SignalHandler]
}

// Request registers the handler of requests whose name matches pattern. It panics if the
// pattern has a handler already.
func (m *Mux) Request(pattern string, h RequestHandler) {
	m.requests.MustAdd("server", "request", pattern, h)
}

// Signal registers the handler of signals whose name matches pattern. It panics if the
// pattern has a handler already.
func (m *Mux) Signal(pattern string, h SignalHandler) {
	m.signals.MustAdd("server", "signal", pattern, h)
}

// Use adds middleware around the handlers of all requests, including NotFound. The first
// function is the outermost. Use calls each function once; the handler that it returns
// serves all requests.
func (m *Mux) Use(middleware ...func(next RequestHandler) RequestHandler) {
	m.requests.Use(middleware, NotFound, func(next func(name string) RequestHandler) RequestHandler {
		return func(ctx context.Context, r *Request) (protocol.Payload, error) { return next(r.Name)(ctx, r) }
	})
}

// UseSignal is Use for handlers of signals.
func (m *Mux) UseSignal(middleware ...func(next SignalHandler) SignalHandler) {
	m.signals.Use(middleware, dropSignal, func(next func(name string) SignalHandler) SignalHandler {
		return func(ctx context.Context, s *Signal) { next(s.Name)(ctx, s) }
	})
}

// RequestPattern returns the pattern that matches requests of that name, and whether one
// does. There are as many patterns as were registered, whatever names the peer sends:
// middleware uses them as the names of spans and as labels of metrics.
func (m *Mux) RequestPattern(name string) (pattern string, ok bool) { return m.requests.Pattern(name) }

// SignalPattern is RequestPattern for signals.
func (m *Mux) SignalPattern(name string) (pattern string, ok bool) { return m.signals.Pattern(name) }

// HandleRequest calls the handler of the request's name, or NotFound.
func (m *Mux) HandleRequest(ctx context.Context, r *Request) (protocol.Payload, error) {
	return m.requests.Find(r.Name, NotFound)(ctx, r)
}

// HandleSignal calls the handler of the signal's name, or drops the signal.
func (m *Mux) HandleSignal(ctx context.Context, s *Signal) {
	m.signals.Find(s.Name, dropSignal)(ctx, s)
}

var _ Handler = (*Mux)(nil)

func dropSignal(_ context.Context, s *Signal) { s.Conn.link.Drop() }

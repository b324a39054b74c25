package client

import (
	"context"

	"github.com/webwire-go/webwire/internal/mux"
	"github.com/webwire-go/webwire/protocol"
)

// Mux chooses the handler of a signal or request by its name. The zero value is ready to use:
//
//	var mux client.Mux
//	mux.Signal("chat.said", said)
//	mux.Signal("cursor.*", moveCursor)
//	c := client.New(d, client.Options{Handler: &mux})
//
// A pattern is an exact name, or a prefix followed by "*". An exact name wins over a
// prefix and a longer prefix over a shorter one; "*" alone matches every name, including
// the empty one. Signals that match no pattern are dropped, and counted in Stats;
// requests are answered with protocol.ErrNoHandler.
//
// Patterns and middleware may be added at any time.
type Mux struct {
	signals  mux.Table[SignalHandler]
	requests mux.Table[RequestHandler]
}

// Request registers the handler of requests of the server whose name matches the pattern.
// It panics if the pattern already has a handler. Requests that match no pattern are
// answered with protocol.ErrNoHandler.
func (m *Mux) Request(pattern string, h RequestHandler) {
	m.requests.MustAdd("client", "request", pattern, h)
}

// RequestPattern returns the pattern that matches requests of that name, and whether one
// does. There are as many patterns as were registered, whatever names the peer sends:
// middleware uses them as the names of spans and as labels of metrics.
func (m *Mux) RequestPattern(name string) (pattern string, ok bool) { return m.requests.Pattern(name) }

// SignalPattern is RequestPattern for signals.
func (m *Mux) SignalPattern(name string) (pattern string, ok bool) { return m.signals.Pattern(name) }

// HandleRequest calls the handler of the request's name, or answers with
// protocol.ErrNoHandler.
func (m *Mux) HandleRequest(ctx context.Context, r *Request) (protocol.Payload, error) {
	return m.requests.Find(r.Name, noHandler)(ctx, r)
}

// Signal registers the handler of signals whose name matches the pattern. It panics if
// the pattern already has a handler.
func (m *Mux) Signal(pattern string, h SignalHandler) {
	m.signals.MustAdd("client", "signal", pattern, h)
}

// Use adds middleware around the handlers of all requests, including the answer that there
// is no handler. The first function is the outermost. Use calls each function once; the
// handler that it returns serves all requests.
func (m *Mux) Use(middleware ...func(next RequestHandler) RequestHandler) {
	m.requests.Use(middleware, noHandler, func(next func(name string) RequestHandler) RequestHandler {
		return func(ctx context.Context, r *Request) (protocol.Payload, error) { return next(r.Name)(ctx, r) }
	})
}

// UseSignal adds middleware around every handler, and around the dropping of signals
// without a handler. The first acts first. UseSignal calls each function once; the
// handler it returns serves all signals.
func (m *Mux) UseSignal(middleware ...func(next SignalHandler) SignalHandler) {
	m.signals.Use(middleware, dropSignal, func(next func(name string) SignalHandler) SignalHandler {
		return func(ctx context.Context, s *Signal) { next(s.Name)(ctx, s) }
	})
}

// HandleSignal calls the handler of the signal's name, or drops the signal.
func (m *Mux) HandleSignal(ctx context.Context, s *Signal) {
	m.signals.Find(s.Name, dropSignal)(ctx, s)
}

func dropSignal(_ context.Context, s *Signal) { s.Client.unhandled.Add(1) }

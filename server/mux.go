package server

import (
	"context"
	"maps"
	"strings"
	"sync"

	"github.com/webwire-go/webwire/protocol"
)

// Mux chooses the handler of a request or signal by its name. The zero value is
// ready to use:
//
//	var mux server.Mux
//	mux.Request("chat.say", say)
//	mux.Signal("cursor.*", moveCursor)
//	srv := server.New(server.Options{Hooks: server.Hooks{
//		OnRequest: mux.HandleRequest,
//		OnSignal:  mux.HandleSignal,
//	}})
//
// A pattern is an exact name, or a prefix followed by "*". An exact name wins over
// a prefix and a longer prefix over a shorter one; "*" alone matches every name,
// the empty one too. What matches nothing is answered by NotFound, or dropped.
//
// Patterns and middleware may be added at any time; what is running is not affected.
type Mux struct {
	mu       sync.RWMutex
	requests table[RequestHandler]
	signals  table[SignalHandler]
	around   []func(RequestHandler) RequestHandler
	aroundS  []func(SignalHandler) SignalHandler
}

// Request registers the handler of requests whose name matches the pattern. It
// panics if there is one for the pattern already.
func (m *Mux) Request(pattern string, h RequestHandler) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests.add("request", pattern, h)
}

// Signal registers the handler of signals whose name matches the pattern. It
// panics if there is one for the pattern already.
func (m *Mux) Signal(pattern string, h SignalHandler) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.signals.add("signal", pattern, h)
}

// Use puts middleware around every handler of requests, and around NotFound where
// there is none. The first acts first.
func (m *Mux) Use(middleware ...func(next RequestHandler) RequestHandler) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.around = append(m.around[:len(m.around):len(m.around)], middleware...)
}

// UseSignal is Use for handlers of signals.
func (m *Mux) UseSignal(middleware ...func(next SignalHandler) SignalHandler) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.aroundS = append(m.aroundS[:len(m.aroundS):len(m.aroundS)], middleware...)
}

// HandleRequest is the RequestHandler that a Mux is.
func (m *Mux) HandleRequest(ctx context.Context, r *Request) (protocol.Payload, error) {
	m.mu.RLock()
	h, ok := m.requests.find(r.Name)
	around := m.around
	m.mu.RUnlock()
	if !ok {
		h = NotFound
	}
	return wrap(h, around)(ctx, r)
}

// HandleSignal is the SignalHandler that a Mux is.
func (m *Mux) HandleSignal(ctx context.Context, s *Signal) {
	m.mu.RLock()
	h, ok := m.signals.find(s.Name)
	around := m.aroundS
	m.mu.RUnlock()
	if !ok {
		h = dropSignal
	}
	wrap(h, around)(ctx, s)
}

func dropSignal(_ context.Context, s *Signal) { s.Conn.link.Drop() }

func wrap[H any](h H, around []func(H) H) H {
	for i := len(around) - 1; i >= 0; i-- {
		h = around[i](h)
	}
	return h
}

// table finds handlers by name.
type table[H any] struct {
	exact  map[string]H
	prefix map[string]H
}

func (t *table[H]) add(what, pattern string, h H) {
	prefix, isPrefix := strings.CutSuffix(pattern, "*")
	handlers := &t.exact
	if isPrefix {
		handlers = &t.prefix
	}
	if _, ok := (*handlers)[prefix]; ok {
		panic("server: two handlers for " + what + " " + quoted(pattern))
	}
	if *handlers == nil {
		*handlers = make(map[string]H)
	}
	(*handlers)[prefix] = h
}

func (t *table[H]) find(name string) (H, bool) {
	if h, ok := t.exact[name]; ok {
		return h, true
	}
	var best H
	longest := -1
	for prefix, h := range maps.All(t.prefix) {
		if len(prefix) > longest && strings.HasPrefix(name, prefix) {
			best, longest = h, len(prefix)
		}
	}
	return best, longest >= 0
}

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
// Patterns and middleware may be added at any time.
type Mux struct {
	mu       sync.RWMutex
	requests table[RequestHandler]
	signals  table[SignalHandler]
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
// there is none. The first acts first. Each is called once, here: what it returns
// serves all requests.
func (m *Mux) Use(middleware ...func(next RequestHandler) RequestHandler) {
	for _, around := range middleware {
		m.mu.Lock()
		i := m.requests.reserve()
		m.mu.Unlock()
		h := around(func(ctx context.Context, r *Request) (protocol.Payload, error) {
			return m.request(r.Name, i+1)(ctx, r)
		})
		m.mu.Lock()
		m.requests.around[i] = &h
		m.mu.Unlock()
	}
}

// UseSignal is Use for handlers of signals.
func (m *Mux) UseSignal(middleware ...func(next SignalHandler) SignalHandler) {
	for _, around := range middleware {
		m.mu.Lock()
		i := m.signals.reserve()
		m.mu.Unlock()
		h := around(func(ctx context.Context, s *Signal) { m.signal(s.Name, i+1)(ctx, s) })
		m.mu.Lock()
		m.signals.around[i] = &h
		m.mu.Unlock()
	}
}

// HandleRequest is the RequestHandler that a Mux is.
func (m *Mux) HandleRequest(ctx context.Context, r *Request) (protocol.Payload, error) {
	return m.request(r.Name, 0)(ctx, r)
}

// HandleSignal is the SignalHandler that a Mux is.
func (m *Mux) HandleSignal(ctx context.Context, s *Signal) { m.signal(s.Name, 0)(ctx, s) }

// request returns what handles a request after the first so many middlewares.
func (m *Mux) request(name string, after int) RequestHandler {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if h, ok := m.requests.next(name, after); ok {
		return h
	}
	return NotFound
}

func (m *Mux) signal(name string, after int) SignalHandler {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if h, ok := m.signals.next(name, after); ok {
		return h
	}
	return dropSignal
}

func dropSignal(_ context.Context, s *Signal) { s.Conn.link.Drop() }

// table finds handlers by name.
type table[H any] struct {
	exact  map[string]H
	prefix map[string]H
	around []*H // nil while it is being made
}

// reserve returns the place of the next middleware.
func (t *table[H]) reserve() int {
	t.around = append(t.around, nil)
	return len(t.around) - 1
}

// next returns the middleware at that place, or the next one there is, or the
// handler of name.
func (t *table[H]) next(name string, place int) (H, bool) {
	for ; place < len(t.around); place++ {
		if h := t.around[place]; h != nil {
			return *h, true
		}
	}
	return t.find(name)
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

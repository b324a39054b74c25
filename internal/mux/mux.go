// Package mux chooses handlers by name and puts middleware around them. It is what
// server.Mux and client.Mux share.
package mux

import (
	"strconv"
	"strings"
	"sync"
)

// Table finds handlers of type H, functions, by name. The zero value is empty and
// ready to use. Its methods may be called from any goroutine.
//
// A pattern is an exact name, or a prefix followed by "*". An exact name wins over a
// prefix, and a longer prefix over a shorter one. "*" alone matches every name, the
// empty one too.
type Table[H any] struct {
	mu     sync.RWMutex
	exact  map[string]H
	prefix map[string]H
	around []*H // nil while it is being made
}

// Add registers the handler of the names that match pattern. It reports whether
// there was none for that pattern; otherwise it changes nothing.
func (t *Table[H]) Add(pattern string, h H) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	key, isPrefix := strings.CutSuffix(pattern, "*")
	handlers := &t.exact
	if isPrefix {
		handlers = &t.prefix
	}
	if _, ok := (*handlers)[key]; ok {
		return false
	}
	if *handlers == nil {
		*handlers = make(map[string]H)
	}
	(*handlers)[key] = h
	return true
}

// MustAdd is Add, and panics if the pattern has a handler. The text names the
// package and what is handled: "server: two handlers for request \"x\"".
func (t *Table[H]) MustAdd(pkg, what, pattern string, h H) {
	if !t.Add(pattern, h) {
		panic(pkg + ": two handlers for " + what + " " + strconv.Quote(pattern))
	}
}

// Use adds middleware around every handler, and around otherwise for names without one;
// the first acts first. Each function is called once, by Use and without a lock held, so
// that it may use the table. forward makes a handler that calls, for each message, the
// handler that next returns for the message's name.
func (t *Table[H]) Use(middleware []func(next H) H, otherwise H, forward func(next func(name string) H) H) {
	for _, around := range middleware {
		t.mu.Lock()
		i := len(t.around)
		t.around = append(t.around, nil)
		t.mu.Unlock()
		h := around(forward(func(name string) H { return t.next(name, i+1, otherwise) }))
		t.mu.Lock()
		t.around[i] = &h
		t.mu.Unlock()
	}
}

// Find returns what handles a message of that name: the first middleware, or the handler
// if there is no middleware, or otherwise if there is neither.
func (t *Table[H]) Find(name string, otherwise H) H { return t.next(name, 0, otherwise) }

// next returns the middleware at place or the first one after it, or the handler of name
// if there is none, or otherwise.
func (t *Table[H]) next(name string, place int, otherwise H) H {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for ; place < len(t.around); place++ {
		if h := t.around[place]; h != nil {
			return *h
		}
	}
	if h, ok := t.exact[name]; ok {
		return h
	}
	if prefix, ok := t.longest(name); ok {
		return t.prefix[prefix]
	}
	return otherwise
}

// Pattern returns the pattern of the handler of name, and whether there is one.
func (t *Table[H]) Pattern(name string) (pattern string, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if _, ok := t.exact[name]; ok {
		return name, true
	}
	if prefix, ok := t.longest(name); ok {
		return prefix + "*", true
	}
	return "", false
}

// longest returns the longest prefix of name that has a handler, and whether there is one.
func (t *Table[H]) longest(name string) (longest string, ok bool) {
	for prefix := range t.prefix {
		if strings.HasPrefix(name, prefix) && (!ok || len(prefix) > len(longest)) {
			longest, ok = prefix, true
		}
	}
	return longest, ok
}

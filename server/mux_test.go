package server_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// named returns a handler that answers with its own name.
func named(name string) server.RequestHandler {
	return func(context.Context, *server.Request) (protocol.Payload, error) {
		return protocol.Text(name), nil
	}
}

// call returns what the mux answers to a request.
func call(m *server.Mux, name string) string {
	p, err := m.HandleRequest(context.Background(), &server.Request{Name: name})
	if err != nil {
		return "error " + err.Error()
	}
	return p.Text()
}

func TestMux(t *testing.T) {
	var mux, all server.Mux
	for _, pattern := range []string{"chat.say", "chat.*", "chat.room.*", "", "a*b", "late"} {
		mux.Request(pattern, named(pattern))
		all.Request(pattern, named(pattern))
	}
	all.Request("*", named("*"))
	for name, want := range map[string]string{
		"chat.say":       "chat.say",
		"chat.saying":    "chat.*",
		"chat.":          "chat.*",
		"chat.room.":     "chat.room.*",
		"chat.room.open": "chat.room.*",
		"chat.roo":       "chat.*",
		"":               "",
		"a*b":            "a*b",
		"late":           "late",
	} {
		if got := call(&mux, name); got != want {
			t.Errorf("%q: handled by %q, want %q", name, got, want)
		}
		if got := call(&all, name); got != want {
			t.Errorf("%q: handled by %q, want %q though there is a fallback", name, got, want)
		}
	}
	for _, name := range []string{"chat", "aXb", "later", "CHAT.say", "*"} {
		if got := call(&mux, name); !strings.HasPrefix(got, "error NOT_FOUND: ") {
			t.Errorf("%q: handled by %q", name, got)
		}
		if got := call(&all, name); got != "*" {
			t.Errorf("%q: handled by %q, want the fallback", name, got)
		}
	}
	var fallback server.Mux
	fallback.Request("*", named("*"))
	if got := call(&fallback, ""); got != "*" {
		t.Errorf("without a name: handled by %q", got)
	}
}

func TestMuxSignals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		got := make(chan string, 10)
		var mux server.Mux
		for _, pattern := range []string{"exact", "pre.*"} {
			mux.Signal(pattern, func(_ context.Context, s *server.Signal) { got <- pattern + " " + s.Name })
		}
		mux.UseSignal(func(next server.SignalHandler) server.SignalHandler {
			return func(ctx context.Context, s *server.Signal) {
				got <- "around"
				next(ctx, s)
			}
		})
		srv := server.New(server.Options{Hooks: server.Hooks{OnSignal: mux.HandleSignal}})
		p := connect(t, srv, protocol.V1_2)
		for _, name := range []string{"exact", "pre.x", "other"} {
			p.signal(name, "x")
		}
		for _, want := range []string{"around", "exact exact", "around", "pre.* pre.x", "around"} {
			if s := <-got; s != want {
				t.Errorf("got %q, want %q", s, want)
			}
		}
		p.quiet()
		if n := srv.Stats().Dropped; n != 1 {
			t.Errorf("%d signals dropped, want the one without a handler", n)
		}
	})
}

func TestMuxDuplicates(t *testing.T) {
	for _, pattern := range []string{"a", "a*", "*", ""} {
		for name, register := range map[string]func(*server.Mux){
			"request": func(m *server.Mux) { m.Request(pattern, named("x")) },
			"signal":  func(m *server.Mux) { m.Signal(pattern, func(context.Context, *server.Signal) {}) },
		} {
			var mux server.Mux
			register(&mux)
			func() {
				defer func() {
					if text := fmt.Sprint(recover()); !strings.Contains(text, name) {
						t.Errorf("%s %q twice: %s", name, pattern, text)
					}
				}()
				register(&mux)
			}()
		}
	}
}

// tracing is middleware that leaves its name in trace.
func tracing(trace *[]string, name string) func(server.RequestHandler) server.RequestHandler {
	return func(next server.RequestHandler) server.RequestHandler {
		return func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
			*trace = append(*trace, name)
			defer func() { *trace = append(*trace, "/"+name) }()
			return next(ctx, r)
		}
	}
}

func TestMiddleware(t *testing.T) {
	var trace []string
	var mux server.Mux
	mux.Use(tracing(&trace, "a"), tracing(&trace, "b"))
	mux.Request("r", named("r"))
	mux.Use(tracing(&trace, "c"))
	want := []string{"a", "b", "c", "/c", "/b", "/a"}
	for name, answer := range map[string]string{"r": "r", "unknown": `error NOT_FOUND: no handler for request "unknown"`} {
		trace = nil
		if got := call(&mux, name); got != answer {
			t.Errorf("%s: got %q", name, got)
		}
		if !slices.Equal(trace, want) {
			t.Errorf("%s: %v, want %v", name, trace, want)
		}
	}

	// Middleware may answer alone, and see what the handler answered.
	refused := errors.New("refused")
	mux.Use(func(next server.RequestHandler) server.RequestHandler {
		return func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
			if r.Name == "r" {
				return protocol.Payload{}, refused
			}
			return next(ctx, r)
		}
	})
	if _, err := mux.HandleRequest(context.Background(), &server.Request{Name: "r"}); err != refused {
		t.Errorf("got %v", err)
	}
}

// Middleware is made once, not for each request: what it keeps is there for all.
func TestMiddlewareKeepsItsState(t *testing.T) {
	var mux server.Mux
	mux.Request("*", named("x"))
	counts := 0
	mux.Use(func(next server.RequestHandler) server.RequestHandler {
		count := 0
		return func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
			count++
			counts = count
			return next(ctx, r)
		}
	})
	for range 3 {
		call(&mux, "r")
	}
	if counts != 3 {
		t.Errorf("the middleware counted %d of 3 requests", counts)
	}
}

func TestMuxConcurrently(t *testing.T) {
	var mux server.Mux
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for k := range 50 {
				name := fmt.Sprintf("%d.%d", i, k)
				mux.Request(name, named(name))
				mux.Request(name+".*", named(name+".*"))
				mux.Signal(name, func(context.Context, *server.Signal) {})
				mux.Use(func(next server.RequestHandler) server.RequestHandler { return next })
				if got := call(&mux, name); got != name {
					t.Errorf("%s: handled by %s", name, got)
				}
				if got := call(&mux, name+".x"); got != name+".*" {
					t.Errorf("%s.x: handled by %s", name, got)
				}
				call(&mux, "unknown")
			}
		})
	}
	group.Wait()
}

package mux_test

import (
	"testing"

	"github.com/webwire-go/webwire/internal/mux"
)

type handler func(name string) string

func is(answer string) handler { return func(string) string { return answer } }

func call(t *mux.Table[handler], name string) string {
	return t.Find(name, is("none"))(name)
}

func forward(next func(string) handler) handler {
	return func(name string) string { return next(name)(name) }
}

func TestPatterns(t *testing.T) {
	var table mux.Table[handler]
	for _, pattern := range []string{"chat.say", "chat.*", "chat.room.*", "*"} {
		if !table.Add(pattern, is(pattern)) {
			t.Errorf("Add(%q) found another handler", pattern)
		}
	}
	for name, want := range map[string]string{
		"chat.say": "chat.say", "chat.said": "chat.*", "chat.": "chat.*",
		"chat.room.1": "chat.room.*", "chat": "*", "": "*",
	} {
		if got := call(&table, name); got != want {
			t.Errorf("%q is handled by %q, want %q", name, got, want)
		}
		if got, ok := table.Pattern(name); !ok || got != want {
			t.Errorf("%q matches %q, %v, want %q", name, got, ok, want)
		}
	}
	if table.Add("chat.*", is("other")) || call(&table, "chat.x") != "chat.*" {
		t.Error("a second handler replaced the first")
	}
	defer func() {
		if got, want := recover(), `here: two handlers for signal "*"`; got != want {
			t.Errorf("MustAdd panicked with %v, want %q", got, want)
		}
	}()
	table.MustAdd("here", "signal", "*", is("other"))
}

func TestMiddleware(t *testing.T) {
	var table mux.Table[handler]
	name := func(prefix string) func(handler) handler {
		return func(next handler) handler {
			return func(name string) string { return prefix + next(name) }
		}
	}
	if got := call(&table, "x"); got != "none" {
		t.Errorf("an empty table handles x: %q", got)
	}
	if got, ok := table.Pattern("x"); ok {
		t.Errorf("x matches %q in an empty table", got)
	}
	table.Use([]func(handler) handler{name("a"), name("b")}, is("none"), forward)
	table.Use([]func(handler) handler{func(next handler) handler {
		table.Add("x", is("x")) // no lock is held
		return name("c")(next)
	}}, is("none"), forward)
	if got := call(&table, "x"); got != "abcx" {
		t.Errorf("x went through %q, want abcx", got)
	}
	if got := call(&table, "y"); got != "abcnone" {
		t.Errorf("y went through %q, want abcnone", got)
	}
}

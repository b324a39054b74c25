package main

import (
	"context"
	"testing"
)

// withDeadline is appended to the name of a contender in the rows in which each call has
// a deadline.
const withDeadline = " + deadline"

// limiter is a conn of a library whose calls take a context.
type limiter interface {
	conn

	// limited returns a conn that makes its calls on the same connection, each with
	// a new context.WithTimeout, as most applications do. It need not be closed.
	limited() conn
}

// callContext reports whether each call gets a new context with a deadline.
type callContext bool

func (deadline callContext) new() (context.Context, context.CancelFunc) {
	if !deadline {
		return background, func() {}
	}
	return context.WithTimeout(background, patience)
}

// contextAllocs returns the allocations of context.WithTimeout and cancel alone.
func contextAllocs() float64 {
	return testing.AllocsPerRun(1000, func() {
		_, cancel := callContext(true).new()
		cancel()
	})
}

package main

import (
	"context"
	"testing"
)

// withDeadline follows the name of a contender in the rows of calls that have a
// deadline each.
const withDeadline = " + deadline"

// A limiter is a conn whose library takes a context per call.
type limiter interface {
	conn

	// limited returns the same connection, on which each call has a context of
	// its own with a deadline, as applications call.
	limited() conn
}

// callContext is how calls get their context: background without a deadline, one of
// their own with it.
type callContext bool

func (deadline callContext) new() (context.Context, context.CancelFunc) {
	if !deadline {
		return background, func() {}
	}
	return context.WithTimeout(background, patience)
}

// contextAllocs returns what a call with a deadline allocates before any library
// does.
func contextAllocs() float64 {
	return testing.AllocsPerRun(1000, func() {
		_, cancel := callContext(true).new()
		cancel()
	})
}

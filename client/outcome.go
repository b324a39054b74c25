package client

import (
	"errors"
	"slices"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/protocol"
)

// MaybeExecuted reports whether the server may have executed a request, or may still
// execute it, given the error that Request, Call, RestoreSession or CloseSession returned,
// or with which Stream or CallStream ended.
// If it returns false the server has not begun to execute the request and never will: the
// request can safely be repeated. It returns true for nil, for every *protocol.Error that
// the server answered, except protocol.ErrNoHandler of a server of 3.0, and for errors that it
// does not know.
func MaybeExecuted(err error) bool {
	var outcome interface{ maybeExecuted() bool }
	var unsent *link.UnsentError
	var failure *protocol.FailureError
	switch {
	case errors.As(err, &outcome):
		return outcome.maybeExecuted()
	case errors.As(err, &unsent):
		return false
	case errors.As(err, &failure) && failure != nil:
		return failure.Executed != protocol.ExecutedNo
	}
	return !slices.ContainsFunc(notExecuted, func(refusal error) bool { return errors.Is(err, refusal) })
}

// notExecuted are errors of requests that were not executed, besides those of types that
// know.
var notExecuted = []error{
	ErrClosed, ErrDisconnected,
	protocol.ErrShutdown, protocol.ErrProtocol,
	protocol.ErrSessionNotFound, protocol.ErrSessionFull, protocol.ErrSessionsDisabled,
}

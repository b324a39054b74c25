package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/protocol"
)

var (
	// ErrDisconnected is what methods that need a connection return while there is
	// none, and what a *DisconnectedError is.
	ErrDisconnected = errors.New("client: disconnected")

	// ErrClosed is what methods return after Close. It unwraps to net.ErrClosed.
	ErrClosed error = closedError{}

	// errSlowHook ends a connection whose signals are not taken.
	errSlowHook = errors.New("client: OnServerSignal does not keep up with the signals of the server")

	// errNoRoom is why a request was not sent that waited for room in the outbox.
	errNoRoom = errors.New("client: the server reads too slowly")

	errSessionForgotten = errors.New("client: session was given up while it was restored")
	errSessionDoubtful  = errors.New("client: the server may have closed the session by a call meant for the one before")
)

type closedError struct{}

func (closedError) Error() string { return "client: closed" }
func (closedError) Unwrap() error { return net.ErrClosed }

// DisconnectedError is the outcome of a request whose connection was lost before its
// reply arrived, or that found no connection. It is an ErrDisconnected.
type DisconnectedError struct {
	// Sent reports whether the server may have executed the request. If it is false
	// the server has not seen the request: to make it again does no harm.
	Sent bool

	// Cause is why the connection was lost.
	Cause error
}

func (e *DisconnectedError) Error() string {
	if e.Sent {
		return fmt.Sprintf("client: disconnected, the server may have executed the request: %s", causeText(e.Cause))
	}
	return fmt.Sprintf("client: disconnected, the request was not sent: %s", causeText(e.Cause))
}

// Unwrap returns ErrDisconnected and the cause.
func (e *DisconnectedError) Unwrap() []error { return []error{ErrDisconnected, e.Cause} }

func (e *DisconnectedError) maybeExecuted() bool { return e.Sent }

// TimeoutError is the outcome of a request that was not answered within
// Options.Timeout, or that could not be sent within it or its context's deadline. It is
// a context.DeadlineExceeded.
type TimeoutError struct {
	// Sent reports whether the server may have executed the request, or may yet do so.
	Sent bool

	After time.Duration // how long the request waited
	Cause error         // why it could not be sent, for instance the last failure to connect; nil if Sent
}

func (e *TimeoutError) Error() string {
	switch {
	case e.Sent:
		return fmt.Sprintf("client: no reply within %v", e.After)
	case e.Cause == errNoRoom:
		return fmt.Sprintf("client: not sent within %v: %s", e.After, causeText(e.Cause))
	}
	return fmt.Sprintf("client: not connected within %v: %s", e.After, causeText(e.Cause))
}

// Unwrap returns context.DeadlineExceeded and the cause.
func (e *TimeoutError) Unwrap() []error { return []error{context.DeadlineExceeded, e.Cause} }

func (e *TimeoutError) maybeExecuted() bool { return e.Sent }

// canceledError is the outcome of a call whose context was canceled while there was no
// connection.
type canceledError struct{ reason, cause error }

func (e *canceledError) maybeExecuted() bool { return false }

func (e *canceledError) Error() string {
	return fmt.Sprintf("client: not connected: %v: %s", e.reason, causeText(e.cause))
}

func (e *canceledError) Unwrap() []error { return []error{e.reason, e.cause} }

// VersionError is what connecting to a server fails with that speaks no version of
// the protocol in common with the client. Trying again does not help.
type VersionError struct {
	Server []protocol.Version // what the server speaks, as far as it is known
	Client []protocol.Version // what the client may speak
	Cause  error              // how that was found out, may be nil
}

func (e *VersionError) Error() string {
	text := fmt.Sprintf("client: no agreement on the protocol: server speaks %v, client %v", e.Server, e.Client)
	if e.Cause != nil {
		text += ": " + causeText(e.Cause)
	}
	return text
}

func (e *VersionError) Unwrap() error { return e.Cause }

// causeText returns the text of a cause for use in an error of this package, which
// names the package already.
func causeText(cause error) string {
	return strings.TrimPrefix(fmt.Sprint(cause), "client: ")
}

// public returns an error of the link as the client's callers know it.
func public(err error) error {
	if err == nil {
		return nil // before the variables below, which cost an allocation each
	}
	var lost *link.LostError
	var late *link.TimeoutError
	var unsent *link.UnsentError
	switch {
	case errors.As(err, &lost):
		return &DisconnectedError{Sent: lost.Sent, Cause: lost.Cause}
	case !errors.As(err, &late):
		return err
	case errors.As(err, &unsent):
		return &TimeoutError{After: late.After, Cause: errNoRoom}
	}
	return &TimeoutError{Sent: true, After: late.After}
}

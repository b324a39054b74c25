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
	// ErrDisconnected is returned by methods that need a connection while there is
	// none. Every *DisconnectedError is an ErrDisconnected.
	ErrDisconnected = errors.New("client: disconnected")

	// ErrClosed is returned by all methods after Close or Shutdown. It unwraps to
	// net.ErrClosed.
	ErrClosed error = closedError{}

	// ErrProtocolViolation is the reason for which the client closes a connection if the
	// server breaks the protocol, also if it makes requests and does not read the answers.
	ErrProtocolViolation = errors.New("client: server violated the protocol")

	// ErrSlowHooks is the reason for which the client closes a connection if its hooks
	// do not return, see Hooks.
	ErrSlowHooks = errors.New("client: hooks do not keep up with what the server sends")

	// ErrSessionDoubtful is the reason for which the client closes a connection if it
	// does not know which session the connection has on the server. The next connection
	// restores the client's session, if there is one.
	ErrSessionDoubtful = errors.New("client: client and server may disagree about the session")

	// ErrTooManyMembers is why a subscription ends if the server tells of more members of the
	// topic than it keeps, see SubscribeOptions.Presence.
	ErrTooManyMembers = errors.New("client: the members of the topic exceed 5 MiB, the most that a subscription keeps of them: subscribe without SubscribeOptions.Presence")

	errStreamUsed = errors.New("client: a stream is iterated a second time")

	// errNoRoom is why a request was not sent that waited for room in the outbox.
	errNoRoom = errors.New("client: the server reads too slowly")

	// errNotBegun is why a request was not executed that waited in the server.
	errNotBegun = errors.New("client: the server did not begin with it")

	errSessionForgotten = fmt.Errorf("%w: it was given up while it was restored", ErrSessionDoubtful)
	errSessionMistaken  = fmt.Errorf("%w: a late call may have closed it instead of the one before", ErrSessionDoubtful)
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
	Cause error         // why it was not executed, for instance the last failure to connect; nil if Sent
}

func (e *TimeoutError) Error() string {
	switch {
	case e.Sent:
		return fmt.Sprintf("client: no reply within %v", e.After)
	case e.Cause == errNotBegun:
		return fmt.Sprintf("client: no reply within %v: %s", e.After, causeText(e.Cause))
	case e.Cause == errNoRoom, e.Cause == errLeaving:
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
	what := "not connected"
	if e.cause == errLeaving {
		what = "not sent"
	}
	return fmt.Sprintf("client: %s: %v: %s", what, e.reason, causeText(e.cause))
}

func (e *canceledError) Unwrap() []error { return []error{e.reason, e.cause} }

// VersionError reports that client and server have no protocol version, or no
// sub-protocol, in common.
type VersionError struct {
	Server []protocol.Version // what the server speaks, as far as it is known
	Client []protocol.Version // what the client may speak
	Cause  error              // what showed it, may be nil
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

// reason returns why a connection ended, or could not be made, as hooks and callers know
// it.
func reason(err error) error {
	switch {
	case errors.Is(err, link.ErrStarved):
		return ErrSlowHooks
	case errors.Is(err, protocol.ErrMalformed):
		return fmt.Errorf("%w: %w", ErrProtocolViolation, err)
	}
	return err
}

// clockSlack is how much earlier than the client a server may notice that a deadline has
// passed.
const clockSlack = 100 * time.Millisecond

// overdue returns err, or the error of ctx or of Options.Timeout if the server noticed before
// the client that the time of the request is over.
func (c *Client) overdue(ctx context.Context, w *waiter, err error) error {
	if err == nil {
		return nil // before the variable below, which costs an allocation
	}
	var failure *protocol.FailureError
	if !errors.As(err, &failure) || failure.Code != protocol.FailureDeadline {
		return err
	}
	unsent := failure.Executed == protocol.ExecutedNo
	deadline, ok := ctx.Deadline()
	switch {
	case !ok && w.timed && w.until-link.Now() <= clockSlack:
		late := &TimeoutError{Sent: !unsent, After: c.opts.Timeout}
		if unsent {
			late.Cause = errNotBegun
		}
		return late
	case !ok || time.Until(deadline) > clockSlack: // a deadline of the handler's own
		return err
	case unsent:
		return &link.UnsentError{Err: context.DeadlineExceeded}
	}
	return context.DeadlineExceeded
}

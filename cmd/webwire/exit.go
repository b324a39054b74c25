package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
)

// The exit codes, which the help text lists.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitUnreachable = 3
	exitNoOutcome   = 4
	exitInterrupted = 130
)

// usageError is a mistake in the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func asUsage(err error) bool {
	var mistake usageError
	return errors.As(err, &mistake)
}

// connectError is why there is no connection.
type connectError struct{ error }

func (e connectError) Error() string { return "cannot connect: " + e.error.Error() }
func (e connectError) Unwrap() error { return e.error }

// silentError is an error that was printed already.
type silentError struct{ error }

func (e silentError) Unwrap() error { return e.error }

// exitCode returns the exit code for what a subcommand returned.
func exitCode(ctx context.Context, err error) int {
	var refused *protocol.PeerError
	var unreachable connectError
	switch {
	case err == nil:
		return 0
	case asUsage(err):
		return exitUsage
	case ctx.Err() != nil:
		return exitInterrupted
	case errors.As(err, &unreachable):
		return exitUnreachable
	case errors.As(err, &refused) && !errors.Is(err, context.DeadlineExceeded): // which the server may notice first
		return exitFailed
	case errors.Is(err, protocol.ErrMalformed), errors.Is(err, protocol.ErrTooBig):
		return exitUsage
	case errors.Is(err, client.ErrDisconnected), errors.Is(err, context.DeadlineExceeded):
		if client.MaybeExecuted(err) {
			return exitNoOutcome
		}
		return exitUnreachable
	}
	return exitFailed
}

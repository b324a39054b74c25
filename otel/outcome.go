package otel

import (
	"context"
	"errors"
	"net"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/protocol"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

var system = attribute.String("rpc.system", "webwire")

// method is the attribute that names what is called.
const method = attribute.Key("rpc.method")

// errorType is the attribute that says why something failed, with a value out of few.
const errorType = attribute.Key("error.type")

// handlerError returns the error.type of a handler's error, "" for nil. The codes of a
// *protocol.Error are the application's own.
func handlerError(err error) string {
	var peer *protocol.PeerError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &peer): // of another connection, and answered as an internal error
		return "internal"
	case protocol.CodeOf(err) != "":
		return protocol.CodeOf(err)
	}
	return kind(err, "internal")
}

// callError is handlerError for the error of a call. The code of a peer's error is what the
// peer chose, so it is an attribute of its own.
func callError(err error) string {
	var refused *protocol.Error
	if errors.As(err, &refused) {
		return "refused"
	}
	return kind(err, "other")
}

// kind returns the error.type of errors that both ends have, or otherwise.
func kind(err error, otherwise string) string {
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return k.name
		}
	}
	return otherwise
}

var kinds = []struct {
	err  error
	name string
}{
	{protocol.ErrNoHandler, "no_handler"},
	{protocol.ErrShutdown, "shutdown"},
	{protocol.ErrTooMany, "too_many"},
	{protocol.ErrTooBig, "too_big"},
	{protocol.ErrUnsupported, "unsupported"},
	{protocol.ErrMalformed, "malformed"},
	{protocol.ErrInternal, "internal"},
	{context.Canceled, "canceled"},
	{context.DeadlineExceeded, "deadline_exceeded"},
	{client.ErrDisconnected, "disconnected"},
	{net.ErrClosed, "closed"}, // which ErrClosed and the like of all packages are
	{engine.ErrAway, "engine_away"},
	{engine.ErrUnconfirmed, "unconfirmed"},
	{engine.ErrTooBig, "too_big"},
}

// handled notes the outcome of a handler. A *protocol.Error is an answer, not a failure of
// the handler.
func handled(span trace.Span, kind string, err error) {
	if kind == "" || !span.IsRecording() {
		return
	}
	span.SetAttributes(errorType.String(kind))
	if kind == "panic" || protocol.CodeOf(err) == "" {
		text := kind
		if err != nil {
			text = err.Error()
		}
		span.SetStatus(codes.Error, text)
	}
}

// called notes the outcome of a call.
func called(span trace.Span, err error) {
	if err == nil || !span.IsRecording() {
		return
	}
	span.SetAttributes(errorType.String(callError(err)))
	if code := protocol.CodeOf(err); code != "" {
		span.SetAttributes(attribute.String("webwire.error.code", code))
	}
	span.SetStatus(codes.Error, err.Error())
}

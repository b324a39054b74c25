package otel

import (
	"context"
	"iter"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// Caller sends requests and signals: a *client.Client or a *server.Conn.
type Caller interface {
	Request(ctx context.Context, name string, p protocol.Payload) (protocol.Payload, error)
	Signal(ctx context.Context, name string, p protocol.Payload) error
}

var (
	_ Caller = (*client.Client)(nil)
	_ Caller = (*server.Conn)(nil)
)

// Start opens the span of a call that is about to be made with the context that it returns,
// on which the peer's span becomes its child. end closes the span with the error of the
// call, and must be called once. name is the name of the span and should be one of few. Use
// it for calls that have no method here:
//
//	ctx, end := tel.Start(ctx, "room.join")
//	room, err := client.Call[Room](ctx, c, "room.join", in)
//	end(err)
//
// Metadata that WithMeta added to ctx is sent as well.
func (t *Telemetry) Start(ctx context.Context, name string) (_ context.Context, end func(err error)) {
	return t.start(ctx, trace.SpanKindClient, name)
}

func (t *Telemetry) start(ctx context.Context, kind trace.SpanKind, name string, attributes ...attribute.KeyValue) (_ context.Context, end func(err error)) {
	ctx, span := t.open(ctx, kind, name, attributes...)
	// client.WithMeta and server.WithMeta are one.
	ctx = client.WithMeta(ctx, t.fields(ctx, client.Meta(ctx)))
	return ctx, ending(span)
}

// open opens a span.
func (t *Telemetry) open(ctx context.Context, kind trace.SpanKind, name string, attributes ...attribute.KeyValue) (context.Context, trace.Span) {
	attributes = append(attributes, system, method.String(name))
	return t.tracer.Start(ctx, name, trace.WithSpanKind(kind), trace.WithAttributes(attributes...))
}

// ending returns what closes a span with the error of a call.
func ending(span trace.Span) func(err error) {
	return func(err error) {
		called(span, err)
		span.End()
	}
}

// Request is to.Request in a span.
func (t *Telemetry) Request(ctx context.Context, to Caller, name string, p protocol.Payload) (protocol.Payload, error) {
	ctx, end := t.Start(ctx, name)
	reply, err := to.Request(ctx, name, p)
	end(err)
	return reply, err
}

// Signal is to.Signal in a span, which ends when the signal is queued.
func (t *Telemetry) Signal(ctx context.Context, to Caller, name string, p protocol.Payload) error {
	ctx, end := t.start(ctx, trace.SpanKindProducer, name)
	err := to.Signal(ctx, name, p)
	end(err)
	return err
}

// Stream is c.Stream in a span, from the beginning of the iteration to its end.
func (t *Telemetry) Stream(ctx context.Context, c *client.Client, name string, p protocol.Payload) iter.Seq2[protocol.Payload, error] {
	return func(yield func(protocol.Payload, error) bool) {
		ctx, end := t.Start(ctx, name)
		var last error
		defer func() { end(last) }()
		for item, err := range c.Stream(ctx, name, p) {
			last = err
			if !yield(item, err) {
				return
			}
		}
	}
}

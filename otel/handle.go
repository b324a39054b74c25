package otel

import (
	"context"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// UseServer adds middleware to mux: each request and signal of a client gets a span, the
// child of the client's if the client sent its trace context, and handlers find the span
// in their context. The time that handlers of requests take is recorded. Call it before
// other middleware is added, and once.
func (t *Telemetry) UseServer(mux *server.Mux) {
	mux.Use(func(next server.RequestHandler) server.RequestHandler {
		return func(ctx context.Context, r *server.Request) (p protocol.Payload, err error) {
			ctx, end := t.handle(ctx, trace.SpanKindServer, r.Meta, pattern(mux.RequestPattern(r.Name)))
			defer end(&err)
			return next(ctx, r)
		}
	})
	mux.UseSignal(func(next server.SignalHandler) server.SignalHandler {
		return func(ctx context.Context, s *server.Signal) {
			ctx, end := t.handle(ctx, trace.SpanKindConsumer, s.Meta, pattern(mux.SignalPattern(s.Name)))
			defer end(new(error)) // signals have no outcome
			next(ctx, s)
		}
	})
}

// UseClient is UseServer for what a server sends to a client.
func (t *Telemetry) UseClient(mux *client.Mux) {
	mux.Use(func(next client.RequestHandler) client.RequestHandler {
		return func(ctx context.Context, r *client.Request) (p protocol.Payload, err error) {
			ctx, end := t.handle(ctx, trace.SpanKindServer, r.Meta, pattern(mux.RequestPattern(r.Name)))
			defer end(&err)
			return next(ctx, r)
		}
	})
	mux.UseSignal(func(next client.SignalHandler) client.SignalHandler {
		return func(ctx context.Context, s *client.Signal) {
			ctx, end := t.handle(ctx, trace.SpanKindConsumer, s.Meta, pattern(mux.SignalPattern(s.Name)))
			defer end(new(error)) // signals have no outcome
			next(ctx, s)
		}
	})
}

// pattern returns the name of a span for what a Mux says about a message's name.
func pattern(pattern string, ok bool) string {
	if !ok {
		return unknown
	}
	return pattern
}

// handle opens the span of a handler. end closes it, with the handler's error; it must be
// deferred, so that it notices a panic.
func (t *Telemetry) handle(ctx context.Context, kind trace.SpanKind, head protocol.Head, name string) (_ context.Context, end func(err *error)) {
	began := time.Now()
	ctx, span := t.open(t.join(ctx, head), kind, name)
	return ctx, func(err *error) {
		panicked := recover()
		why := handlerError(*err)
		if panicked != nil {
			why = "panic"
		}
		if kind == trace.SpanKindServer {
			attributes := []attribute.KeyValue{method.String(name)}
			if why != "" {
				attributes = append(attributes, errorType.String(why))
			}
			t.duration.Record(ctx, time.Since(began).Seconds(), metric.WithAttributes(attributes...))
		}
		handled(span, why, *err)
		span.End()
		if panicked != nil {
			panic(panicked) // for the server or client to log
		}
	}
}

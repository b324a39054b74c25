package otel

import (
	"context"

	"github.com/webwire-go/webwire/protocol"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// maxText is the longest trace state or baggage that is sent, in bytes. W3C asks for at
// least 512 and 8192; longer ones are left out as a whole.
const maxText = 8192

// join returns ctx with the trace and the baggage that a message carries, if it does.
func (t *Telemetry) join(ctx context.Context, head protocol.Head) context.Context {
	if len(head) == 0 {
		return ctx
	}
	if sent, ok := head.Trace(); ok {
		state, err := trace.ParseTraceState(head.TraceState())
		if err != nil {
			state = trace.TraceState{}
		}
		ctx = trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
			TraceID:    sent.TraceID,
			SpanID:     sent.SpanID,
			TraceFlags: trace.TraceFlags(sent.Flags),
			TraceState: state,
			Remote:     true,
		}))
	}
	if text := head.Baggage(); text != "" {
		ctx = t.baggage.Extract(ctx, propagation.MapCarrier{"baggage": text})
	}
	return ctx
}

// fields returns head with the trace and the baggage of ctx in place of its own. It does
// not change head.
func (t *Telemetry) fields(ctx context.Context, head protocol.Head) protocol.Head {
	var all protocol.Head
	for tag, value := range head.Fields() {
		if tag != protocol.TagTrace && tag != protocol.TagTraceState && tag != protocol.TagBaggage {
			all = all.Append(tag, value)
		}
	}
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		all = all.AppendTrace(protocol.TraceContext{
			TraceID: span.TraceID(),
			SpanID:  span.SpanID(),
			Flags:   byte(span.TraceFlags()),
		})
		if state := span.TraceState().String(); state != "" && len(state) <= maxText {
			all = all.AppendTraceState(state)
		}
	}
	carrier := propagation.MapCarrier{}
	t.baggage.Inject(ctx, carrier)
	if text := carrier["baggage"]; text != "" && len(text) <= maxText {
		all = all.AppendBaggage(text)
	}
	return all
}

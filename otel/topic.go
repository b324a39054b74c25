package otel

import (
	"context"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// topicName is the attribute of spans that names a topic. It has as many values as there are
// topics, so it is in no name of a span and no label of a metric.
const topicName = attribute.Key("webwire.topic")

// Publish is to.Publish in a span, which ends when the engine has taken the publication.
// name is also the name of the span, and should be one of few. All members of the topic get
// the trace and the baggage of ctx.
func (t *Telemetry) Publish(ctx context.Context, to server.Topic, name string, p protocol.Payload) (engine.Position, error) {
	ctx, end := t.start(ctx, trace.SpanKindProducer, name, topicName.String(to.Name()))
	at, err := to.Publish(ctx, name, p)
	end(err)
	return at, err
}

// Receive opens the span of handling a message of a subscription, the child of the
// publisher's if the publisher sent its trace context. end closes the span with the error of
// the handling, and must be called once:
//
//	for m, err := range room.Messages(ctx) {
//		if err != nil {
//			return err
//		}
//		ctx, end := tel.Receive(ctx, room, "room.message", m)
//		end(show(ctx, m))
//	}
//
// name is the name of the span. It should be one of few, so not that of the message or of
// the topic where a peer chooses them. Members by server.Topic.Join get signals: see
// UseClient.
func (t *Telemetry) Receive(ctx context.Context, from *client.Subscription, name string, m client.Message) (_ context.Context, end func(err error)) {
	ctx, span := t.open(t.join(ctx, m.Meta), trace.SpanKindConsumer, name, topicName.String(from.Topic()))
	return ctx, ending(span)
}

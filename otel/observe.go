package otel

import (
	"context"
	"fmt"
	"slices"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/server"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// ObserveServer exports srv.Stats as metrics until the registration is cancelled. The
// attributes tell servers of one process apart.
//
//	webwire.server.connections           open connections
//	webwire.server.connections.away      those of 3.0 that have lost their socket
//	webwire.server.connections.accepted  connections so far
//	webwire.server.connections.resumed   times that a connection went on with another socket
//	webwire.server.sessions              sessions that connections have
//	webwire.server.handlers              requests and signals whose handlers run or wait
//	webwire.server.topics                topics that the node has subscribed to
//	webwire.server.nodes                 nodes that are alive, with this one
//	webwire.server.messages              messages, by direction
//	webwire.server.io                    bytes of messages, by direction
//	webwire.server.messages.dropped      messages that were received and not handled
//	webwire.server.publications.dropped  publications that a member of a topic did not get
//	webwire.server.topics.gaps           gaps in topics that the log could not fill
//	webwire.server.engine.errors         errors of the engine
func (t *Telemetry) ObserveServer(srv *server.Server, attributes ...attribute.KeyValue) (metric.Registration, error) {
	type S = server.Stats
	return observe(t, srv.Stats, slices.Concat([]instrument[S]{
		gauge("webwire.server.connections", "{connection}", "Open connections.", func(s S) int { return s.Open }),
		gauge("webwire.server.connections.away", "{connection}", "Connections of 3.0 that have lost their socket.", func(s S) int { return s.Away }),
		counter("webwire.server.connections.accepted", "{connection}", "Connections accepted.", func(s S) uint64 { return s.Accepted }),
		counter("webwire.server.connections.resumed", "{resume}", "Times that a connection went on with another socket.", func(s S) uint64 { return s.Resumes }),
		gauge("webwire.server.sessions", "{session}", "Sessions that connections have.", func(s S) int { return s.Sessions }),
		gauge("webwire.server.handlers", "{handler}", "Requests and signals whose handlers are running or waiting.", func(s S) int { return s.InFlight }),
		gauge("webwire.server.topics", "{topic}", "Topics that the node has subscribed to.", func(s S) int { return s.Topics }),
		gauge("webwire.server.nodes", "{node}", "Nodes that are alive, with this one; zero until the engine is open.", func(s S) int { return s.Nodes }),
		counter("webwire.server.publications.dropped", "{publication}", "Publications that a member of a topic did not get.", func(s S) uint64 { return s.DroppedPublications }),
		counter("webwire.server.topics.gaps", "{gap}", "Gaps in topics that the log could not fill.", func(s S) uint64 { return s.TopicGaps }),
		counter("webwire.server.engine.errors", "{error}", "Errors of the engine.", func(s S) uint64 { return s.EngineErrors }),
	}, traffic("webwire.server", func(s S) (sent, received, bytesSent, bytesReceived, dropped uint64) {
		return s.Sent, s.Received, s.BytesSent, s.BytesReceived, s.Dropped
	})), attributes)
}

// ObserveClient exports c.Stats as metrics until the registration is cancelled. The
// attributes tell clients of one process apart.
//
//	webwire.client.requests              requests that were sent and have no outcome yet
//	webwire.client.connects              connections so far; all but the first are reconnects
//	webwire.client.resumes               times that a connection went on with another socket
//	webwire.client.attempts              attempts to open a socket
//	webwire.client.messages              messages, by direction
//	webwire.client.io                    bytes of messages, by direction
//	webwire.client.messages.dropped      messages that were received and not handled
func (t *Telemetry) ObserveClient(c *client.Client, attributes ...attribute.KeyValue) (metric.Registration, error) {
	type S = client.Stats
	return observe(t, c.Stats, slices.Concat([]instrument[S]{
		gauge("webwire.client.requests", "{request}", "Requests that were sent and have no outcome yet.", func(s S) int { return s.PendingRequests }),
		counter("webwire.client.connects", "{connection}", "Connections made.", func(s S) uint64 { return s.Connects }),
		counter("webwire.client.resumes", "{resume}", "Times that a connection went on with another socket.", func(s S) uint64 { return s.Resumes }),
		counter("webwire.client.attempts", "{attempt}", "Attempts to open a socket.", func(s S) uint64 { return s.Attempts }),
	}, traffic("webwire.client", func(s S) (sent, received, bytesSent, bytesReceived, dropped uint64) {
		return s.Sent, s.Received, s.BytesSent, s.BytesReceived, s.Dropped
	})), attributes)
}

// instrument is a field of a snapshot S.
type instrument[S any] struct {
	name, unit, what string
	direction        string // "" for none
	falls            bool   // the value may become smaller
	value            func(S) int64
}

func gauge[S any](name, unit, what string, value func(S) int) instrument[S] {
	return instrument[S]{name, unit, what, "", true, func(s S) int64 { return int64(value(s)) }}
}

func counter[S any](name, unit, what string, value func(S) uint64) instrument[S] {
	return instrument[S]{name, unit, what, "", false, func(s S) int64 { return int64(value(s)) }}
}

// traffic returns the instruments of what both ends count.
func traffic[S any](prefix string, of func(S) (sent, received, bytesSent, bytesReceived, dropped uint64)) []instrument[S] {
	const messages, bytes = "Messages sent and received.", "Bytes of messages sent and received."
	all := []instrument[S]{
		counter(prefix+".messages", "{message}", messages, func(s S) uint64 { n, _, _, _, _ := of(s); return n }),
		counter(prefix+".messages", "{message}", messages, func(s S) uint64 { _, n, _, _, _ := of(s); return n }),
		counter(prefix+".io", "By", bytes, func(s S) uint64 { _, _, n, _, _ := of(s); return n }),
		counter(prefix+".io", "By", bytes, func(s S) uint64 { _, _, _, n, _ := of(s); return n }),
		counter(prefix+".messages.dropped", "{message}", "Messages received and not handled.", func(s S) uint64 { _, _, _, _, n := of(s); return n }),
	}
	for i, direction := range []string{"sent", "received", "sent", "received"} {
		all[i].direction = direction
	}
	return all
}

// observe registers one callback that takes a snapshot and reports all of its fields.
func observe[S any](t *Telemetry, snapshot func() S, instruments []instrument[S], attributes []attribute.KeyValue) (metric.Registration, error) {
	made := map[string]metric.Int64Observable{}
	all := make([]metric.Observable, 0, len(instruments))
	for _, in := range instruments {
		if made[in.name] != nil {
			continue
		}
		var one metric.Int64Observable
		var err error
		if in.falls {
			one, err = t.meter.Int64ObservableUpDownCounter(in.name, metric.WithUnit(in.unit), metric.WithDescription(in.what))
		} else {
			one, err = t.meter.Int64ObservableCounter(in.name, metric.WithUnit(in.unit), metric.WithDescription(in.what))
		}
		if err != nil {
			return nil, fmt.Errorf("webwire: %s: %w", in.name, err)
		}
		made[in.name] = one
		all = append(all, one)
	}
	return t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := snapshot()
		for _, in := range instruments {
			labels := attributes
			if in.direction != "" {
				labels = append(labels[:len(labels):len(labels)], attribute.String("direction", in.direction))
			}
			o.ObserveInt64(made[in.name], in.value(s), metric.WithAttributes(labels...))
		}
		return nil
	}, all...)
}

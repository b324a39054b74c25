package otel

import (
	"context"
	"fmt"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/server"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// ObserveServer exports srv.Stats as metrics until the registration is cancelled. The
// attributes tell servers of one process apart.
//
//	webwire.server.connections           open connections
//	webwire.server.sessions              sessions that connections have
//	webwire.server.handlers              requests and signals whose handlers run or wait
//	webwire.server.connections.accepted  connections so far
//	webwire.server.messages              messages, by direction
//	webwire.server.io                    bytes of messages, by direction
//	webwire.server.messages.dropped      messages that were received and not handled
func (t *Telemetry) ObserveServer(srv *server.Server, attributes ...attribute.KeyValue) (metric.Registration, error) {
	return observe(t, srv.Stats, []instrument[server.Stats]{
		{name: "webwire.server.connections", unit: "{connection}", what: "Open connections.",
			up: func(s server.Stats) int { return s.Open }},
		{name: "webwire.server.sessions", unit: "{session}", what: "Sessions that connections have.",
			up: func(s server.Stats) int { return s.Sessions }},
		{name: "webwire.server.handlers", unit: "{handler}", what: "Requests and signals whose handlers are running or waiting.",
			up: func(s server.Stats) int { return s.InFlight }},
		{name: "webwire.server.connections.accepted", unit: "{connection}", what: "Connections accepted.",
			count: func(s server.Stats) uint64 { return s.Accepted }},
		{name: "webwire.server.messages", unit: "{message}", what: "Messages sent and received.",
			count: func(s server.Stats) uint64 { return s.Sent }, direction: sent},
		{name: "webwire.server.messages", unit: "{message}", what: "Messages sent and received.",
			count: func(s server.Stats) uint64 { return s.Received }, direction: received},
		{name: "webwire.server.io", unit: "By", what: "Bytes of messages sent and received.",
			count: func(s server.Stats) uint64 { return s.BytesSent }, direction: sent},
		{name: "webwire.server.io", unit: "By", what: "Bytes of messages sent and received.",
			count: func(s server.Stats) uint64 { return s.BytesReceived }, direction: received},
		{name: "webwire.server.messages.dropped", unit: "{message}", what: "Messages received and not handled.",
			count: func(s server.Stats) uint64 { return s.Dropped }},
	}, attributes)
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
	return observe(t, c.Stats, []instrument[client.Stats]{
		{name: "webwire.client.requests", unit: "{request}", what: "Requests that were sent and have no outcome yet.",
			up: func(s client.Stats) int { return s.PendingRequests }},
		{name: "webwire.client.connects", unit: "{connection}", what: "Connections made.",
			count: func(s client.Stats) uint64 { return s.Connects }},
		{name: "webwire.client.resumes", unit: "{resume}", what: "Times that a connection went on with another socket.",
			count: func(s client.Stats) uint64 { return s.Resumes }},
		{name: "webwire.client.attempts", unit: "{attempt}", what: "Attempts to open a socket.",
			count: func(s client.Stats) uint64 { return s.Attempts }},
		{name: "webwire.client.messages", unit: "{message}", what: "Messages sent and received.",
			count: func(s client.Stats) uint64 { return s.Sent }, direction: sent},
		{name: "webwire.client.messages", unit: "{message}", what: "Messages sent and received.",
			count: func(s client.Stats) uint64 { return s.Received }, direction: received},
		{name: "webwire.client.io", unit: "By", what: "Bytes of messages sent and received.",
			count: func(s client.Stats) uint64 { return s.BytesSent }, direction: sent},
		{name: "webwire.client.io", unit: "By", what: "Bytes of messages sent and received.",
			count: func(s client.Stats) uint64 { return s.BytesReceived }, direction: received},
		{name: "webwire.client.messages.dropped", unit: "{message}", what: "Messages received and not handled.",
			count: func(s client.Stats) uint64 { return s.Dropped }},
	}, attributes)
}

const (
	sent     = "sent"
	received = "received"
)

// instrument is a field of a snapshot S. One of up and count is set.
type instrument[S any] struct {
	name, unit, what string
	direction        string         // "" for none
	up               func(S) int    // may go down again
	count            func(S) uint64 // only grows
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
		if in.up != nil {
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
			var value int64
			if in.up != nil {
				value = int64(in.up(s))
			} else {
				value = int64(in.count(s))
			}
			o.ObserveInt64(made[in.name], value, metric.WithAttributes(labels...))
		}
		return nil
	}, all...)
}

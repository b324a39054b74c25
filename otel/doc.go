// Package otel traces the requests, streams, signals and publications of WebWire with
// OpenTelemetry, and exports the counters of servers and clients as metrics.
//
//	tel := webwireotel.New(webwireotel.Options{})
//	tel.UseServer(&mux) // a span for each request and signal that mux handles
//	srv := server.New(server.Options{Handler: &mux})
//	registration, err := tel.ObserveServer(srv)
//
// The calling side opens a span for each call and sends its trace context along, so that
// the span of the handler becomes its child:
//
//	reply, err := tel.Request(ctx, c, "greet", payload)
//
// [Telemetry.Start] does the same for the typed calls, client.Call and server.Call.
//
// [Telemetry.Publish] publishes to a topic, and [Telemetry.Receive] opens the span of a
// message in the loop over a subscription.
//
// Protocol 3.0 carries trace context. With a peer of an earlier version the spans of both
// ends exist, but in traces of their own.
//
// The names of handlers' spans are the patterns that are registered in a Mux; a peer cannot
// choose them. Whatever matches no pattern is named "unknown". The names of other spans are
// given by their callers.
//
// Programs that also import go.opentelemetry.io/otel name one of the two:
//
//	import webwireotel "github.com/webwire-go/webwire/otel"
package otel

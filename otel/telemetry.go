package otel

import (
	"fmt"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// scope names the instrumentation in traces and metrics.
const scope = "github.com/webwire-go/webwire/otel"

// unknown is the name of spans of messages that match no pattern.
const unknown = "unknown"

// Options configure a Telemetry. The zero value of every field works.
type Options struct {
	// TracerProvider makes the tracer. Nil: otel.GetTracerProvider().
	TracerProvider trace.TracerProvider

	// MeterProvider makes the meter. Nil: otel.GetMeterProvider().
	MeterProvider metric.MeterProvider
}

// Telemetry opens spans and registers metrics. Its methods may be called from any
// goroutine.
type Telemetry struct {
	tracer   trace.Tracer
	meter    metric.Meter
	baggage  propagation.Baggage
	duration metric.Float64Histogram
}

// New returns a Telemetry. An error of the MeterProvider goes to otel.Handle, and the
// instrument that it is about then measures nothing.
func New(opts Options) *Telemetry {
	if opts.TracerProvider == nil {
		opts.TracerProvider = otel.GetTracerProvider()
	}
	if opts.MeterProvider == nil {
		opts.MeterProvider = otel.GetMeterProvider()
	}
	t := &Telemetry{
		tracer: opts.TracerProvider.Tracer(scope),
		meter:  opts.MeterProvider.Meter(scope),
	}
	var err error
	t.duration, err = t.meter.Float64Histogram("webwire.handler.duration",
		metric.WithUnit("s"),
		metric.WithDescription("Time that the handlers of requests take."),
		metric.WithExplicitBucketBoundaries(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
	)
	if err != nil {
		otel.Handle(fmt.Errorf("webwire: %w", err))
	}
	return t
}

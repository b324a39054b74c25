package otel_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/otel"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/memory"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// world is a server and a client, each with a Telemetry of its own as in two processes.
type world struct {
	t                  *testing.T
	spans              *tracetest.InMemoryExporter
	metrics            *metric.ManualReader
	ofServer, ofClient *otel.Telemetry
	serverMux          server.Mux
	clientMux          client.Mux
	engine             engine.Memory
	srv                *server.Server // one node of it
	c                  *client.Client
}

// open starts the world in a bubble, after prepare has registered handlers.
func open(t *testing.T, version protocol.Version, prepare func(w *world), test func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, spans: tracetest.NewInMemoryExporter(), metrics: metric.NewManualReader()}
		telemetry := func() *otel.Telemetry {
			return otel.New(otel.Options{
				TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSyncer(w.spans)),
				MeterProvider:  metric.NewMeterProvider(metric.WithReader(w.metrics)),
			})
		}
		w.ofServer = telemetry()
		w.ofClient = otel.New(otel.Options{TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSyncer(w.spans))})
		w.ofServer.UseServer(&w.serverMux)
		w.ofClient.UseClient(&w.clientMux)
		if prepare != nil {
			prepare(w)
		}
		quiet := slog.New(slog.DiscardHandler)
		listener := memory.Listen()
		w.srv = server.New(server.Options{
			Handler: &w.serverMux, Version: version, Logger: quiet, Engine: w.engine.Node(),
			Hooks: server.Hooks{OnSubscribe: func(context.Context, *server.Conn, string) (any, error) { return nil, nil }},
		})
		served := make(chan error, 1)
		go func() { served <- w.srv.Serve(listener) }()
		w.c = client.New(listener, client.Options{Handler: &w.clientMux, Versions: []protocol.Version{version}, Logger: quiet})
		test(w)
		if err := errors.Join(w.c.Close(), w.srv.Shutdown(t.Context())); err != nil {
			t.Error(err)
		}
		<-served
	})
}

// span returns the only span of that name and kind.
func (w *world) span(name string, kind trace.SpanKind) tracetest.SpanStub {
	w.t.Helper()
	synctest.Wait()
	var found []tracetest.SpanStub
	for _, s := range w.spans.GetSpans() {
		if s.Name == name && s.SpanKind == kind {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		w.t.Fatalf("there are %d spans %q of kind %v", len(found), name, kind)
	}
	return found[0]
}

// childOf fails the test unless child is a child of parent that learned of it from a peer.
func (w *world) childOf(child, parent tracetest.SpanStub, remote bool) {
	w.t.Helper()
	switch {
	case child.SpanContext.TraceID() != parent.SpanContext.TraceID():
		w.t.Errorf("%s and %s are in different traces", child.Name, parent.Name)
	case child.Parent.SpanID() != parent.SpanContext.SpanID(), child.Parent.IsRemote() != remote:
		w.t.Errorf("%s is no child of %s", child.Name, parent.Name)
	}
}

func attributes(s tracetest.SpanStub) map[string]string {
	all := map[string]string{}
	for _, a := range s.Attributes {
		all[string(a.Key)] = a.Value.String()
	}
	return all
}

// One trace: the client's request, the server's handler, what the handler asks the client,
// and the client's handler.
func TestOneTrace(t *testing.T) {
	open(t, protocol.V3_0, func(w *world) {
		w.serverMux.Request("room.*", func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
			return w.ofServer.Request(ctx, r.Conn, "confirm", r.Payload)
		})
		w.clientMux.Request("confirm", func(ctx context.Context, r *client.Request) (protocol.Payload, error) {
			member := baggage.FromContext(ctx).Member("tenant")
			for key, value := range r.Meta.Metadata() {
				return protocol.Text(member.Value() + string(key) + string(value)), nil
			}
			return protocol.Text(member.Value()), nil
		})
	}, func(w *world) {
		member, err := baggage.NewMember("tenant", "7")
		if err != nil {
			t.Fatal(err)
		}
		bag, err := baggage.New(member)
		if err != nil {
			t.Fatal(err)
		}
		ctx := baggage.ContextWithBaggage(w.t.Context(), bag)
		p, err := w.ofClient.Request(ctx, w.c, "room.join", protocol.Text("x"))
		if err != nil || p.Text() != "7" {
			t.Fatalf("%q, %v", p.Text(), err)
		}
		call := w.span("room.join", trace.SpanKindClient)
		handler := w.span("room.*", trace.SpanKindServer) // the pattern, not what the client sent
		back := w.span("confirm", trace.SpanKindClient)
		answer := w.span("confirm", trace.SpanKindServer)
		w.childOf(handler, call, true)
		w.childOf(back, handler, false)
		w.childOf(answer, back, true)
		for _, s := range []tracetest.SpanStub{call, handler, back, answer} {
			if s.Status.Code != codes.Unset || attributes(s)["rpc.system"] != "webwire" || attributes(s)["rpc.method"] != s.Name {
				t.Errorf("%s: %v, %v", s.Name, s.Status, s.Attributes)
			}
		}
	})
}

// Metadata that the application added is sent beside the trace.
func TestMetadataStays(t *testing.T) {
	open(t, protocol.V3_0, func(w *world) {
		w.serverMux.Request("tenant", func(_ context.Context, r *server.Request) (protocol.Payload, error) {
			text := ""
			for key, value := range r.Meta.Metadata() {
				text += string(key) + "=" + string(value)
			}
			return protocol.Text(text), nil
		})
	}, func(w *world) {
		ctx := client.WithMeta(w.t.Context(), protocol.Head{}.AppendMetadata("tenant", "7"))
		ctx, end := w.ofClient.Start(ctx, "tenant")
		p, err := w.c.Request(ctx, "tenant", protocol.Text("x"))
		end(err)
		if err != nil || p.Text() != "tenant=7" {
			t.Errorf("%q, %v", p.Text(), err)
		}
		w.childOf(w.span("tenant", trace.SpanKindServer), w.span("tenant", trace.SpanKindClient), true)
	})
}

func TestStream(t *testing.T) {
	open(t, protocol.V3_0, func(w *world) {
		w.serverMux.Stream("count", func(ctx context.Context, _ *server.Request, send func(protocol.Payload) error) error {
			for range 3 {
				if err := send(protocol.Text("x")); err != nil {
					return err
				}
			}
			return &protocol.Error{Code: "ENOUGH"}
		})
	}, func(w *world) {
		items := 0
		for _, err := range w.ofClient.Stream(w.t.Context(), w.c, "count", protocol.Text("x")) {
			if err == nil {
				items++
			} else if protocol.CodeOf(err) != "ENOUGH" {
				t.Error(err)
			}
		}
		call, handler := w.span("count", trace.SpanKindClient), w.span("count", trace.SpanKindServer)
		w.childOf(handler, call, true)
		if items != 3 {
			t.Errorf("%d items", items)
		}
		if a := attributes(call); a["error.type"] != "refused" || a["webwire.error.code"] != "ENOUGH" || call.Status.Code != codes.Error {
			t.Errorf("the call: %v, %v", a, call.Status)
		}
		if a := attributes(handler); a["error.type"] != "ENOUGH" || handler.Status.Code != codes.Unset {
			t.Errorf("the handler: %v, %v", a, handler.Status)
		}
	})
}

func TestSignals(t *testing.T) {
	open(t, protocol.V3_0, func(w *world) {
		w.serverMux.Signal("there", func(ctx context.Context, s *server.Signal) {
			if err := w.ofServer.Signal(ctx, s.Conn, "back", s.Payload); err != nil {
				t.Error(err)
			}
		})
		w.clientMux.Signal("back", func(context.Context, *client.Signal) { panic("mine") })
	}, func(w *world) {
		if err := w.c.Connect(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := w.ofClient.Signal(w.t.Context(), w.c, "there", protocol.Text("x")); err != nil {
			t.Fatal(err)
		}
		there, handled := w.span("there", trace.SpanKindProducer), w.span("there", trace.SpanKindConsumer)
		back, last := w.span("back", trace.SpanKindProducer), w.span("back", trace.SpanKindConsumer)
		w.childOf(handled, there, true)
		w.childOf(back, handled, false)
		w.childOf(last, back, true)
		if a := attributes(last); a["error.type"] != "panic" || last.Status.Code != codes.Error {
			t.Errorf("the handler that panics: %v, %v", a, last.Status)
		}
	})
}

// One trace: the client's request, the server's handler, what it publishes at another node,
// what each member does with that, and what a member asks in turn. The names of the topic and
// of the publication are not those of spans at the members, where they are another's choice.
func TestPublications(t *testing.T) {
	var other server.Topic
	open(t, protocol.V3_0, func(w *world) {
		w.serverMux.Request("say", func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
			_, err := w.ofServer.Publish(ctx, other, "said", r.Payload)
			return protocol.Payload{}, err
		})
		w.serverMux.Request("seen", func(context.Context, *server.Request) (protocol.Payload, error) {
			return protocol.Payload{}, &protocol.Error{Code: "NO"}
		})
		w.clientMux.Signal("*", func(context.Context, *client.Signal) {})
	}, func(w *world) {
		node := server.New(server.Options{Engine: w.engine.Node()})
		defer node.Close()
		other = node.Topic("room.42")
		room, err := w.c.Subscribe(w.t.Context(), "room.42", client.SubscribeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for c := range w.srv.Conns() {
			if err := w.srv.Topic("room.42").Join(w.t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		member, err := baggage.NewMember("tenant", "7")
		if err != nil {
			t.Fatal(err)
		}
		bag, err := baggage.New(member)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.ofClient.Request(baggage.ContextWithBaggage(w.t.Context(), bag), w.c, "say", protocol.Text("x")); err != nil {
			t.Fatal(err)
		}
		for m, err := range room.Messages(w.t.Context()) {
			if err != nil || m.Name != "said" || m.Payload.Text() != "x" {
				t.Fatalf("%+v, %v", m, err)
			}
			ctx, end := w.ofClient.Receive(w.t.Context(), room, "room.message", m)
			if got := baggage.FromContext(ctx).Member("tenant").Value(); got != "7" {
				t.Errorf("the tenant is %q", got)
			}
			_, err = w.ofClient.Request(ctx, w.c, "seen", protocol.Text("x"))
			end(err)
			break
		}
		w.childOf(w.span("say", trace.SpanKindServer), w.span("say", trace.SpanKindClient), true)
		published := w.span("said", trace.SpanKindProducer)
		w.childOf(published, w.span("say", trace.SpanKindServer), false)
		received := w.span("room.message", trace.SpanKindConsumer)
		w.childOf(received, published, true)
		w.childOf(w.span("*", trace.SpanKindConsumer), published, true) // of the signal
		w.childOf(w.span("seen", trace.SpanKindClient), received, false)
		if a := attributes(published); a["webwire.topic"] != "room.42" || a["rpc.method"] != "said" || a["rpc.system"] != "webwire" || published.Status.Code != codes.Unset {
			t.Errorf("the publication: %v, %v", a, published.Status)
		}
		if a := attributes(received); a["webwire.topic"] != "room.42" || a["rpc.method"] != "room.message" || a["error.type"] != "refused" || received.Status.Code != codes.Error {
			t.Errorf("the message: %v, %v", a, received.Status)
		}
	})
}

// What was published without a trace, or fails, has a span too.
func TestPublicationsAlone(t *testing.T) {
	open(t, protocol.V3_0, nil, func(w *world) {
		room, err := w.c.Subscribe(w.t.Context(), "room", client.SubscribeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.srv.Topic("room").Publish(w.t.Context(), "m", protocol.Text("x")); err != nil {
			t.Fatal(err)
		}
		for m := range room.Messages(w.t.Context()) {
			_, end := w.ofClient.Receive(w.t.Context(), room, "room.message", m)
			end(nil)
			break
		}
		if received := w.span("room.message", trace.SpanKindConsumer); received.Parent.IsValid() || received.Status.Code != codes.Unset {
			t.Errorf("%+v", received)
		}
		node := server.New(server.Options{Engine: w.engine.Node()})
		node.Close()
		if _, err := w.ofServer.Publish(w.t.Context(), node.Topic("room"), "late", protocol.Text("x")); err == nil {
			t.Fatal("a closed server publishes")
		}
		late := w.span("late", trace.SpanKindProducer)
		if a := attributes(late); a["error.type"] != "closed" || late.Status.Code != codes.Error {
			t.Errorf("the publication: %v, %v", a, late.Status)
		}
	})
}

// A peer cannot make names of spans and labels.
func TestNamesOfPeers(t *testing.T) {
	open(t, protocol.V3_0, nil, func(w *world) {
		for _, name := range []string{"a", "b", "c"} {
			if _, err := w.c.Request(w.t.Context(), name, protocol.Text("x")); !errors.Is(err, protocol.ErrNoHandler) {
				t.Error(err)
			}
		}
		if err := w.c.Signal(w.t.Context(), "d", protocol.Text("x")); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		var names []string
		for _, s := range w.spans.GetSpans() {
			names = append(names, s.Name+" "+attributes(s)["rpc.method"])
		}
		if want := slices.Repeat([]string{"unknown unknown"}, 4); !slices.Equal(names, want) {
			t.Errorf("%q", names)
		}
	})
}

// What handlers return, and what the span of the handler and that of the call then say.
func TestOutcomes(t *testing.T) {
	outcomes := []struct {
		name           string
		handler        func() error
		onServer       string
		failed         bool // the handler
		onClient, code string
	}{
		{"fine", func() error { return nil }, "", false, "", ""},
		{"refused", func() error { return &protocol.Error{Code: "NO"} }, "NO", false, "refused", "NO"},
		{"failed", func() error { return errors.New("broken") }, "internal", true, "internal", ""},
		{"panics", func() error { panic("broken") }, "panic", true, "internal", ""},
		{"asked another", func() error { return &protocol.PeerError{Err: protocol.ErrInternal} }, "internal", true, "internal", ""},
		{"late", func() error { return context.DeadlineExceeded }, "deadline_exceeded", true, "internal", ""},
	}
	open(t, protocol.V3_0, func(w *world) {
		for _, o := range outcomes {
			w.serverMux.Request(o.name, func(context.Context, *server.Request) (protocol.Payload, error) {
				return protocol.Payload{}, o.handler()
			})
		}
	}, func(w *world) {
		for _, o := range outcomes {
			_, _ = w.ofClient.Request(w.t.Context(), w.c, o.name, protocol.Text("x"))
			handler, call := w.span(o.name, trace.SpanKindServer), w.span(o.name, trace.SpanKindClient)
			if got := attributes(handler)["error.type"]; got != o.onServer || (handler.Status.Code == codes.Error) != o.failed {
				t.Errorf("%s: the handler's error.type is %q, its status %v", o.name, got, handler.Status)
			}
			a := attributes(call)
			if a["error.type"] != o.onClient || a["webwire.error.code"] != o.code || (call.Status.Code == codes.Error) != (o.onClient != "") {
				t.Errorf("%s: the call has %v, its status is %v", o.name, a, call.Status)
			}
		}
	})
}

// With an older peer there are two traces.
func TestOlderPeer(t *testing.T) {
	open(t, protocol.V2_0, func(w *world) {
		w.serverMux.Request("echo", func(_ context.Context, r *server.Request) (protocol.Payload, error) { return r.Payload, nil })
	}, func(w *world) {
		if _, err := w.ofClient.Request(w.t.Context(), w.c, "echo", protocol.Text("x")); err != nil {
			t.Fatal(err)
		}
		call, handler := w.span("echo", trace.SpanKindClient), w.span("echo", trace.SpanKindServer)
		if handler.Parent.IsValid() || handler.SpanContext.TraceID() == call.SpanContext.TraceID() {
			t.Error("2.0 has no trace context")
		}
	})
}

func TestMetrics(t *testing.T) {
	open(t, protocol.V3_0, func(w *world) {
		w.serverMux.Request("echo", func(_ context.Context, r *server.Request) (protocol.Payload, error) { return r.Payload, nil })
	}, func(w *world) {
		registration, err := w.ofServer.ObserveServer(w.srv, attribute.String("server", "a"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.ofServer.ObserveClient(w.c); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := w.c.Request(w.t.Context(), "echo", protocol.Text("x")); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		values := w.values()
		got := maps.Clone(values)
		onServer, onClient := w.srv.Stats(), w.c.Stats()
		for name, want := range map[string]int64{
			"webwire.server.connections server=a":                 1,
			"webwire.server.sessions server=a":                    0,
			"webwire.server.connections.away server=a":            0,
			"webwire.server.connections.resumed server=a":         0,
			"webwire.server.topics server=a":                      0,
			"webwire.server.nodes server=a":                       int64(onServer.Nodes),
			"webwire.server.publications.dropped server=a":        0,
			"webwire.server.topics.gaps server=a":                 0,
			"webwire.server.engine.errors server=a":               0,
			"webwire.server.handlers server=a":                    0,
			"webwire.server.connections.accepted server=a":        1,
			"webwire.server.messages direction=sent,server=a":     int64(onServer.Sent),
			"webwire.server.messages direction=received,server=a": int64(onServer.Received),
			"webwire.server.io direction=sent,server=a":           int64(onServer.BytesSent),
			"webwire.server.io direction=received,server=a":       int64(onServer.BytesReceived),
			"webwire.server.messages.dropped server=a":            0,
			"webwire.client.requests ":                            0,
			"webwire.client.connects ":                            1,
			"webwire.client.resumes ":                             0,
			"webwire.client.attempts ":                            1,
			"webwire.client.messages direction=sent":              int64(onClient.Sent),
			"webwire.client.messages direction=received":          int64(onClient.Received),
			"webwire.client.io direction=sent":                    int64(onClient.BytesSent),
			"webwire.client.io direction=received":                int64(onClient.BytesReceived),
			"webwire.client.messages.dropped ":                    0,
			"webwire.handler.duration rpc.method=echo":            3,
		} {
			if value, ok := got[name]; !ok || value != want {
				t.Errorf("%s is %d, %v, want %d", name, value, ok, want)
			}
			delete(got, name)
		}
		if len(got) > 0 {
			t.Errorf("there is more: %v", got)
		}
		const ofOthers = 1 // webwire.handler.duration
		fields := reflect.TypeFor[server.Stats]().NumField() + reflect.TypeFor[client.Stats]().NumField()
		if count := len(values) - ofOthers; count != fields {
			t.Errorf("there are %d metrics for %d fields of Stats", count, fields)
		}
		if onServer.Received < 3 || onClient.BytesSent < 3 {
			t.Errorf("nothing was counted: %+v, %+v", onServer, onClient)
		}
		if err := registration.Unregister(); err != nil {
			t.Error(err)
		}
		if _, ok := w.values()["webwire.server.connections server=a"]; ok {
			t.Error("the server is observed after Unregister")
		}
	})
}

// values returns the value of every metric, of a histogram the number of values.
func (w *world) values() map[string]int64 {
	w.t.Helper()
	var all metricdata.ResourceMetrics
	if err := w.metrics.Collect(w.t.Context(), &all); err != nil {
		w.t.Fatal(err)
	}
	values := map[string]int64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			label := func(set attribute.Set) string { return m.Name + " " + set.Encoded(attribute.DefaultEncoder()) }
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					values[label(p.Attributes)] = p.Value
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					values[label(p.Attributes)] = int64(p.Count)
				}
			default:
				w.t.Errorf("%s is a %T", m.Name, data)
			}
		}
	}
	return values
}

// Command example serves WebWire on two nodes, at /a and /b, and their metrics for Prometheus
// at /metrics. A client of b subscribes to a topic. A client of a makes one request, whose
// handler asks that client to confirm it, and publishes what was done. The spans of all of
// them are printed: they are one trace.
//
//	go run . -listen localhost:8080 &
//	curl localhost:8080/metrics
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/engine"
	webwireotel "github.com/webwire-go/webwire/otel"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/websocket"
	"go.opentelemetry.io/otel/attribute"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"
)

func main() {
	listen := flag.String("listen", "localhost:8080", "address to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ln, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	if err := run(ctx, ln, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// run serves until ctx ends, and prints a trace to out.
func run(ctx context.Context, ln net.Listener, out io.Writer) (err error) {
	registry := prometheus.NewRegistry()
	metrics, err := exporter.New(exporter.WithRegisterer(registry))
	if err != nil {
		return err
	}
	spans, err := stdouttrace.New(stdouttrace.WithWriter(out), stdouttrace.WithPrettyPrint())
	if err != nil {
		return err
	}
	tracers := trace.NewTracerProvider(trace.WithSyncer(spans))
	meters := metric.NewMeterProvider(metric.WithReader(metrics))
	tel := webwireotel.New(webwireotel.Options{TracerProvider: tracers, MeterProvider: meters})

	routes := http.NewServeMux()
	routes.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	var memory engine.Memory // of one process; engine/nats connects processes
	var nodes []*server.Server
	for _, name := range []string{"a", "b"} {
		node := newNode(tel, memory.Node())
		if _, err := tel.ObserveServer(node, attribute.String("node", name)); err != nil {
			return err
		}
		routes.Handle("/"+name, node)
		nodes = append(nodes, node)
	}
	web := &http.Server{Handler: routes, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- web.Serve(ln) }()
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		for _, node := range nodes {
			err = errors.Join(err, node.Shutdown(ctx))
		}
		err = errors.Join(err, web.Shutdown(ctx), tracers.Shutdown(ctx), meters.Shutdown(ctx))
		if failed := <-served; !errors.Is(failed, http.ErrServerClosed) {
			err = errors.Join(err, failed)
		}
	}()

	if err := makeTrace(ctx, tel, "ws://"+ln.Addr().String(), out); ctx.Err() == nil {
		return err
	}
	return nil
}

// newNode returns one of the servers that share an engine.
func newNode(tel *webwireotel.Telemetry, e engine.Engine) (node *server.Server) {
	var mux server.Mux
	tel.UseServer(&mux)
	mux.Request("delete", func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
		answer, err := tel.Request(ctx, r.Conn, "confirm", protocol.Text("Delete "+r.Payload.Text()+"?"))
		if err != nil {
			return protocol.Payload{}, err
		}
		_, err = tel.Publish(ctx, node.Topic("rooms"), "deleted", r.Payload)
		return answer, err
	})
	node = server.New(server.Options{
		Upgrader: websocket.Upgrader{},
		Handler:  &mux,
		Engine:   e,
		Hooks: server.Hooks{
			OnSubscribe: func(context.Context, *server.Conn, string) (any, error) { return nil, nil }, // anybody may
		},
	})
	return node
}

// makeTrace makes one request at node a, and prints what is published at node b until ctx
// ends.
func makeTrace(ctx context.Context, tel *webwireotel.Telemetry, url string, out io.Writer) error {
	watcher := client.New(websocket.Dialer{URL: url + "/b"}, client.Options{})
	defer watcher.Close()
	rooms, err := watcher.Subscribe(ctx, "rooms", client.SubscribeOptions{})
	if err != nil {
		return err
	}

	var mux client.Mux
	tel.UseClient(&mux)
	mux.Request("confirm", func(_ context.Context, r *client.Request) (protocol.Payload, error) {
		return protocol.Text("yes, " + r.Payload.Text()), nil
	})
	c := client.New(websocket.Dialer{URL: url + "/a"}, client.Options{Handler: &mux})
	defer c.Close()
	reply, err := tel.Request(ctx, c, "delete", protocol.Text("the room"))
	if err != nil {
		return err
	}
	fmt.Fprintln(out, reply.Text())

	for m, err := range rooms.Messages(ctx) {
		if err != nil {
			return err
		}
		_, end := tel.Receive(ctx, rooms, "rooms.message", m)
		_, err = fmt.Fprintln(out, m.Name, m.Payload.Text())
		end(err)
	}
	return nil
}

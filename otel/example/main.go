// Command example serves WebWire at /, and the metrics of its server for Prometheus at
// /metrics. Then a client makes one request, which the server answers after it has asked
// the client, and the spans of both ends are printed: they are one trace.
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
	webwireotel "github.com/webwire-go/webwire/otel"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/websocket"
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

	var mux server.Mux
	tel.UseServer(&mux)
	mux.Request("delete", func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
		return tel.Request(ctx, r.Conn, "confirm", protocol.Text("Delete "+r.Payload.Text()+"?"))
	})
	srv := server.New(server.Options{Upgrader: websocket.Upgrader{}, Handler: &mux})
	if _, err := tel.ObserveServer(srv); err != nil {
		return err
	}

	routes := http.NewServeMux()
	routes.Handle("/", srv)
	routes.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	web := &http.Server{Handler: routes, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- web.Serve(ln) }()
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err = errors.Join(err, srv.Shutdown(ctx), web.Shutdown(ctx), tracers.Shutdown(ctx), meters.Shutdown(ctx))
		if failed := <-served; !errors.Is(failed, http.ErrServerClosed) {
			err = errors.Join(err, failed)
		}
	}()

	if err := ask(ctx, tel, "ws://"+ln.Addr().String(), out); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// ask makes one request as a client.
func ask(ctx context.Context, tel *webwireotel.Telemetry, url string, out io.Writer) error {
	var mux client.Mux
	tel.UseClient(&mux)
	mux.Request("confirm", func(_ context.Context, r *client.Request) (protocol.Payload, error) {
		return protocol.Text("yes, " + r.Payload.Text()), nil
	})
	c := client.New(websocket.Dialer{URL: url}, client.Options{Handler: &mux})
	defer c.Close()
	reply, err := tel.Request(ctx, c, "delete", protocol.Text("the room"))
	if err != nil {
		return err
	}
	fmt.Fprintln(out, reply.Text())
	return nil
}

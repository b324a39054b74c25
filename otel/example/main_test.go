package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The example prints one trace of four spans and serves the metrics of its server.
func TestExample(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	printed, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, ln, out)
		out.Close()
		ended <- err
	}()

	spans := json.NewDecoder(printed)
	traces := map[string][]string{}
	for range 4 {
		addSpan(t, spans, traces)
	}
	if len(traces) != 1 {
		t.Errorf("there are %d traces: %v", len(traces), traces)
	}
	for _, names := range traces {
		if got := strings.Join(names, " "); strings.Count(got, "confirm") != 2 || strings.Count(got, "delete") != 2 {
			t.Errorf("the trace has %s", got)
		}
	}
	line := make([]byte, 100)
	reader := io.MultiReader(spans.Buffered(), printed)
	n, err := io.ReadAtLeast(reader, line, len("\nyes, Delete the room?\n"))
	if err != nil || strings.TrimSpace(string(line[:n])) != "yes, Delete the room?" {
		t.Errorf("%q, %v", line[:n], err)
	}

	response, err := http.Get(fmt.Sprintf("http://%s/metrics", ln.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, metric := range []string{
		"webwire_server_connections_accepted_total{",
		`webwire_handler_duration_seconds_count{`,
		`rpc_method="delete"`,
		`direction="received"`,
	} {
		if !strings.Contains(string(page), metric) {
			t.Errorf("the page of metrics has no %s:\n%s", metric, page)
		}
	}
	cancel()
	go io.Copy(io.Discard, printed)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// addSpan reads one span and adds its name to its trace.
func addSpan(t *testing.T, spans *json.Decoder, traces map[string][]string) {
	t.Helper()
	var span struct {
		Name        string
		SpanContext struct{ TraceID string }
	}
	if err := spans.Decode(&span); err != nil {
		t.Fatal(err)
	}
	id := span.SpanContext.TraceID
	traces[id] = append(traces[id], span.Name)
}

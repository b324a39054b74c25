package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// The example prints one trace, of a client, two nodes and a subscriber, and serves the
// metrics of the nodes.
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

	traces := map[string][]string{}
	var text string // that is not of spans
	lines := bufio.NewReader(printed)
	for range 6 {
		text += readText(t, lines)
		addSpan(t, lines, traces)
	}
	if want := "yes, Delete the room?\ndeleted the room\n"; text != want {
		t.Errorf("the example printed %q, want %q", text, want)
	}
	if len(traces) != 1 {
		t.Errorf("there are %d traces: %v", len(traces), traces)
	}
	for _, names := range traces {
		slices.Sort(names)
		if got := strings.Join(names, " "); got != "confirm confirm delete delete deleted rooms.message" {
			t.Errorf("the trace has %s", got)
		}
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
		`node="b"`,
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

// readText returns the lines before the next span.
func readText(t *testing.T, lines *bufio.Reader) (text string) {
	t.Helper()
	for {
		first, err := lines.Peek(1)
		if err != nil {
			t.Fatal(err)
		}
		if first[0] == '{' {
			return text
		}
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		text += line
	}
}

// addSpan reads one span and adds its name to its trace.
func addSpan(t *testing.T, lines *bufio.Reader, traces map[string][]string) {
	t.Helper()
	var printed string
	for !strings.HasSuffix(printed, "\n}\n") {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		printed += line
	}
	var span struct {
		Name        string
		SpanContext struct{ TraceID string }
	}
	if err := json.Unmarshal([]byte(printed), &span); err != nil {
		t.Fatal(err)
	}
	id := span.SpanContext.TraceID
	traces[id] = append(traces[id], span.Name)
}

package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/webwire-go/webwire/internal/check/interop"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/websocket"
)

// contractServer starts a server that keeps the contract, and returns its URL.
func contractServer(t *testing.T, n interop.Network, v protocol.Version) string {
	t.Helper()
	s, err := interop.Start(interop.Options{Network: n, Version: v, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if _, ok := n.(interop.Stream); ok {
		return "tcp://" + s.Addr()
	}
	return "ws://" + s.Addr()
}

// A server that keeps the contract passes, in the version that it speaks.
func TestConform(t *testing.T) {
	t.Parallel() // it waits most of the time
	for _, c := range []struct {
		network interop.Network
		version protocol.Version
		flags   []string
	}{
		{interop.WebSocket{}, protocol.V1_2, nil},
		{interop.WebSocket{}, protocol.V2_0, []string{"-silent"}},
		{interop.Stream{}, protocol.V1_5, []string{"-version", "1.5"}},
		{interop.WebSocket{}, protocol.V3_0, []string{"-version", "3.0"}},
	} {
		t.Run(c.version.String(), func(t *testing.T) {
			t.Parallel() // most steps wait for something
			url := contractServer(t, c.network, c.version)
			text := must(t, append([]string{"conform", url}, c.flags...)...)
			if m := regexp.MustCompile(`(?m)^` + c.version.String() + `: (\d\d) passed, 0 failed, \d+ skipped$`).FindString(text); m == "" {
				t.Error(text)
			}
			if c.flags == nil {
				golden(t, "conform.txt", text)
			}
		})
	}
}

// A server that does something else fails, but no step lasts for long.
func TestConformFails(t *testing.T) {
	url, _ := startServer(t, "-quiet")
	r := webwire(t, "", "conform", "-json", url)
	checkSteps(t, r.stdout, map[string]string{
		"connect": "ok", "echo in every encoding": "ok", "inspect": "FAIL", "echo of a name alone": "skip",
	})
	if r.code != exitFailed || !strings.HasPrefix(r.stderr, "webwire: the server breaks the contract") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
}

// checkSteps compares some results of a run with -json.
func checkSteps(t *testing.T, stdout string, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for line := range strings.Lines(stdout) {
		var c checked
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatal(err)
		}
		got[c.Step] = c.Result
	}
	for step, result := range want {
		if got[step] != result {
			t.Errorf("%s: %q, want %q", step, got[step], result)
		}
	}
}

// TLS, a path and headers are used by every step, and what a server without spawn cannot
// do is skipped.
func TestConformElsewhere(t *testing.T) {
	t.Parallel() // it waits most of the time
	const token = "Bearer secret"
	refused := &protocol.Error{Code: "UNKNOWN_REQUEST"}
	var mux server.Mux
	mux.Request("echo*", func(_ context.Context, r *server.Request) (protocol.Payload, error) { return r.Payload, nil })
	mux.Request("", func(_ context.Context, r *server.Request) (protocol.Payload, error) { return r.Payload, nil })
	mux.Request("*", func(context.Context, *server.Request) (protocol.Payload, error) { return protocol.Payload{}, refused })
	srv := server.New(server.Options{Upgrader: websocket.Upgrader{}, Handler: &mux, MaxMessageSize: 16 << 20})
	defer srv.Close()
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/contract" || r.Header.Get("Authorization") != token {
			http.Error(w, "not here", http.StatusForbidden)
			return
		}
		srv.ServeHTTP(w, r)
	}))
	defer web.Close()
	url := "wss" + strings.TrimPrefix(web.URL, "https") + "/contract"
	r := webwire(t, "", "conform", "-json", "-insecure", "-H", "Authorization: "+token, url)
	checkSteps(t, r.stdout, map[string]string{
		"connect": "ok", "echo in every encoding": "ok", "echo of names of every length": "ok", "echo of large payloads": "ok",
		"unknown request": "ok", "inspect": "FAIL", "metadata": "ok", "preflight": "ok", "any path": "skip",
		"shutdown": "skip", "sessions disabled": "skip", "idle connection outlives the read timeout": "skip",
	})
	if r := webwire(t, "", "conform", "-insecure", url); r.code != exitUnreachable || !strings.Contains(r.stderr, "403") {
		t.Errorf("without the header: %+v", r)
	}
}

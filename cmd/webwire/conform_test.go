package main

import (
	"encoding/json"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"github.com/webwire-go/webwire/internal/check/interop"
	"github.com/webwire-go/webwire/protocol"
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
	for _, c := range []struct {
		network interop.Network
		version protocol.Version
		flags   []string
	}{
		{interop.WebSocket{}, protocol.V1_2, nil},
		{interop.WebSocket{}, protocol.V2_0, []string{"-silent"}},
		{interop.Stream{}, protocol.V1_5, []string{"-version", "1.5"}},
	} {
		t.Run(c.version.String(), func(t *testing.T) {
			t.Parallel() // most steps wait for something
			url := contractServer(t, c.network, c.version)
			text := must(t, append([]string{"conform", url}, c.flags...)...)
			if m := regexp.MustCompile(`(?m)^` + c.version.String() + `: (\d\d) passed, 0 failed, \d skipped$`).FindString(text); m == "" {
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
	results := map[string]string{}
	for line := range strings.Lines(r.stdout) {
		var c checked
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatal(err)
		}
		results[c.Step] = c.Result
	}
	for step, want := range map[string]string{"connect": "ok", "echo in every encoding": "ok", "inspect": "FAIL", "echo of a name alone": "skip"} {
		if results[step] != want {
			t.Errorf("%s: %q, want %q", step, results[step], want)
		}
	}
	if r.code != exitFailed || !strings.HasPrefix(r.stderr, "webwire: the server breaks the contract") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
}

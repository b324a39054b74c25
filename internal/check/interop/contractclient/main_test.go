package main

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/webwire-go/webwire/internal/check/interop"
	"github.com/webwire-go/webwire/protocol"
)

func TestRun(t *testing.T) {
	s, err := interop.Start(interop.Options{Version: protocol.V1_4, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var out bytes.Buffer
	if err := run(t.Context(), []string{"--addr", s.Addr(), "--version", "1.4", "--no-offer"}, &out); err != nil {
		t.Error(err)
	}
	text := out.String()
	if !strings.Contains(text, "PASS echo in every encoding\n") || !strings.HasSuffix(text, " failed=0\n") {
		t.Errorf("it prints\n%s", text)
	}

	// The server is of another version.
	out.Reset()
	err = run(t.Context(), []string{"--addr", s.Addr(), "--version", "1.3", "--no-offer"}, &out)
	if text := out.String(); !errors.Is(err, errFailed) || !strings.HasPrefix(text, "FAIL connect: ") || !strings.HasSuffix(text, "passed=0 failed=1\n") {
		t.Errorf("%v, and it prints\n%s", err, text)
	}
}

func TestMistakes(t *testing.T) {
	for _, args := range [][]string{
		{}, {"--addr", "x", "--version", "9.9"}, {"--addr", "x", "--network", "pigeons"}, {"--addr", "x", "surplus"},
	} {
		if err := run(t.Context(), args, new(bytes.Buffer)); err == nil || errors.Is(err, errFailed) {
			t.Errorf("%v: %v", args, err)
		}
	}
}

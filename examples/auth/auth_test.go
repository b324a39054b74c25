package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/webwire-go/webwire/internal/check/port"
)

func TestMain(m *testing.M) {
	rounds = 1000 // nobody guesses here
	os.Exit(m.Run())
}

func TestScene(t *testing.T) {
	var logged bytes.Buffer
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(slog.New(slog.NewTextHandler(&logged, nil)))
	var out strings.Builder
	if err := scene(t.Context(), port.Reserve(t), &out); err != nil {
		t.Fatalf("%v, after\n%s", err, out.String())
	}
	if !strings.HasSuffix(out.String(), "left no key behind\n") {
		t.Errorf("the scene ends with\n%s", out.String())
	}
	for line := range strings.Lines(logged.String()) {
		// The scene restarts the server: a device may find it away for a moment.
		if !strings.Contains(line, "webwire: cannot connect, the client tries again") &&
			!strings.Contains(line, "webwire: connected after attempts that failed") {
			t.Errorf("it logged %s", line)
		}
	}
}

// The halves by hand.
func TestHalves(t *testing.T) {
	dir := t.TempDir()
	s, err := start("127.0.0.1:0", filepath.Join(dir, "sessions"), &users{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	keyFile := filepath.Join(dir, "key")
	talk := func(lines ...string) string {
		t.Helper()
		var out bytes.Buffer
		in := strings.NewReader(strings.Join(lines, "\n") + "\n")
		args := []string{"client", "-addr", s.addr, "-user", "ann", "-key", keyFile}
		if err := run(t.Context(), args, in, &out); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	want := func(text string, parts ...string) {
		t.Helper()
		for _, part := range parts {
			if !strings.Contains(text, part) {
				t.Errorf("%q is not in\n%s", part, text)
			}
		}
		if strings.Contains(text, "pass-word") {
			t.Error("the password is shown")
		}
		if key, err := os.ReadFile(keyFile); err == nil && strings.Contains(text, strings.TrimSpace(string(key))) {
			t.Error("the key is shown")
		}
	}
	want(talk("whoami", "login pass-word", "register pass-word", "register pass-word"), "SIGNED_OUT", "WRONG", "you are ann", "TAKEN")
	want(talk("whoami", "devices", "quit"), "welcome back, ann", "> ann")
	want(talk("logout", "whoami"), "welcome back, ann", "SIGNED_OUT")
	want(talk("login pass-word"), "you are ann")
	want(talk("login "+strings.Repeat("x", 100<<10), "whoami"), "WRONG", "> ann") // however long a line is
}

// A server that has forgotten its users, though not the sessions, gives the name to
// somebody else.
func TestNameAnew(t *testing.T) {
	dir := t.TempDir()
	addr := port.Reserve(t)
	serve := func() *service {
		t.Helper()
		s, err := start(addr, filepath.Join(dir, "sessions"), &users{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	stop := func(s *service) {
		t.Helper()
		if err := s.stop(context.Background()); err != nil {
			t.Error(err)
		}
	}

	s := serve()
	before := newDevice(addr, "before", filepath.Join(dir, "before.key"))
	if _, err := before.login(t.Context(), "register", "ann", "pass-word"); err != nil {
		t.Fatal(err)
	}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	stop(s)

	s = serve()
	defer func() { stop(s) }()
	for _, what := range []string{"registers", "comes back"} {
		now := newDevice(addr, "now", filepath.Join(dir, "now.key"))
		if what == "registers" {
			if _, err := now.login(t.Context(), "register", "ann", "other word"); err != nil {
				t.Fatal(err)
			}
		}
		if who, err := now.whoami(t.Context()); err != nil || who.User != "ann" {
			t.Errorf("the new ann %s as %q, %v", what, who.User, err)
		}
		if err := now.Close(); err != nil {
			t.Fatal(err)
		}
	}
	before = newDevice(addr, "before", filepath.Join(dir, "before.key"))
	defer before.Close()
	if who, err := before.whoami(t.Context()); !errors.Is(err, errSignedOut) {
		t.Errorf("the ann of before is %q, %v", who.User, err)
	}
}

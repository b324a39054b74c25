package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"
)

func TestScene(t *testing.T) {
	var out bytes.Buffer
	err := run(t.Context(), nil, nil, io.MultiWriter(&out, t.Output()))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"then the server cut slow off", "heard by ann, bob and slow", "server: shut down"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the scene does not show %q", want)
		}
	}
}

func TestCommands(t *testing.T) {
	s, err := start("127.0.0.1:0", &broker{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	listening, quit := context.WithCancel(ctx)
	screen, paper := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- run(listening, []string{"subscribe", "-addr", s.addr, "news", "sport"}, nil, paper)
		paper.Close()
	}()
	sees := func(want string) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(screen, got); err != nil || string(got) != want {
			t.Fatalf("the subscriber sees %q, want %q: %v", got, want, err)
		}
	}
	publishes := func(in string, args ...string) string {
		t.Helper()
		var out bytes.Buffer
		if err := run(ctx, append([]string{"publish", "-addr", s.addr}, args...), strings.NewReader(in), &out); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	sees("connected\n")
	if got := publishes("", "chess", "e4"); got != "subscribers: 0\n" {
		t.Errorf("published to nobody: %q", got)
	}
	go func() { publishes("it rains\nit pours\n", "news") }()
	sees("news: it rains\nnews: it pours\n")

	go io.Copy(io.Discard, screen)
	quit()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for _, args := range []string{"nonsense", "server extra", "subscribe", "publish", "subscribe -addr " + s.addr + " bad:topic"} {
		if err := run(ctx, strings.Fields(args), nil, io.Discard); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
	if err := s.stop(ctx); err != nil {
		t.Error(err)
	}
}

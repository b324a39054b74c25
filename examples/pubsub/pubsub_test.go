package main

import (
	"bytes"
	"context"
	"errors"
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
	for _, want := range []string{"were lost, and 100 the topic had kept", "what the topic had kept: 100 messages", "heard by all four", "server: shut down"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the scene does not show %q", want)
		}
	}
}

func TestCommands(t *testing.T) {
	s, err := start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	listening, quit := context.WithCancel(ctx)
	done := make(chan error, 2)
	subscriber := func(args ...string) (sees func(string), screen io.Reader) {
		screen, paper := io.Pipe()
		go func() {
			done <- run(listening, append([]string{"subscribe", "-addr", s.addr}, args...), nil, paper)
			paper.Close()
		}()
		return func(want string) {
			t.Helper()
			got := make([]byte, len(want))
			if _, err := io.ReadFull(screen, got); err != nil || string(got) != want {
				t.Fatalf("the subscriber sees %q, want %q: %v", got, want, err)
			}
		}, screen
	}
	sees, screen := subscriber("news", "sport")
	publishes := func(in string, args ...string) string {
		t.Helper()
		var out bytes.Buffer
		if err := run(ctx, append([]string{"publish", "-addr", s.addr}, args...), strings.NewReader(in), &out); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	sees("subscribed\n")
	if got := publishes("", "chess", "e4"); got != "subscribers: 0\n" {
		t.Errorf("published to nobody: %q", got)
	}
	go func() { publishes("it rains\nit pours\n", "news") }()
	sees("news: it rains\nnews: it pours\n")

	late, lateScreen := subscriber("-all", "news")
	late("subscribed\nnews: it rains\nnews: it pours\n")

	go io.Copy(io.Discard, screen)
	go io.Copy(io.Discard, lateScreen)
	quit()
	if err := errors.Join(<-done, <-done); err != nil {
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

package main

import (
	"context"
	"strings"
	"testing"

	"github.com/webwire-go/webwire/internal/check/port"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/stream"
)

// Publications are printed, as text and as JSON, with their positions, from which another run
// goes on; and so are the members.
func TestSubscribe(t *testing.T) {
	url, srv := startServer(t)
	asText, asJSON := start(t, "subscribe", url, "news"), start(t, "subscribe", "-json", "-presence", url, "news")
	for _, b := range []*background{asText, asJSON} {
		b.out.await(t, "subscribed")
	}
	asJSON.out.await(t, `"enter".*"info":2`)
	srv.out.await(t, `#[12] subscribed "news"`)
	first := strings.TrimSpace(must(t, "request", url, "publish", "news it rains"))
	must(t, "request", url, "publish", "sport nobody sees this")
	last := strings.TrimSpace(must(t, "request", url, "publish", "news it shines"))
	asText.out.await(t, `publication "text" utf8, 8 bytes: "it rains" at `+first+`\n.* publication .*"it shines" at `+last+`\n`)
	asJSON.out.await(t, `"publication","name":"text","payload":{"encoding":"utf8","text":"it rains"},"position":"`+first+`"}`)
	for args, want := range map[string][]string{
		"-since 0 -cancel-after 2":             {"it rains", "it shines"},
		"-since " + first + " -cancel-after 1": {"it shines"},
		"-since " + last + " -cancel-after 1s": nil,
	} {
		r := webwire(t, "", append(strings.Fields("subscribe "+args), url, "news")...)
		if r.code != 0 || r.stderr != "" || strings.Count(r.stdout, "publication") != len(want) {
			t.Errorf("%s: %+v", args, r)
		}
		for _, text := range want {
			if !strings.Contains(r.stdout, text) {
				t.Errorf("%s: %s", args, r.stdout)
			}
		}
	}
	asJSON.out.await(t, `"leave"`)
	for _, b := range []*background{asText, asJSON} {
		if r := b.interrupt(); r.code != 0 || r.stderr != "" || strings.Contains(r.stdout, "nobody sees") {
			t.Errorf("%+v", r)
		}
	}
}

// A position that the server does not have is a gap, and the rest follows.
func TestSubscribeGap(t *testing.T) {
	url, _ := startServer(t)
	must(t, "request", url, "publish", "news it rains")
	r := webwire(t, "", "subscribe", "-since", "17-4", "-cancel-after", "1", url, "news")
	gap, rest, ok := strings.Cut(r.stdout, "gap")
	if r.code != 0 || !ok || !strings.Contains(rest, "it rains") || strings.Contains(gap, "it rains") {
		t.Errorf("%+v", r)
	}
}

// The exit code says why there is no subscription.
func TestSubscribeFails(t *testing.T) {
	url, _ := startServer(t)
	refusing := "tcp://" + port.Reserve(t)
	srv := server.New(server.Options{Hooks: server.Hooks{OnSubscribe: func(_ context.Context, _ *server.Conn, topic string) (any, error) {
		return nil, &protocol.Error{Code: "NO_SUCH_TOPIC", Message: topic}
	}}})
	l, err := stream.Listen("tcp", strings.TrimPrefix(refusing, "tcp://"), nil)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { defer close(served); _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close(); <-served })
	for args, want := range map[string]struct {
		code   int
		stderr string
	}{
		"URL":                         {exitUsage, "arguments are missing"},
		"URL news sport":              {exitUsage, `unexpected argument "sport"`},
		"-since 1 URL news":           {exitUsage, "neither a position"},
		"-since 1-2x URL news":        {exitUsage, "neither a position"},
		"-version 2.0 URL news":       {exitFailed, "does not support"},
		"ws://127.0.0.1:1 news":       {exitUnreachable, "cannot connect"},
		"-json ws://127.0.0.1:1 news": {exitUnreachable, "cannot connect"},
		refusing + " news":            {exitFailed, "NO_SUCH_TOPIC: news"},
	} {
		r := webwire(t, "", append([]string{"subscribe"}, strings.Fields(strings.ReplaceAll(args, "URL", url))...)...)
		if r.code != want.code || !strings.Contains(r.stderr, want.stderr) {
			t.Errorf("%s: %+v", args, r)
		}
	}
}

// With -json there is one object for a request that could not be sent, too.
func TestUnreachableJSON(t *testing.T) {
	for _, command := range []string{"request", "stream"} {
		r := webwire(t, "", command, "-json", "ws://127.0.0.1:1", "greet")
		if r.code != exitUnreachable || r.stderr != "" || !strings.HasPrefix(r.stdout, `{"ok":false,"error":"cannot connect: `) || strings.Count(r.stdout, "\n") != 1 {
			t.Errorf("%s: %+v", command, r)
		}
	}
}

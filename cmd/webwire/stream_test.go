package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Items are printed as they arrive, whatever the network, and the stream ends in the way
// that its exit code says.
func TestStream(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "tcp://127.0.0.1:0", "unix:" + filepath.Join(t.TempDir(), "socket")} {
		url, srv := startServer(t, "-addr", addr)
		if r := webwire(t, "", "stream", url, "count", "3"); r != (ran{"1\n2\n3\n", "", 0}) {
			t.Errorf("%s: %+v", url, r)
		}
		if r := webwire(t, "2", "stream", url, "count", "-"); r != (ran{"1\n2\n", "", 0}) {
			t.Errorf("%s: %+v", url, r)
		}
		if r := webwire(t, "", "stream", "-cancel-after", "2", url, "count"); r != (ran{"1\n2\n", "", 0}) {
			t.Errorf("%s: %+v", url, r)
		}
		srv.out.await(t, `ended "count" webwire: the requester has enough items`)
		for after := 100 * time.Millisecond; ; after *= 2 {
			r := webwire(t, "", "stream", url, "count", "-cancel-after", after.String())
			if r.code != 0 || r.stderr != "" || after > 10*time.Second {
				t.Fatalf("%s: exit code %d, %s", url, r.code, r.stderr)
			}
			if strings.HasPrefix(r.stdout, "1\n2\n3\n") {
				break
			}
		}
		srv.out.await(t, `ended "count" webwire: the requester gave up`)
	}
}

func TestStreamJSON(t *testing.T) {
	url, _ := startServer(t)
	const items = `{"item":{"encoding":"utf8","text":"1"}}` + "\n" + `{"item":{"encoding":"utf8","text":"2"}}` + "\n"
	for args, want := range map[string]string{
		"count 2":                items + `{"ok":true,"ms":1}` + "\n",
		"count -cancel-after 2":  items + `{"ok":true,"ms":1}` + "\n",
		"fail NO":                `{"ok":false,"code":"NO","error":"NO","ms":1}` + "\n",
		"sleep -cancel-after 1s": `{"ok":false,"code":"BAD_REQUEST","error":"BAD_REQUEST: not a duration such as 2s","ms":1}` + "\n",
	} {
		r := webwire(t, "", append([]string{"stream", "-json", url}, strings.Fields(args)...)...)
		if got := normal(r.stdout); got != want || r.stderr != "" || (r.code == 0) != strings.Contains(want, "true") {
			t.Errorf("%s: %s %+v", args, got, r)
		}
	}
}

// A stream needs 3.0, and a server that streams the reply. A request for items gets none.
func TestStreamFails(t *testing.T) {
	url, _ := startServer(t)
	for args, want := range map[string]ran{
		"stream -version 2.0 URL count 3":     {"", "webwire: protocol: peer does not support what the request requires\n", 1},
		"stream URL fail NO why":              {"", "webwire: unexpected argument \"why\"\nusage: webwire stream [flags] URL NAME [PAYLOAD]\nwebwire help stream lists the flags\n", 2},
		"stream URL fail NO":                  {"", "webwire: the server refused the request: NO: \n", 1},
		"request -version 2.0 URL count 3":    {"", "webwire: the server refused the request: BAD_REQUEST: the reply is streamed, which needs protocol 3.0\n", 1},
		"stream -cancel-after -1 URL count 3": {"", "webwire: invalid value \"-1\" for flag -cancel-after: neither a number of items nor a duration such as 2s: \"-1\"\nusage: webwire stream [flags] URL NAME [PAYLOAD]\nwebwire help stream lists the flags\n", 2},
	} {
		if r := webwire(t, "", strings.Fields(strings.ReplaceAll(args, "URL", url))...); r != want {
			t.Errorf("%s: %+v", args, r)
		}
	}
}

// An interrupt leaves the stream.
func TestStreamInterrupted(t *testing.T) {
	url, b := startServer(t)
	cmd, out := process(t, "stream", url, "count")
	out.await(t, "\n3\n")
	if code := interrupted(t, cmd); code != exitInterrupted {
		t.Errorf("exit code %d", code)
	}
	b.out.await(t, `ended "count" webwire: the requester gave up`)
	b.out.await(t, `#1 disconnected .*1000`)
}

// listen prints the requests of the server, and answers them if -echo is set.
func TestListenAnswers(t *testing.T) {
	for _, flags := range [][]string{{"-echo"}, nil} {
		url, srv := startServer(t)
		b := start(t, append([]string{"listen", url}, flags...)...)
		srv.out.await(t, "#1 connected")
		r := webwire(t, "", "request", url, "ask", "are you there")
		b.out.await(t, `request "ask" utf8, 13 bytes: "are you there"`)
		switch {
		case flags != nil && r != (ran{"are you there\n", "", 0}):
			t.Errorf("%v: %+v", flags, r)
		case flags == nil && r.code != exitFailed:
			t.Errorf("%v: %+v", flags, r)
		}
		b.interrupt()
		srv.out.await(t, "#1 disconnected")
		srv.out.await(t, "#2 disconnected")
		if r := webwire(t, "", "request", url, "ask", "x"); r.code != exitFailed || !strings.Contains(r.stderr, "NOBODY") {
			t.Errorf("%+v", r)
		}
	}
}

package main

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/webwire-go/webwire/internal/check/port"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/stream"
)

var dialOptions transport.DialOptions

// Signals of others are printed, in all encodings, as text and as JSON.
func TestListen(t *testing.T) {
	url, srv := startServer(t)
	asText, asJSON := start(t, "listen", url), start(t, "listen", "-json", url)
	srv.out.await(t, "#2 connected")
	asText.out.await(t, "connected")
	asJSON.out.await(t, "connected")
	for _, args := range [][]string{
		{"signal", url, "said", "hi \x1b[2J"}, {"signal", "-binary", url, "bytes", "\x00\x01"},
		{"signal", "-json", url, "", "last"},
	} {
		must(t, args...)
		for _, b := range []*background{asText, asJSON} {
			b.out.await(t, map[string]string{"said": "hi ", "bytes": "binary", "": "last"}[args[len(args)-2]])
		}
	}
	for name, b := range map[string]*background{"listen-text.txt": asText, "listen-json.txt": asJSON} {
		r := b.interrupt()
		if r.code != 0 || r.stderr != "" {
			t.Errorf("%+v", r)
		}
		golden(t, name, r.stdout)
	}
}

// Sessions that end are printed, and so is that the connection is lost and made again.
func TestListenSessionsAndLoss(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	addr := port.Reserve(t)
	srv := newTestServer(t, addr)
	url := "tcp://" + addr
	b := start(t, "listen", url, "-session", file)
	b.out.await(t, "session created")
	(<-srv.conns).Abort()
	b.out.await(t, `(?s)disconnected.*connected`)
	if err := (<-srv.conns).CloseSession(t.Context()); err != nil {
		t.Error(err)
	}
	b.out.await(t, "session closed")
	_ = srv.Close()
	if r := b.interrupt(); r.code != 0 || strings.Count(r.stdout, " connected") != 2 {
		t.Errorf("%+v", r)
	}
}

// testServer gives its first client a session.
type testServer struct {
	*server.Server
	conns chan *server.Conn
}

func newTestServer(t *testing.T, addr string) testServer {
	t.Helper()
	conns := make(chan *server.Conn, 10)
	first := true // only one connects at a time
	srv := server.New(server.Options{Hooks: connectedHook(func(c *server.Conn) {
		if first {
			if _, err := c.CreateSession(c.Context(), nil); err != nil {
				t.Error(err)
			}
		}
		first = false
		conns <- c
	})})
	l, err := stream.Listen("tcp", addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { defer close(served); _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close(); <-served })
	return testServer{srv, conns}
}

// connectedHook returns hooks that call fn with each new connection.
func connectedHook(fn func(c *server.Conn)) server.Hooks {
	return server.Hooks{OnClientConnected: func(_ context.Context, c *server.Conn) error { fn(c); return nil }}
}

// Interrupted, listen ends with 0 and closes its connection.
func TestListenInterrupted(t *testing.T) {
	url, b := startServer(t)
	cmd, out := process(t, "listen", url)
	out.await(t, "connected")
	if code := interrupted(t, cmd); code != 0 {
		t.Errorf("exit code %d", code)
	}
	b.out.await(t, `#1 disconnected .*1000`)
}

// A server that closes for good ends listen.
func TestListenTurnedAway(t *testing.T) {
	addr := port.Reserve(t)
	srv := newTestServer(t, addr)
	b := start(t, "listen", "tcp://"+addr)
	b.out.await(t, "connected")
	(<-srv.conns).Close(4500, "go away")
	b.out.await(t, "disconnected .*go away")
	if r := b.wait(); r.code != exitUnreachable || !strings.Contains(r.stderr, "go away") {
		t.Errorf("%+v", r)
	}
}

// A server that takes connections and says nothing is given up after the timeout.
func TestSilentServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, args := range [][]string{{"listen"}, {"request"}, {"signal"}, {"bench"}, {"conform"}} {
		args = append(args, "-timeout", "300ms", "ws://"+l.Addr().String())
		if args[0] == "request" || args[0] == "signal" {
			args = append(args, "name", "x")
		}
		if r := webwire(t, "", args...); r.code != exitUnreachable {
			t.Errorf("%v: %+v", args, r)
		}
	}
}

// A server without WebWire behind its HTTP is refused.
func TestNoWebWire(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: http.NotFoundHandler()}
	served := make(chan struct{})
	go func() { defer close(served); _ = web.Serve(l) }()
	defer func() { _ = web.Close(); <-served }()
	r := webwire(t, "", "request", "ws://"+l.Addr().String(), "name", "x")
	if r.code != exitUnreachable || !strings.Contains(r.stderr, "404") {
		t.Errorf("%+v", r)
	}
}

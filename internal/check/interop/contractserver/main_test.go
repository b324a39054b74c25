package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport/websocket"
)

// The flags reach the server, and the address its user.
func TestRun(t *testing.T) {
	for _, args := range [][]string{
		{"--addr", "127.0.0.1:0", "--version", "2.0", "--sessions=false", "--max-session-conns=2", "--read-timeout-ms", "5000"},
		{"-version=2.0", "-sessions", "false"},
	} {
		ctx, stop := context.WithCancel(t.Context())
		r, w := io.Pipe()
		done := make(chan error, 1)
		go func() { done <- run(ctx, args, w) }()
		line, err := bufio.NewReader(r).ReadString('\n')
		addr, ok := strings.CutPrefix(strings.TrimSpace(line), "LISTENING ")
		if err != nil || !ok {
			t.Fatalf("%q, %v", line, err)
		}
		c := client.New(websocket.Dialer{URL: "ws://" + addr + "/any/path"}, client.Options{})
		_, err = c.Request(ctx, "login", protocol.Text("{}"))
		if !errors.Is(err, &protocol.Error{Code: "SESSIONS_DISABLED"}) {
			t.Errorf("login: %v", err)
		}
		if reply, err := c.Request(ctx, "shutdown", protocol.Text("x")); err != nil || reply.Text() != "ok" {
			t.Errorf("shutdown: %q, %v", reply.Text(), err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = c.Close()
		stop()
	}
}

func TestMistakes(t *testing.T) {
	for _, args := range [][]string{
		{"--version", "9.9"}, {"--sessions", "perhaps"}, {"surplus"}, {"--addr", "127.0.0.1:no-port"},
	} {
		if err := run(t.Context(), args, io.Discard); err == nil {
			t.Errorf("%v is accepted", args)
		}
	}
}

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport/websocket"
)

// What a client does is printed, decoded, and nothing of it controls a terminal.
func TestServe(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		var flags []string
		if format == "json" {
			flags = []string{"-json"}
		}
		url, b := startServer(t, flags...)
		oneOfEach(t, url)
		b.out.await(t, `disconnected`)
		r := b.interrupt()
		if r.code != 0 || r.stderr != "" {
			t.Errorf("%+v", r)
		}
		golden(t, "serve-"+format+".txt", r.stdout)
	}
}

// oneOfEach does everything that serve prints.
func oneOfEach(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := client.New(websocket.Dialer{URL: url}, client.Options{})
	defer c.Close()
	for _, r := range []struct {
		name    string
		payload protocol.Payload
		code    string
	}{
		{"greet", protocol.Text("gopher\n"), ""},
		{"", protocol.UTF16Text("hej 😀"), ""},
		{"bytes", protocol.Bytes([]byte{0, 1, 0xff}), ""},
		{"many", protocol.Bytes(make([]byte, 100)), ""},
		{"long", protocol.Text(strings.Repeat("ä", 300)), ""},
		{"escape", protocol.Text("\x1b[2J\x00"), ""},
		{"nothing", protocol.Payload{}, ""},
		{"login", protocol.Text(`{"user":"ann"}`), ""},
		{"login", protocol.Text(`{}`), "SESSION_ACTIVE"},
		{"logout", protocol.Payload{}, ""},
		{"login", protocol.Text(`{`), "BAD_REQUEST"},
		{"fail", protocol.Text("NO_NAME say \x1b[2Jwho"), "NO_NAME"},
		{"fail", protocol.Payload{}, "FAILED"},
		{"sleep", protocol.Text("1ms"), ""},
		{"sleep", protocol.Text("long"), "BAD_REQUEST"},
	} {
		if _, err := c.Request(ctx, r.name, r.payload); protocol.CodeOf(err) != r.code || r.code == "" && err != nil {
			t.Errorf("request %q: %v, want %q", r.name, err, r.code)
		}
	}
	if err := c.Signal(ctx, "said", protocol.Text("hi")); err != nil {
		t.Fatal(err)
	}
}

// With -quiet nothing of clients is printed.
func TestServeQuiet(t *testing.T) {
	url, b := startServer(t, "-quiet")
	oneOfEach(t, url)
	if r := b.interrupt(); strings.Count(r.stdout, "\n") != 2 || r.code != 0 {
		t.Errorf("%+v", r)
	}
}

// An interrupt lets requests finish, and the process ends with 0.
func TestServeInterrupted(t *testing.T) {
	t.Parallel() // it waits most of the time
	for _, network := range []string{"127.0.0.1:0", "tcp://127.0.0.1:0", "unix:" + filepath.Join(t.TempDir(), "socket")} {
		cmd, out := process(t, "serve", "-addr", network)
		url := out.await(t, `listening at (\S+)\n`)
		replied := make(chan ran, 1)
		go func() { replied <- webwire(t, "", "request", url, "sleep", "300ms") }()
		out.await(t, `request "sleep"`)
		if code := interrupted(t, cmd); code != 0 {
			text, _ := out.read()
			t.Errorf("%s: exit code %d\n%s", network, code, text)
		}
		if r := <-replied; r != (ran{"300ms\n", "", 0}) {
			t.Errorf("%s: %+v", network, r)
		}
	}
}

// A second interrupt does not wait for requests.
func TestServeInterruptedTwice(t *testing.T) {
	cmd, out := process(t, "serve", "-addr", "127.0.0.1:0")
	url := out.await(t, `listening at (\S+)\n`)
	replied := make(chan ran, 1)
	go func() { replied <- webwire(t, "", "request", url, "sleep", "1h") }()
	out.await(t, `request "sleep"`)
	began := time.Now()
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	for again := true; again; {
		_ = cmd.Process.Signal(syscall.SIGINT)
		select {
		case <-ended:
			again = false
		case <-time.After(100 * time.Millisecond): // the first one may not have been seen yet
		}
	}
	if took := time.Since(began); took >= shutdownTimeout || cmd.ProcessState.ExitCode() != exitInterrupted {
		t.Errorf("it took %v: %v", took, cmd.ProcessState)
	}
	out.await(t, "shutting down")
	if r := <-replied; r.code != exitNoOutcome {
		t.Errorf("%+v", r)
	}
}

// An address that is taken, and files that are none, are failures and not mistakes in the
// command line.
func TestServeFails(t *testing.T) {
	url, _ := startServer(t)
	none := filepath.Join(t.TempDir(), "none.pem")
	for _, args := range [][]string{
		{"serve", "-addr", strings.TrimPrefix(url, "ws://")},
		{"serve", "-cert", none, "-key", none},
	} {
		if r := webwire(t, "", args...); r.code != exitFailed || r.stderr == "" {
			t.Errorf("%v: %+v", args, r)
		}
	}
}

// The version that clients get which do not negotiate is the one of -version.
func TestServeVersion(t *testing.T) {
	url, b := startServer(t, "-version", "1.5")
	must(t, "request", url, "x", "y")
	b.out.await(t, "protocol 3.0")
	data, err := websocket.Dialer{URL: url}.Probe(t.Context(), dialOptions)
	if err != nil || !strings.Contains(string(data), `"1.5"`) {
		t.Errorf("metadata %s, %v", data, err)
	}
}

// Colors are for terminals, of users who want them.
func TestColors(t *testing.T) {
	tty, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // a character device too
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "xterm")
	if !newPrinter(tty, false).color || newPrinter(tty, true).color || newPrinter(newBuffer(), false).color {
		t.Error("colors are not for terminals alone")
	}
	var text strings.Builder
	p := &printer{w: &text, color: true}
	p.event(event{Conn: 1, Event: "connected"})
	if !strings.Contains(text.String(), "\x1b[32mconnected\x1b[0m") {
		t.Errorf("%q", text.String())
	}
	for name, value := range map[string]string{"NO_COLOR": "1", "TERM": "dumb"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, value)
			if newPrinter(tty, false).color {
				t.Error(fmt.Sprint("colors with ", name, "=", value))
			}
		})
	}
}

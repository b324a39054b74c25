package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/webwire-go/webwire/internal/check/port"
)

// The help texts fit a terminal and are what the golden file says.
func TestHelp(t *testing.T) {
	text := must(t, "help")
	for _, c := range commands {
		text += "\n--- webwire help " + c.name + "\n" + must(t, "help", c.name)
		if again := must(t, c.name, "-help"); again != must(t, "help", c.name) {
			t.Errorf("webwire %s -help: %s", c.name, again)
		}
	}
	for _, line := range strings.Split(text, "\n") {
		if len([]rune(strings.ReplaceAll(line, "\t", "    "))) > 80 {
			t.Errorf("longer than 80 characters: %s", line)
		}
	}
	golden(t, "help.txt", text)
}

// Mistakes are explained, and the exit code is 2.
func TestMistakes(t *testing.T) {
	var text strings.Builder
	for _, args := range [][]string{
		{},
		{"dance"},
		{"help", "dance"},
		{"serve", "surplus"},
		{"serve", "-version", "9.9"},
		{"serve", "-cert", "only.pem"},
		{"serve", "-addr", "wss://localhost:0"},
		{"serve", "-addr", "localhost"},
		{"serve", "-origin", "no-origin"},
		{"request"},
		{"request", "ws://localhost:1"},
		{"request", "ws://localhost:1", "name", "payload", "surplus"},
		{"request", "ftp://localhost:1", "name"},
		{"version", "surplus"},
		{"request", "ws://", "name"},
		{"request", "tcp://localhost", "name"},
		{"request", "unix:", "name"},
		{"request", "ws://%zz", "name"},
		{"request", "-H", "no colon", "ws://localhost:1", "name"},
		{"request", "-H", "A: b", "tcp://localhost:1", "name"},
		{"request", "-timeout", "0s", "ws://localhost:1", "name"},
		{"request", "-timeout", "soon", "ws://localhost:1", "name"},
		{"request", "-version", "9.9", "ws://localhost:1", "name"},
		{"signal", "ws://localhost:1"},
		{"listen"},
		{"bench", "-c", "0", "ws://localhost:1"},
		{"bench", "-open", "-1", "ws://localhost:1"},
		{"decode"},
		{"decode", "7"},
		{"decode", "xyz"},
		{"decode", " "},
		{"decode", "-version", "0.1", "00"},
		{"conform"},
		{"conform", "unix:/tmp/socket"},
		{"conform", "-silent", "tcp://localhost:1"},
	} {
		r := webwire(t, "", args...)
		fmt.Fprintf(&text, "$ webwire %s\n%s", strings.Join(args, " "), r.stderr)
		if r.code != exitUsage || r.stdout != "" {
			t.Errorf("webwire %v: exit code %d\n%s", args, r.code, r.stdout)
		}
	}
	golden(t, "mistakes.txt", text.String())
}

// Whatever a command wants of a server that cannot be reached, the exit code is 3, at once.
func TestUnreachable(t *testing.T) {
	addr := port.Reserve(t)
	for _, url := range []string{
		"ws://" + addr, "wss://" + addr, "tcp://" + addr, "tls://" + addr, "unix:" + filepath.Join(t.TempDir(), "none"),
	} {
		for _, args := range [][]string{
			{"request", url, "name"}, {"signal", url, "name", "x"}, {"listen", url}, {"bench", url}, {"conform", url},
		} {
			if args[0] == "conform" && strings.HasPrefix(url, "unix:") {
				continue
			}
			r := webwire(t, "", args...)
			if r.code != exitUnreachable || !strings.HasPrefix(r.stderr, "webwire: cannot connect: ") {
				t.Errorf("webwire %v: exit code %d\n%s%s", args, r.code, r.stdout, r.stderr)
			}
		}
	}
}

// A server that speaks none of the versions is as good as none.
func TestOtherVersion(t *testing.T) {
	url, _ := startServer(t, "-subprotocol", "chat/2")
	for _, args := range [][]string{
		{"request", "-version", "2.0", url, "name"},
		{"listen", "-subprotocol", "chat/1", "-version", "2.0", url},
	} {
		if r := webwire(t, "", args...); r.code != exitUnreachable || !strings.Contains(r.stderr, "chat/2") {
			t.Errorf("webwire %v: exit code %d\n%s%s", args, r.code, r.stdout, r.stderr)
		}
	}
	must(t, "request", "-subprotocol", "chat/2", url, "name")
	must(t, "request", "-version", "1.4", url, "name")
}

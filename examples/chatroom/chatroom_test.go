package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/webwire-go/webwire/examples/chatroom/chat"
	"github.com/webwire-go/webwire/internal/check/port"
)

// deadline is how long anything may take.
const deadline = 30 * time.Second

// running is a server of a test.
type running struct {
	t     *testing.T
	addr  string
	stop  context.CancelFunc
	done  chan error
	ended bool
}

func start(t *testing.T, addr, data string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	r := &running{t: t, stop: stop, done: make(chan error, 1)}
	listening := make(chan string, 1)
	go func() { r.done <- serve(ctx, addr, data, t.Output(), listening) }()
	select {
	case r.addr = <-listening:
	case err := <-r.done:
		t.Fatal(err)
	}
	t.Cleanup(r.shutDown)
	return r
}

// shutDown ends the server as ctrl-C does.
func (r *running) shutDown() {
	r.t.Helper()
	if r.ended {
		return
	}
	r.ended = true
	r.stop()
	select {
	case err := <-r.done:
		if err != nil {
			r.t.Error(err)
		}
	case <-time.After(deadline):
		r.t.Fatal("the server does not shut down")
	}
}

// guest is somebody at a terminal.
type guest struct {
	t     *testing.T
	keys  io.WriteCloser
	lines chan string
	done  chan error
}

func enter(t *testing.T, addr, name, file string) *guest {
	t.Helper()
	in, keys := io.Pipe()
	screen, out := io.Pipe()
	g := &guest{t: t, keys: keys, lines: make(chan string, 1000), done: make(chan error, 1)}
	go func() {
		err := run(t.Context(), []string{"client", "-addr", addr, "-name", name, "-session", file}, in, out)
		out.Close()
		g.done <- err
	}()
	go func() {
		var line []byte
		for one := make([]byte, 1); ; {
			if _, err := screen.Read(one); err != nil {
				close(g.lines)
				return
			}
			if line = append(line, one[0]); one[0] == '\n' {
				t.Logf("%s sees %s", name, line[:len(line)-1])
				g.lines <- string(line)
				line = nil
			}
		}
	}()
	return g
}

func (g *guest) types(line string) {
	g.t.Helper()
	if _, err := io.WriteString(g.keys, line+"\n"); err != nil {
		g.t.Fatal(err)
	}
}

// sees waits until the terminal shows the text.
func (g *guest) sees(text string) {
	g.t.Helper()
	g.next(text)
}

// next returns the next line with the text.
func (g *guest) next(text string) string {
	g.t.Helper()
	late := time.After(deadline)
	for {
		select {
		case line, ok := <-g.lines:
			if strings.Contains(line, text) {
				return line
			}
			if !ok {
				g.t.Fatalf("the terminal was closed without %q: %v", text, <-g.done)
			}
		case <-late:
			g.t.Fatalf("the terminal does not show %q", text)
		}
	}
}

func (g *guest) ends() {
	g.t.Helper()
	select {
	case err := <-g.done:
		if err != nil {
			g.t.Error(err)
		}
	case <-time.After(deadline):
		g.t.Fatal("the client does not end")
	}
}

func TestTerminals(t *testing.T) {
	data, keys := filepath.Join(t.TempDir(), "made", "by", "the server"), t.TempDir()
	house := start(t, port.Reserve(t), data)
	ada := enter(t, house.addr, "Ada", filepath.Join(keys, "ada"))
	ada.sees("You are Ada")
	bob := enter(t, house.addr, "Bob", filepath.Join(keys, "bob"))
	bob.sees("You are Bob")
	ada.sees("Bob joined")

	ada.types("hello from a terminal")
	bob.sees("Ada: hello from a terminal")
	bob.types("/who")
	bob.sees("In lobby: Ada, Bob")
	bob.types("/rooms")
	bob.sees("lobby                    2 here")
	bob.types("/nonsense")
	bob.sees("There is no /nonsense")
	bob.types("/join no such name")
	bob.sees("Not done: the name of a room")

	ada.types("/join #Tea")
	ada.sees("You are in Tea")
	bob.sees("Ada left")
	bob.types("/join tea")
	bob.sees("You are in Tea")
	ada.sees("Bob joined")
	bob.types("/join TEA") // where Bob is
	bob.sees("You are in Tea")
	ada.types("//slash")
	bob.sees("Ada: /slash")

	// What is typed while the server is away is sent when it is back.
	house.shutDown()
	ada.sees("Connection lost")
	ada.types("typed while the server was away")
	house = start(t, house.addr, data)
	bob.sees("Ada: typed while the server was away")

	ada.types("/quit")
	ada.ends()
	bob.sees("Ada left")
	ada = enter(t, house.addr, "Ada", filepath.Join(keys, "another machine's ada"))
	ada.sees("You are Ada") // the name was free
	bob.keys.Close()
	bob.ends()

	eve := enter(t, house.addr, "bob", filepath.Join(keys, "eve"))
	if err := <-eve.done; err == nil || !strings.Contains(err.Error(), "NAME_TAKEN") {
		t.Errorf("Bob's name is to be had: %v", err)
	}
	bob = enter(t, house.addr, "Bob", filepath.Join(keys, "bob"))
	bob.sees("You are Bob")
	house.shutDown()
}

// Whatever the server does not take, what is typed next is said.
func TestTerminalTooLong(t *testing.T) {
	house, keys := start(t, port.Reserve(t), t.TempDir()), t.TempDir()
	ada := enter(t, house.addr, "Ada", filepath.Join(keys, "ada"))
	ada.sees("You are Ada")
	bob := enter(t, house.addr, "Bob", filepath.Join(keys, "bob"))
	bob.sees("You are Bob")
	for _, size := range []int{2001, 33 << 10, 70 << 10} {
		ada.types(strings.Repeat("x", size))
		ada.sees("Not done: ")
		ada.types("/join " + strings.Repeat("x", size))
		ada.sees("Not done: ")
		next := fmt.Sprint("after a line of ", size)
		ada.types(next)
		bob.sees("Ada: " + next)
	}
	ada.types("/quit")
	ada.ends()
}

// However much was said meanwhile, and kept, it is shown after connecting again.
func TestTerminalMissed(t *testing.T) {
	data := t.TempDir()
	house := start(t, port.Reserve(t), data)
	ada := enter(t, house.addr, "Ada", filepath.Join(t.TempDir(), "ada"))
	ada.sees("You are Ada")
	ada.types("before")
	ada.types("/who") // answered after that is said
	ada.sees("In lobby: Ada")

	for _, test := range []struct{ from, to, kept int }{{2, 251, 2}, {252, 2351, 352}} {
		house.shutDown()
		ada.sees("Connection lost")
		write(t, filepath.Join(data, "rooms", "lobby.jsonl"), test.from, test.to)
		house = start(t, house.addr, data)
		if lost := test.kept - test.from; lost > 0 {
			ada.sees(fmt.Sprintf("no longer has %d messages before these", lost))
		}
		for i := test.kept; i <= test.to; i++ {
			if line := ada.next("Grace: "); !strings.Contains(line, fmt.Sprintf("message %d.", i)) {
				t.Fatalf("instead of message %d: %s", i, line)
			}
		}
	}
}

// A room full of long messages is entered like any other, and nothing of what was
// missed is lost.
func TestTerminalLongMessages(t *testing.T) {
	data := t.TempDir()
	lobby := filepath.Join(data, "rooms", "lobby.jsonl")
	if err := os.Mkdir(filepath.Dir(lobby), 0o700); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("ü", 1980)
	write(t, lobby, 1, 300, long)
	house := start(t, port.Reserve(t), data)
	ada := enter(t, house.addr, "Ada", filepath.Join(t.TempDir(), "ada"))
	ada.sees("message 300.")
	ada.sees("You are Ada")
	house.shutDown()
	ada.sees("Connection lost")
	write(t, lobby, 301, 340, long)
	start(t, house.addr, data)
	for i := 301; i <= 340; i++ {
		if line := ada.next("Grace: "); !strings.Contains(line, fmt.Sprintf("message %d.", i)) {
			t.Fatalf("instead of message %d: %.60s", i, line)
		}
	}
}

// write adds messages with these numbers to a history.
func write(t *testing.T, file string, from, to int, more ...string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i := from; i <= to; i++ {
		m := chat.Message{Room: "lobby", Seq: uint64(i), ID: fmt.Sprint("message-", i), Name: "Grace", Text: fmt.Sprintf("message %d.", i) + strings.Join(more, ""), Time: time.Now()}
		if err := json.NewEncoder(f).Encode(m); err != nil {
			t.Fatal(err)
		}
	}
}

// A refused /join changes nothing: neither what is shown next, nor what is missed.
func TestTerminalRefusedJoin(t *testing.T) {
	data, keys := t.TempDir(), t.TempDir()
	house := start(t, port.Reserve(t), data)
	ada := enter(t, house.addr, "Ada", filepath.Join(keys, "ada"))
	ada.sees("You are Ada")
	bob := enter(t, house.addr, "Bob", filepath.Join(keys, "bob"))
	bob.sees("You are Bob")
	bob.types("said before")
	ada.sees("Bob: said before")
	ada.types("/join No Such Room")
	ada.sees("Not done")
	house.shutDown()
	ada.sees("Connection lost")
	start(t, house.addr, data)
	ada.sees("Connected again")
	bob.types("said after")
	if line := ada.next("Bob: "); !strings.Contains(line, "said after") {
		t.Errorf("shown once more: %s", line)
	}
}

// The server tidies up names. Who has such a name keeps the session all the same.
func TestTerminalTidyName(t *testing.T) {
	data, keys := t.TempDir(), t.TempDir()
	house := start(t, port.Reserve(t), data)
	file := filepath.Join(keys, "eli")
	eli := enter(t, house.addr, "Eli  Z", file)
	eli.sees("You are Eli Z,")
	ada := enter(t, house.addr, "Ada", filepath.Join(keys, "ada"))
	ada.sees("You are Ada")
	key, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	house.shutDown()
	ada.sees("Connection lost")
	eli.sees("Connection lost")
	start(t, house.addr, data)
	eli.sees("Connected again")
	eli.types("I am back")
	ada.sees("Eli Z: I am back")
	if now, err := os.ReadFile(file); err != nil || string(now) != string(key) {
		t.Errorf("Eli has another session now: %v", err)
	}
}

func TestPage(t *testing.T) {
	house := start(t, port.Reserve(t), t.TempDir())
	for path, kind := range map[string]string{
		"/":                  "text/html",
		"/style.css":         "text/css",
		"/app.js":            "javascript",
		"/icon.svg":          "image/svg+xml",
		"/webwire/index.js":  "javascript",
		"/webwire/client.js": "javascript",
	} {
		resp, err := http.Get("http://" + house.addr + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || len(body) == 0 {
			t.Errorf("GET %s: %s, %d bytes, %v", path, resp.Status, len(body), err)
		}
		if got := resp.Header.Get("Content-Type"); !strings.Contains(got, kind) {
			t.Errorf("GET %s: Content-Type %s, want %s", path, got, kind)
		}
		if !strings.Contains(resp.Header.Get("Content-Security-Policy"), "script-src 'self'") {
			t.Errorf("GET %s: scripts of anybody may run", path)
		}
		if strings.Contains(kind, "html") && (bytes.Contains(body, []byte(" style=")) || bytes.Contains(body, []byte("<script>"))) {
			t.Errorf("GET %s: what is inline is blocked", path)
		}
	}
	// Pages of others must not speak for their visitors.
	req, _ := http.NewRequest(http.MethodGet, "http://"+house.addr+"/ws", nil)
	for key, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Origin": "http://elsewhere.example",
		"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
	} {
		req.Header.Set(key, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("another page connects: %s", resp.Status)
	}
}

func TestPortInUse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	data := filepath.Join(t.TempDir(), "data")
	err = run(t.Context(), []string{"server", "-addr", ln.Addr().String(), "-data", data}, nil, t.Output())
	if err == nil || !strings.Contains(err.Error(), "in use by another program") {
		t.Errorf("the port is in use: %v", err)
	}
}

func TestArguments(t *testing.T) {
	for _, args := range []string{"nonsense", "server extra", "client extra", "server -nonsense", "client -name="} {
		if err := run(t.Context(), strings.Fields(args), nil, io.Discard); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
	for addr, want := range map[string]string{
		"localhost:8080": "ws://localhost:8080/ws", ":80": "ws://localhost:80/ws", "wss://host/ws": "wss://host/ws",
	} {
		if got := endpoint(addr); got != want {
			t.Errorf("endpoint(%q) = %q, want %q", addr, got, want)
		}
	}
}

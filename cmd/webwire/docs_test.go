package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/webwire-go/webwire/internal/check/interop"
	"github.com/webwire-go/webwire/internal/check/port"
	"github.com/webwire-go/webwire/protocol"
)

// transcript is a command of a page and what it prints.
type transcript struct {
	command string
	output  string
	got     func() string // what it printed, once all have run
}

func (s *transcript) background() bool {
	return strings.HasPrefix(s.command, "webwire serve") || strings.HasPrefix(s.command, "webwire listen")
}

// The transcripts of docs/command.md are what the commands print. Commands that run until
// they are interrupted do so beside those that follow.
func TestDocumentation(t *testing.T) {
	t.Parallel() // it waits most of the time
	page := filepath.Join("..", "..", "docs", "command.md")
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	texts, scripts := readTranscripts(string(data))
	if len(scripts) < 10 {
		t.Fatalf("%d commands in %s", len(scripts), page)
	}
	s := newShell(t)
	for _, script := range scripts {
		s.run(t, script)
	}
	s.stop(t)
	for _, script := range scripts {
		got := s.normal(script.got())
		if !*update && comparable(script, got) != comparable(script, script.output) {
			t.Errorf("$ %s prints\n%s\nbut %s says\n%s", script.command, got, page, script.output)
		}
		script.output = got
	}
	if *update {
		if err := os.WriteFile(page, []byte(writeTranscripts(texts, scripts)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// readTranscripts returns the commands of a page, and the texts before each of them and
// after the last.
func readTranscripts(page string) (texts []string, scripts []*transcript) {
	var text strings.Builder
	inside := false
	for line := range strings.Lines(page) {
		switch command, ok := strings.CutPrefix(line, "$ "); {
		case line == "```console\n":
			inside = true
		case line == "```\n":
			inside = false
		case inside && ok:
			texts = append(texts, text.String())
			text.Reset()
			scripts = append(scripts, &transcript{command: strings.TrimSpace(command)})
			continue
		case inside:
			scripts[len(scripts)-1].output += line
			continue
		}
		text.WriteString(line)
	}
	return append(texts, text.String()), scripts
}

func writeTranscripts(texts []string, scripts []*transcript) string {
	var page strings.Builder
	for i, s := range scripts {
		page.WriteString(texts[i] + "$ " + s.command + "\n" + s.output)
	}
	return page.String() + texts[len(scripts)]
}

// comparable is what does not differ between runs: lines of a server without their order,
// benchmarks without numbers.
func comparable(s *transcript, text string) string {
	lines := strings.Split(text, "\n")
	switch {
	case s.background():
		slices.Sort(lines)
	case strings.HasPrefix(s.command, "webwire bench"):
		lines = slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, "  <") })
		text = regexp.MustCompile(`[\d.,]+ ?(µs|ms|s\b)?`).ReplaceAllString(strings.Join(lines, "\n"), "N")
		return regexp.MustCompile(` +`).ReplaceAllString(text, " ")
	}
	return strings.Join(lines, "\n")
}

// shell runs the commands of a page in an empty directory.
type shell struct {
	dir    string
	addrs  map[string]string // of the page, and where they are really
	server *buffer           // what the first server prints
	cmds   []*exec.Cmd
}

func newShell(t *testing.T) *shell {
	t.Helper()
	s := &shell{dir: t.TempDir(), addrs: map[string]string{}}
	bin := filepath.Join(s.dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(bin, "webwire")); err != nil {
		t.Fatal(err)
	}
	contract := contractServer(t, interop.WebSocket{}, protocol.V1_2)
	for _, p := range []string{"8080", "8081", "8082", "8083"} {
		s.addrs[p] = port.Reserve(t)
	}
	s.addrs["9000"] = strings.TrimPrefix(contract, "ws://")
	return s
}

func (s *shell) command(t *testing.T, line string) *exec.Cmd {
	for port, addr := range s.addrs {
		line = strings.ReplaceAll(line, "localhost:"+port, addr)
	}
	line = strings.ReplaceAll(line, "localhost:1 ", "127.0.0.1:1 ")
	cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), asCommand+"=1", "PATH="+filepath.Join(s.dir, "bin")+":"+os.Getenv("PATH"))
	return cmd
}

func (s *shell) run(t *testing.T, script *transcript) {
	t.Helper()
	if !script.background() {
		out, _ := s.command(t, script.command).CombinedOutput() // its exit code is printed where it matters
		script.got = func() string { return string(out) }
		return
	}
	out := newBuffer()
	line := "exec " + script.command
	if script.command == "webwire serve" {
		line += " -addr localhost:8080" // which is the default
	}
	cmd := s.command(t, line)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.cmds = append(s.cmds, cmd)
	script.got = func() string { text, _ := out.read(); return text }
	if strings.HasPrefix(script.command, "webwire serve") {
		out.await(t, "listening")
		if s.server == nil {
			s.server = out
		}
		return
	}
	out.await(t, "connected")
	s.server.await(t, "#1 connected")
}

// stop interrupts what still runs: the last first, clients before servers.
func (s *shell) stop(t *testing.T) {
	t.Helper()
	for _, cmd := range slices.Backward(s.cmds) {
		late := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
		_ = cmd.Process.Signal(syscall.SIGINT)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v", cmd.Args, err)
		}
		late.Stop()
	}
}

// normal gives what differs between runs the values of the page.
func (s *shell) normal(text string) string {
	for port, addr := range s.addrs {
		text = strings.ReplaceAll(text, addr, "127.0.0.1:"+port)
	}
	clients := 0
	text = regexp.MustCompile(`from 127\.0\.0\.1:\d+`).ReplaceAllStringFunc(text, func(string) string {
		clients++
		return fmt.Sprintf("from 127.0.0.1:%d", 50000+clients)
	})
	for _, r := range replacements {
		if !strings.Contains(r.by, "localhost") {
			text = r.re.ReplaceAllString(text, r.by)
		}
	}
	return text
}

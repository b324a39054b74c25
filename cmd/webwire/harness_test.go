package main

import (
	"bytes"
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files")

// patience is a timeout within which a connection is made, on a busy machine too.
const patience = "3s"

// asCommand makes the test binary the command, for tests with real processes.
const asCommand = "WEBWIRE_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Exit(m.Run())
}

// ran is what a run of the command did.
type ran struct {
	stdout, stderr string
	code           int
}

// webwire runs the command in this process.
func webwire(t *testing.T, stdin string, args ...string) ran {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stdout, stderr := newBuffer(), newBuffer() // hooks of a client may still print when it is closed
	p := &program{strings.NewReader(stdin), stdout, stderr}
	code := p.run(ctx, args)
	out, _ := stdout.read()
	errs, _ := stderr.read()
	return ran{out, errs, code}
}

// must runs the command and returns what it printed.
func must(t *testing.T, args ...string) string {
	t.Helper()
	r := webwire(t, "", args...)
	if r.code != 0 {
		t.Fatalf("webwire %s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu      sync.Mutex
	b       bytes.Buffer
	changed chan struct{} // closed by the next Write
}

func newBuffer() *buffer { return &buffer{changed: make(chan struct{})} }

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.changed)
	b.changed = make(chan struct{})
	return b.b.Write(p)
}

func (b *buffer) read() (text string, changed <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String(), b.changed
}

// await waits until the text matches the pattern, and returns the first group.
func (b *buffer) await(t *testing.T, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	late := time.After(time.Minute)
	for {
		text, changed := b.read()
		if m := re.FindStringSubmatch(text); m != nil {
			return m[len(m)-1]
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("%s is not in\n%s", pattern, text)
		}
	}
}

// background is a run of the command that goes on until it is interrupted.
type background struct {
	out       *buffer
	interrupt func() ran
	wait      func() ran // until it ends by itself
}

// start runs the command in this process until the test ends or interrupts it.
func start(t *testing.T, args ...string) *background {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	b := &background{out: newBuffer()}
	var stderr bytes.Buffer
	ended := make(chan ran, 1)
	go func() {
		code := (&program{strings.NewReader(""), b.out, &stderr}).run(ctx, args)
		stdout, _ := b.out.read()
		ended <- ran{stdout, stderr.String(), code}
	}()
	b.wait = sync.OnceValue(func() ran { return <-ended })
	b.interrupt = func() ran { cancel(); return b.wait() }
	t.Cleanup(func() { b.interrupt() })
	return b
}

// startServer runs webwire serve and returns its URL.
func startServer(t *testing.T, args ...string) (url string, b *background) {
	t.Helper()
	b = start(t, append([]string{"serve", "-addr", "127.0.0.1:0"}, args...)...)
	return b.out.await(t, `listening.*at (\S+?)"?[},\n]`), b
}

// process starts the command as a process of its own.
func process(t *testing.T, args ...string) (*exec.Cmd, *buffer) {
	t.Helper()
	out := newBuffer()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

// interrupted sends a process the signal of Ctrl-C and returns its exit code.
func interrupted(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	return cmd.ProcessState.ExitCode()
}

// normal replaces what differs between runs: times, ports and the fingerprints of keys.
func normal(text string) string {
	for _, r := range replacements {
		text = r.re.ReplaceAllString(text, r.by)
	}
	return text
}

var replacements = []struct {
	re *regexp.Regexp
	by string
}{
	{regexp.MustCompile(`\d\d:\d\d:\d\d\.\d{3}`), "12:00:00.000"},
	{regexp.MustCompile(`"time":"[^"]*"`), `"time":"2026-01-01T12:00:00Z"`},
	{regexp.MustCompile(`"ms":[0-9.]+`), `"ms":1`},
	{regexp.MustCompile(`\b\d{9,}-(\d+)\b`), "8546833592877463-$1"},
	{regexp.MustCompile(`(127\.0\.0\.1|localhost):\d+`), "localhost:8080"},
	{regexp.MustCompile(`(session (?:created|restored|closed) |"session":")[0-9a-f]{16}`), "${1}c626c38add4ed474"},
}

// golden compares text with a file of testdata.
func golden(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	text = normal(text)
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("%s differs; go test -update writes it. Got\n%s\nwant\n%s", file, text, want)
	}
}

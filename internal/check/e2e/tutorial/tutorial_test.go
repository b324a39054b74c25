package tutorial_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/webwire-go/webwire/internal/check/port"
)

// step is a block of the tutorial with the line before it:
//
//	`PATH`:                the block is the content of the file
//	<!-- shell -->         run the commands of the block
//	<!-- server: DIR -->   start the program in DIR, which the next block does, and end the one before
//	<!-- run: DIR -->      run the program in DIR; the next block is what it prints
type step struct {
	what, path string
	text       string
	line       int
}

var (
	marker   = regexp.MustCompile(`^<!-- (server|run): (\S+) -->$`)
	fileName = regexp.MustCompile("^`(\\S+\\.go)`:$")
)

// steps reads the tutorial.
func steps(t *testing.T, text string) (all []step) {
	t.Helper()
	lines := strings.Split(text, "\n")
	block := func(from int, fence string) (string, int) {
		for from < len(lines) && lines[from] == "" {
			from++
		}
		if from >= len(lines) || lines[from] != fence {
			t.Fatalf("line %d is no %s", from+1, fence)
		}
		for to := from + 1; to < len(lines); to++ {
			if lines[to] == "```" {
				return strings.Join(lines[from+1:to], "\n") + "\n", to + 1
			}
		}
		t.Fatalf("the block at line %d does not end", from+1)
		return "", 0
	}
	for i := 0; i < len(lines); i++ {
		s := step{line: i + 1}
		if m := fileName.FindStringSubmatch(lines[i]); m != nil {
			s.what, s.path = "file", m[1]
		} else if m := marker.FindStringSubmatch(lines[i]); m != nil {
			s.what, s.path = m[1], m[2]
		} else if lines[i] == "<!-- shell -->" {
			s.what = "shell"
		} else {
			continue
		}
		switch s.what {
		case "file":
			s.text, _ = block(i+1, "```go")
		case "shell":
			s.text, _ = block(i+1, "```sh")
		case "server", "run":
			command, next := block(i+1, "```sh")
			if !strings.Contains(command, " ./"+s.path) {
				t.Errorf("line %d: %q does not run %s", i+1, command, s.path)
			}
			if s.what == "run" {
				s.text, _ = block(next, "```text")
			}
		}
		all = append(all, s)
	}
	return all
}

// Whoever does what docs/tutorial.md says, in its order, gets what it says.
func TestTutorial(t *testing.T) {
	if testing.Short() {
		t.Skip("builds nine programs")
	}
	if runtime.GOOS == "windows" {
		t.Skip("needs signals")
	}
	w := newWorkshop(t)
	ran := 0
	for _, s := range steps(t, w.document("tutorial.md")) {
		switch s.what {
		case "file":
			w.write(s.path, s.text)
		case "shell":
			w.shell(s.text)
		case "server":
			w.serve(s.path)
		case "run":
			if got := w.run(s.path); got != s.text {
				t.Errorf("docs/tutorial.md:%d: %s prints\n%s\nand not\n%s", s.line, s.path, got, s.text)
			}
			ran++
		}
	}
	w.stop()
	if ran < 5 {
		t.Errorf("only %d programs ran", ran)
	}
}

// The tests of docs/testing.md pass.
func TestTesting(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a test")
	}
	w := newWorkshop(t)
	all := steps(t, w.document("testing.md"))
	if len(all) != 1 {
		t.Fatalf("%d files, want one", len(all))
	}
	w.write(all[0].path, all[0].text)
	w.shell(w.commands("tidy"))
	if out := w.shell("go test -v -timeout 60s ./..."); !strings.Contains(out, "--- PASS: TestSlowHandler") {
		t.Error(out)
	}
}

// The commands of docs/install.md make a module in which the first program builds.
func TestInstall(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program")
	}
	w := newWorkshop(t)
	w.write("main.go", steps(t, w.document("tutorial.md"))[0].text)
	w.shell(w.commands("tidy"))
	w.shell("go build -o program .")
}

// The JavaScript client can be packed as docs/install.md says. npm ci, the command before that, is
// left out here: it needs a registry, and the tests of client/js begin with it.
func TestPack(t *testing.T) {
	w := newWorkshop(t)
	if _, err := os.Stat(filepath.Join(w.root, "client", "js", "node_modules", "esbuild")); err != nil {
		t.Skip("npm ci has not been called in client/js")
	}
	ci, pack, _ := strings.Cut(w.commands("pack"), "\n")
	if ci != "npm --prefix ../webwire/client/js ci" {
		t.Errorf("docs/install.md does not begin with npm ci: %s", ci)
	}
	w.shell(pack)
	if packed, err := filepath.Glob(filepath.Join(w.dir, "webwire-*.tgz")); err != nil || len(packed) != 1 {
		t.Errorf("npm pack has made %q, %v", packed, err)
	}
}

// workshop is the directory that the reader works in: a module as docs/install.md makes it,
// beside a clone of the repository.
type workshop struct {
	t       *testing.T
	root    string // of the repository
	dir     string
	address string
	server  *exec.Cmd
	path    string // of the server's program
	log     bytes.Buffer
}

func newWorkshop(t *testing.T) *workshop {
	t.Helper()
	root, err := filepath.Abs("../../../..")
	if err != nil {
		t.Fatal(err)
	}
	parent := t.TempDir()
	if err := os.Symlink(root, filepath.Join(parent, "webwire")); err != nil {
		if runtime.GOOS == "windows" {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	w := &workshop{t: t, root: root, dir: filepath.Join(parent, "app"), address: port.Reserve(t)}
	if err := os.Mkdir(w.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if w.server != nil {
			_ = w.server.Process.Kill()
			_ = w.server.Wait()
		}
	})
	w.shell(w.commands("install"))
	return w
}

// document returns a file of docs.
func (w *workshop) document(name string) string {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join(w.root, "docs", name))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

// commands returns the block of docs/install.md that has the mark.
func (w *workshop) commands(mark string) string {
	w.t.Helper()
	block := regexp.MustCompile("(?s)<!-- " + mark + " -->\n```sh\n(.*?)```").FindStringSubmatch(w.document("install.md"))
	if block == nil {
		w.t.Fatalf("docs/install.md has no commands %q", mark)
	}
	return block[1]
}

// shell runs commands, one a line, and returns what they print. A warning is a failure.
func (w *workshop) shell(commands string) string {
	w.t.Helper()
	var all strings.Builder
	for line := range strings.Lines(commands) {
		words := strings.Fields(line)
		cmd := exec.CommandContext(w.t.Context(), words[0], words[1:]...)
		cmd.Dir = w.dir
		cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
		out, err := cmd.CombinedOutput()
		if err != nil || bytes.Contains(out, []byte("warning:")) {
			w.t.Fatalf("%s: %v\n%s", strings.TrimSpace(line), err, out)
		}
		all.Write(out)
	}
	return all.String()
}

func (w *workshop) write(name, text string) {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// program builds the program in a directory, as go run does, and returns its path.
func (w *workshop) program(dir string) string {
	w.t.Helper()
	path := filepath.Join("..", "bin", strings.ReplaceAll(dir, "/", "-"))
	w.shell("go build -o " + path + " ./" + dir)
	return filepath.Join(w.dir, path)
}

// serve starts a server and waits until it listens.
func (w *workshop) serve(dir string) {
	w.t.Helper()
	w.stop()
	w.log.Reset()
	w.path = dir
	w.server = exec.Command(w.program(dir), "-listen", w.address)
	w.server.Dir = w.dir
	w.server.Stdout, w.server.Stderr = &w.log, &w.log
	if err := w.server.Start(); err != nil {
		w.t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; {
		conn, err := net.Dial("tcp", w.address)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%s does not listen: %v", dir, err)
		}
		time.Sleep(10 * time.Millisecond) // until another process listens
	}
}

// stop ends the server. The one of the last chapter ends in good order.
func (w *workshop) stop() {
	w.t.Helper()
	if w.server == nil {
		return
	}
	if err := w.server.Process.Signal(syscall.SIGTERM); err != nil {
		w.t.Error(err)
	}
	err := w.server.Wait()
	w.server = nil
	if w.path == "production/server" && (err != nil || !strings.Contains(w.log.String(), "shut down in good order")) {
		w.t.Errorf("the server of the last chapter ends with %v\n%s", err, w.log.String())
	}
}

// run runs a client and returns what it prints.
func (w *workshop) run(dir string) string {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), w.program(dir), "-url", fmt.Sprintf("ws://%s", w.address))
	cmd.Dir = w.dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		w.t.Errorf("%s: %v\n%s\nthe server: %s", dir, err, stderr.Bytes(), w.log.String())
	}
	return stdout.String()
}

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
		} else {
			continue
		}
		switch s.what {
		case "file":
			s.text, _ = block(i+1, "```go")
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

func TestTutorial(t *testing.T) {
	if testing.Short() {
		t.Skip("builds nine programs")
	}
	if runtime.GOOS == "windows" {
		t.Skip("needs signals")
	}
	root, err := filepath.Abs("../../../..")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "tutorial.md"))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorkshop(t, root)
	all := steps(t, string(text))
	programs := 0
	for _, s := range all {
		if s.what == "file" {
			w.write(s.path, s.text)
			programs++
		}
	}
	if programs == 0 {
		t.Fatal("the tutorial has no programs")
	}
	w.build()
	ran := 0
	for _, s := range all {
		switch s.what {
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
	root, err := filepath.Abs("../../../..")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "testing.md"))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorkshop(t, root)
	all := steps(t, string(text))
	if len(all) != 1 {
		t.Fatalf("%d files, want one", len(all))
	}
	w.write(all[0].path, all[0].text)
	cmd := exec.CommandContext(t.Context(), "go", "test", "-v", "-timeout", "60s", "./...")
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), environment...)
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestSlowHandler")) {
		t.Errorf("%v\n%s", err, out)
	}
}

// The commands of docs/install.md make a module in which the first program builds.
func TestInstall(t *testing.T) {
	if testing.Short() || runtime.GOOS == "windows" {
		t.Skip("builds a program, and needs a symbolic link")
	}
	root, err := filepath.Abs("../../../..")
	if err != nil {
		t.Fatal(err)
	}
	install, err := os.ReadFile(filepath.Join(root, "docs", "install.md"))
	if err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile("(?s)<!-- install -->\n```sh\n(.*?)```").FindSubmatch(install)
	if commands == nil {
		t.Fatal("docs/install.md has no commands")
	}
	tutorial, err := os.ReadFile(filepath.Join(root, "docs", "tutorial.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	app := filepath.Join(dir, "app")
	if err := os.Mkdir(app, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(root, filepath.Join(dir, "webwire")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(app, "main.go"), []byte(steps(t, string(tutorial))[0].text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-e", "-c", string(commands[1])+"go build -o program .\n")
	cmd.Dir = app
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// environment makes the go command take the workshop's go.mod as it is.
var environment = []string{"GOWORK=off", "GOFLAGS=-mod=mod"}

// workshop is the directory that the reader of the tutorial works in.
type workshop struct {
	t       *testing.T
	dir     string
	address string
	server  *exec.Cmd
	path    string // of the server's program
	log     bytes.Buffer
}

func newWorkshop(t *testing.T, root string) *workshop {
	t.Helper()
	w := &workshop{t: t, dir: t.TempDir(), address: port.Reserve(t)}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	// What go mod tidy would find.
	own := strings.Replace(string(mod), "module github.com/webwire-go/webwire\n", "module tutorial\n", 1)
	own += "\nrequire github.com/webwire-go/webwire v0.0.0\n\nreplace github.com/webwire-go/webwire => " + root + "\n"
	w.write("go.mod", own)
	w.write("go.sum", string(sum))
	t.Cleanup(func() {
		if w.server != nil {
			_ = w.server.Process.Kill()
			_ = w.server.Wait()
		}
	})
	return w
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

// build builds all programs into bin; the name of each is its path with dashes.
func (w *workshop) build() {
	w.t.Helper()
	mains, err := filepath.Glob(filepath.Join(w.dir, "*", "*", "main.go"))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, main := range mains {
		dir, err := filepath.Rel(w.dir, filepath.Dir(main))
		if err != nil {
			w.t.Fatal(err)
		}
		cmd := exec.CommandContext(w.t.Context(), "go", "build", "-o", w.program(dir), "./"+dir)
		cmd.Dir = w.dir
		cmd.Env = append(os.Environ(), environment...)
		if out, err := cmd.CombinedOutput(); err != nil {
			w.t.Fatalf("%s: %v\n%s", dir, err, out)
		}
	}
}

func (w *workshop) program(dir string) string {
	return filepath.Join(w.dir, "bin", strings.ReplaceAll(dir, "/", "-"))
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

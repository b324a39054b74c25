package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// echoed is what the client of examples/echo prints.
const echoed = `client: connected
client: reply  binary 00 01 02 fd fe ff
client: reply  utf8   Привет, мир 👋
client: reply  utf16  Привет, мир 👋
client: signal ping binary 00 01 02 fd fe ff
client: signal ping utf8 Привет, мир 👋
client: signal ping utf16 Привет, мир 👋
client: cancelled a request; its handler ended: webwire: the requester gave up
client: item   1
client: item   2
client: item   3
client: left the stream; its handler ended: webwire: the requester has enough items
client: the server asks for a name
client: reply  hello, echo
`

const repository = "../../.."

// command returns a command that does not outlive the test by much.
func command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = repository
	cmd.Stderr = os.Stderr
	return cmd
}

// The command that the README promises to work on a fresh machine.
func TestEchoExample(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the go command")
	}
	out, err := command(t, "go", "run", "./examples/echo").Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	address := regexp.MustCompile(`^server: listening at ws://127\.0\.0\.1:\d+\n`)
	rest := address.ReplaceAllString(string(out), "")
	if want := echoed + "server: shut down\n"; rest != want || !address.Match(out) {
		t.Errorf("got\n%swant a line with the address and\n%s", out, want)
	}
}

// Its halves are programs of their own, and the server ends in good order.
func TestEchoProcesses(t *testing.T) {
	switch {
	case testing.Short():
		t.Skip("runs the go command")
	case runtime.GOOS == "windows":
		t.Skip("no signals")
	}
	program := filepath.Join(t.TempDir(), "echo")
	if out, err := command(t, "go", "build", "-o", program, "./examples/echo").Output(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, stop := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		t.Run(stop.String(), func(t *testing.T) {
			srv := command(t, program, "server")
			pipe, err := srv.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := srv.Start(); err != nil {
				t.Fatal(err)
			}
			out := bufio.NewReader(pipe)
			line, err := out.ReadString('\n')
			addr, found := strings.CutPrefix(strings.TrimSpace(line), "server: listening at ws://")
			if err != nil || !found {
				t.Fatalf("server says %q, %v", line, err)
			}
			for range 2 {
				got, err := command(t, program, "client", "-addr", addr).Output()
				if err != nil || !bytes.Equal(got, []byte(echoed)) {
					t.Errorf("%v, got\n%swant\n%s", err, got, echoed)
				}
			}
			if err := srv.Process.Signal(stop); err != nil {
				t.Fatal(err)
			}
			rest, err := io.ReadAll(out)
			if err != nil || string(rest) != "server: shut down\n" {
				t.Errorf("server says %q, %v", rest, err)
			}
			if err := srv.Wait(); err != nil {
				t.Errorf("server: %v", err)
			}
		})
	}
}

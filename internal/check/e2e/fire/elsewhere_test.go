package fire_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// part is set in another process that runs a test, to what the test does there.
const part = "WEBWIRE_FIRE_PART"

// elsewhere is another process of this program, which does a part of a test.
type elsewhere struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Scanner
}

// runElsewhere starts the calling test in another process, which finds task in part. The
// caller ends it. If last is true, it gets a processor only while nothing else wants it.
func runElsewhere(t *testing.T, task string, last bool) *elsewhere {
	t.Helper()
	args := []string{os.Args[0], "-test.run=^" + t.Name() + "$"}
	if nice, err := exec.LookPath("nice"); err == nil && last {
		args = append([]string{nice, "-n", "19"}, args...)
	}
	o := &elsewhere{t: t, cmd: exec.Command(args[0], args[1:]...)}
	o.cmd.Env = append(os.Environ(), part+"="+task)
	var err error
	if o.stdin, err = o.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := o.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	o.lines = bufio.NewScanner(stdout)
	if err := o.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return o
}

// await returns what follows word in the first line that begins with it.
func (o *elsewhere) await(word string) string {
	o.t.Helper()
	for o.lines.Scan() {
		if rest, ok := strings.CutPrefix(o.lines.Text(), word); ok {
			return rest
		}
		o.t.Log(o.lines.Text())
	}
	o.t.Fatalf("the other process ended before it said %q", word)
	return ""
}

// tell sends a line.
func (o *elsewhere) tell(line string) {
	o.t.Helper()
	if _, err := fmt.Fprintln(o.stdin, line); err != nil {
		o.t.Fatal(err)
	}
}

// end ends it, and waits until it has ended.
func (o *elsewhere) end() {
	o.t.Helper()
	o.stdin.Close()
	for o.lines.Scan() {
		o.t.Log(o.lines.Text())
	}
	if err := o.cmd.Wait(); err != nil {
		o.t.Errorf("the other process: %v", err)
	}
}

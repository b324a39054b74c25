package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// screen is where a command prints. Its reader may be slow.
type screen struct {
	*io.PipeReader
	done chan error
}

// play runs the command until ctx ends.
func play(ctx context.Context, args ...string) *screen {
	r, w := io.Pipe()
	s := &screen{r, make(chan error, 1)}
	go func() {
		err := run(ctx, args, w)
		w.CloseWithError(errors.Join(err, io.EOF))
		s.done <- err
	}()
	return s
}

func (s *screen) sees(t *testing.T, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(s, got); err != nil || string(got) != want {
		t.Fatalf("got %.200q, want %.200q: %v", got, want, err)
	}
}

// ends reads what is left, and waits for the end of the command.
func (s *screen) ends(t *testing.T) {
	t.Helper()
	go io.Copy(io.Discard, s)
	if err := <-s.done; err != nil {
		t.Error(err)
	}
}

func TestTail(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	say := func(text string) {
		t.Helper()
		if _, err := file.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	say("an old line\n" + strings.Repeat("x", begin-len("a line\n")-1) + "\na line\n")

	serving, stop := context.WithCancel(ctx)
	defer stop()
	srv := play(serving, "server", "-addr", "127.0.0.1:0", file.Name())
	line := make([]byte, 100)
	n, err := srv.Read(line)
	m := regexp.MustCompile(`^listening at ws://(\S+)\n$`).FindSubmatch(line[:n])
	if m == nil {
		t.Fatalf("%q, %v", line[:n], err)
	}
	addr := string(m[1])

	quick, leave := context.WithCancel(ctx)
	defer leave()
	ann := play(quick, "-addr", addr)
	srv.sees(t, "a client follows the file\n")
	ann.sees(t, strings.Repeat("x", begin-len("a line\n")-1)+"\na line\n")
	slow := play(ctx, "-addr", addr)
	srv.sees(t, "a client follows the file\n")
	slow.sees(t, "xxx")

	// Slow reads nothing of this before ann has read it all.
	var much strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&much, "line %d of many, which are more than the network holds\n", i)
	}
	say(much.String())
	ann.sees(t, much.String())
	slow.sees(t, strings.Repeat("x", begin-len("a line\n")-4)+"\na line\n"+much.String())

	leave() // as an interrupt does
	srv.sees(t, "a stream has ended: webwire: the requester gave up\n")
	ann.ends(t)

	say("more\n")
	slow.sees(t, "more\n")
	stop()
	srv.ends(t)
	go io.Copy(io.Discard, slow)
	if err := <-slow.done; err == nil || !strings.Contains(err.Error(), "shutting down") {
		t.Errorf("after the server's shutdown: %v", err)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range []string{"server", "server a b", "file", "-x"} {
		if err := run(t.Context(), strings.Fields(args), new(bytes.Buffer)); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
}

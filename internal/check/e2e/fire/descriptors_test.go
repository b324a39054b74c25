//go:build unix

package fire_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/internal/check/e2e/load"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/stream"
)

// inChild is set in the process that has few file descriptors.
const inChild = "WEBWIRE_FIRE_DESCRIPTORS"

// A process that runs out of file descriptors, at accept and at dial, goes on when it has
// some again, and does not fill its log meanwhile.
func TestFileDescriptors(t *testing.T) {
	if os.Getenv(inChild) != "" {
		exhaust(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestFileDescriptors$", "-test.v")
	cmd.Env = append(os.Environ(), inChild+"=1")
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "figure: ") {
			os.Stdout.WriteString(line)
		}
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func exhaust(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = 100
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	during := load.Either(5*time.Second, 1200*time.Millisecond)

	var log load.Journal
	ln, err := stream.Listen("tcp", "127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	srv := server.New(server.Options{Logger: slog.New(slog.NewTextHandler(&log, nil)), Hooks: server.Hooks{OnRequest: echo}})
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	dialer := stream.Dialer{Address: ln.Addr().String()}
	before := client.New(dialer, client.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), load.Patience)
	defer cancel()
	ask := func(c *client.Client) error {
		_, err := c.Request(ctx, "echo", protocol.Text("x"))
		return err
	}
	if err := ask(before); err != nil {
		t.Fatal(err)
	}

	// All descriptors but one are taken; the dial takes that, and there is none to accept with.
	var taken []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			if !errors.Is(err, syscall.EMFILE) {
				t.Fatal(err)
			}
			break
		}
		taken = append(taken, f)
	}
	last := len(taken) - 1
	taken[last].Close()
	waiting, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var clientLog load.Journal
	late := client.New(dialer, client.Options{Logger: slog.New(slog.NewTextHandler(&clientLog, nil)), MinBackoff: 100 * time.Millisecond, MaxBackoff: time.Second})
	answered := make(chan error, 1)
	go func() { answered <- ask(late) }()
	var usage, then syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage) // it cannot fail
	began := time.Now()
	for time.Since(began) < during {
		if err := ask(before); err != nil { // it has its descriptors
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &then) // it cannot fail
	lines, clientLines := log.Lines(), clientLog.Lines()
	for _, f := range taken[:last] {
		f.Close()
	}
	waiting.Close()
	released := time.Now()
	if err := <-answered; err != nil {
		t.Errorf("a client that could not dial: %v", err)
	}
	back := time.Since(released)
	fresh := client.New(dialer, client.Options{})
	if err := ask(fresh); err != nil {
		t.Errorf("a client that comes later: %v", err)
	}
	used := time.Duration(then.Utime.Nano() - usage.Utime.Nano() + then.Stime.Nano() - usage.Stime.Nano())
	load.Figure("no file descriptors", "one log line per second, recovers",
		"%d lines of the server and %d of the client in %v, %v of processor time, back after %v", lines, clientLines, during, used.Round(time.Millisecond), back.Round(time.Millisecond))
	if most := int(during/time.Second) + 2; lines == 0 || lines > most || clientLines > most {
		t.Errorf("%d and %d log lines in %v:\n%s%s", lines, clientLines, during, log.Text(), clientLog.Text())
	}
	for _, c := range []*client.Client{before, late, fresh} {
		_ = c.Close()
	}
	if err := srv.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	<-served
	runtime.KeepAlive(taken)
}

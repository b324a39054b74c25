package transporttest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/webwire-go/webwire/transport"
)

// slack is what the suite grants on top of every limit of time, so that it
// passes on a machine that is busy with something else.
const slack = 10 * time.Second

// patience is how long the suite waits for what should come at once.
const patience = 20 * time.Second

// within runs do, and fails the test unless it returns within limit and the slack.
func within(t *testing.T, limit time.Duration, what string, do func()) {
	t.Helper()
	// What is merely late shall be reported with its time; what hangs can only
	// be reported by a panic, which shows where.
	guard := time.AfterFunc(limit+2*patience, func() {
		panic(fmt.Sprintf("%s: %s hangs; the limit is %v", t.Name(), what, limit))
	})
	defer guard.Stop()
	start := time.Now()
	do()
	if took := time.Since(start); took > limit+slack {
		t.Errorf("%s took %v, the limit is %v", what, took, limit)
	}
}

// A result is what a Read in another goroutine returned.
type result struct {
	msg []byte
	err error
}

// reading starts one Read in another goroutine.
func reading(c transport.Conn) <-chan result {
	ch := make(chan result, 1)
	go func() {
		msg, err := c.Read(nil)
		ch <- result{msg, err}
	}()
	return ch
}

// draining reads until Read fails, in another goroutine, and sends the error.
func draining(c transport.Conn) <-chan error {
	ch := make(chan error, 1)
	go func() {
		var buf []byte
		for {
			msg, err := c.Read(buf)
			if err != nil {
				ch <- err
				return
			}
			buf = msg
		}
	}()
	return ch
}

// await receives from ch, patiently.
func await[T any](t *testing.T, what string, ch <-chan T) T {
	t.Helper()
	guard := time.NewTimer(patience)
	defer guard.Stop()
	select {
	case v := <-ch:
		return v
	case <-guard.C:
		t.Fatalf("%s: nothing within %v", what, patience)
		panic("unreachable")
	}
}

// send writes in another goroutine, because a transport need not store
// anything on the way, and fails the test if Write does.
func send(t *testing.T, c transport.Conn, msgs ...[]byte) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := c.Write(msgs...); err != nil {
			t.Errorf("Write: %v", err)
		}
	}()
	t.Cleanup(func() { <-done })
}

func wantMessage(t *testing.T, c transport.Conn, want []byte) {
	t.Helper()
	got, err := c.Read(nil)
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("Read %s, want %s", brief(got), brief(want))
	}
}

// wantClosed fails the test unless err says that the connection was closed so.
func wantClosed(t *testing.T, what string, err error, want transport.CloseError) {
	t.Helper()
	var got *transport.CloseError
	switch {
	case !errors.As(err, &got):
		t.Fatalf("%s: error %v, want a *transport.CloseError", what, err)
	case *got != want:
		t.Fatalf("%s: error %+v, want %+v", what, *got, want)
	case !errors.Is(err, net.ErrClosed):
		t.Fatalf("%s: error %v does not unwrap to net.ErrClosed", what, err)
	}
}

// wantLocal fails the test unless err says that this side ended the connection.
func wantLocal(t *testing.T, what string, err error) {
	t.Helper()
	var got *transport.CloseError
	if !errors.As(err, &got) || !got.Local || !errors.Is(err, net.ErrClosed) {
		t.Fatalf("%s: error %v, want a *transport.CloseError that is Local", what, err)
	}
}

// wantLost fails the test unless err says that the connection ended without a close.
func wantLost(t *testing.T, what string, err error) {
	t.Helper()
	var closed *transport.CloseError
	if err == nil || errors.As(err, &closed) || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%s: error %v, want that of a lost connection", what, err)
	}
}

func wantTimeout(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%s: error %v, want os.ErrDeadlineExceeded", what, err)
	}
}

// wantDead fails the test unless every use of the connection fails at once.
func wantDead(t *testing.T, c transport.Conn) {
	t.Helper()
	within(t, 0, "use of a dead connection", func() {
		for range 2 {
			if err := c.Write([]byte("x")); err == nil {
				t.Error("Write works on a dead connection")
			}
			if err := c.Ping(); err == nil {
				t.Error("Ping works on a dead connection")
			}
			if msg, err := c.Read(nil); err == nil {
				t.Errorf("Read returns %s on a dead connection", brief(msg))
			}
		}
	})
}

// brief quotes the beginning of a message and its length.
func brief(msg []byte) string {
	const most = 24
	text := string(msg[:min(len(msg), most)])
	if len(msg) > most {
		text += "..."
	}
	return fmt.Sprintf("%q (%d bytes)", text, len(msg))
}

// closeError returns the *transport.CloseError that err has to be.
func closeError(t *testing.T, err error) *transport.CloseError {
	t.Helper()
	var closed *transport.CloseError
	if !errors.As(err, &closed) {
		t.Fatalf("error %v, want a *transport.CloseError", err)
	}
	return closed
}

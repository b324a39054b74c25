package transporttest

import (
	"bytes"
	"errors"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/webwire-go/webwire/transport"
)

var resources = []promise{
	{name: "NothingLeft", test: testNothingLeft},
}

// Connections that ended in any way leave no goroutine, which every test
// verifies, and no descriptor.
func testNothingLeft(t *testing.T, h Harness) {
	ends := map[string]func(a, b transport.Conn){
		"closed":           func(a, b transport.Conn) { a.Close(transport.StatusNormalClosure, "") },
		"closed by peer":   func(a, b transport.Conn) { b.Close(transport.StatusNormalClosure, "") },
		"aborted":          func(a, b transport.Conn) { a.Abort() },
		"aborted by peer":  func(a, b transport.Conn) { b.Abort() },
		"failed and ended": func(a, b transport.Conn) { b.Abort(); a.Close(transport.StatusInternalError, "lost") },
	}
	once := func(t *testing.T, end func(a, b transport.Conn)) {
		a, b := h.Pair(t, transport.Limits{}, transport.Limits{})
		fromA, fromB := draining(a), draining(b)
		if err := a.Ping(); err != nil {
			t.Errorf("Ping: %v", err)
		}
		end(a, b)
		await(t, "Read of one end", fromA)
		await(t, "Read of the other end", fromB)
		a.Abort()
		b.Close(transport.StatusNormalClosure, "")
	}
	if h.Bubble {
		// No subtests in a bubble, and no descriptors either.
		for _, end := range ends {
			once(t, end)
		}
		return
	}
	// Subtests, for the harness to clean up before the descriptors are counted.
	// The first one opens what the process opens once, the poller for instance.
	t.Run("aborted", func(t *testing.T) { once(t, ends["aborted"]) })
	before := descriptors(t)
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			for range 4 {
				once(t, end)
			}
		})
	}
	awaitCondition(t, "the descriptors to be closed", func() bool { return descriptors(t) <= before })
}

// descriptors returns how many the process has open, where the system tells.
func descriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}

func goroutines() int { return runtime.NumGoroutine() }

// awaitQuiet fails the test if more goroutines stay than there were.
func awaitQuiet(t *testing.T, before int) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for pause := time.Millisecond; goroutines() > before; pause = min(2*pause, 50*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("%d goroutines, %d before the test:\n%s", goroutines(), before, stacks())
			return
		}
		time.Sleep(pause)
	}
}

// awaitCondition polls until the condition holds.
func awaitCondition(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for pause := time.Millisecond; !holds(); pause = min(2*pause, 50*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", patience, what)
		}
		time.Sleep(pause)
	}
}

func stacks() []byte {
	buf := make([]byte, 1<<20)
	return bytes.TrimSpace(buf[:runtime.Stack(buf, true)])
}

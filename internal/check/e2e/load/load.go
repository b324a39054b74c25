// Package load is what the tests under load share: how much to do, how to wait, how to
// print figures, and a server on a socket.
//
// Those tests have two lengths. In short, as a part of make test, they assert only what
// does not depend on the machine. In full, with WEBWIRE_SOAK=1 as make soak sets it, they
// take minutes and assert what users may expect. Both print their figures as
//
//	figure: row = value (bar …)
//
// of which docs/reliability.md has those of one whole run.
package load

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"
)

// Full reports whether the tests run in full length.
var Full = os.Getenv("WEBWIRE_SOAK") != ""

// Either returns inFull if the tests run in full length, otherwise inShort.
func Either[T any](inFull, inShort T) T {
	if Full {
		return inFull
	}
	return inShort
}

// Patience is how long tests wait for what has to happen, however busy the machine is.
const Patience = time.Minute

// Figure prints a figure of a row of docs/reliability.md.
func Figure(row, bar, format string, args ...any) {
	fmt.Printf("figure: %s = %s (bar %s)\n", row, fmt.Sprintf(format, args...), bar)
}

// Within fails the test if a figure that depends on the machine misses its bar, in full
// length only.
func Within[T int | int64 | uint64 | float64 | time.Duration](t *testing.T, what string, got, bar T) {
	t.Helper()
	if Full && got > bar {
		t.Errorf("%s: %v, the bar is %v", what, got, bar)
	}
}

// Await waits until condition holds, at most Patience, and reports whether it does.
func Await(condition func() bool) bool { return AwaitFor(Patience, condition) }

// AwaitFor waits until condition holds, at most limit, and reports whether it does.
func AwaitFor(limit time.Duration, condition func() bool) bool {
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(limit); !condition(); <-ticker.C {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// WantGoroutines fails the test unless there are as few goroutines as before.
func WantGoroutines(t *testing.T, before int) {
	t.Helper()
	if !Await(func() bool { return runtime.NumGoroutine() <= before }) {
		buf := make([]byte, 1<<20)
		t.Errorf("%d goroutines, %d before\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
	}
}

// Heap returns the bytes of live objects and of stacks.
func Heap() int64 {
	m := collected()
	return int64(m.HeapAlloc + m.StackInuse)
}

// Objects returns the bytes of live objects.
func Objects() int64 {
	m := collected()
	return int64(m.HeapAlloc)
}

func collected() (m runtime.MemStats) {
	runtime.GC()
	runtime.GC() // what a pool kept
	runtime.ReadMemStats(&m)
	return m
}

// Percentile returns the percentile p of took, which it sorts; zero if took is empty.
func Percentile(took []time.Duration, p int) time.Duration {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[len(took)*p/100]
}

package natsengine_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
)

func TestMain(m *testing.M) {
	setEnvironment()
	// Most tests mostly wait, on one processor too. -parallel, which is parsed later, overrides it.
	if err := flag.Set("test.parallel", "5"); err != nil {
		panic(err)
	}
	code := m.Run()
	atEnd.end()
	os.Exit(code)
}

var (
	sharedOne   = sync.OnceValue(func() *cluster { return start(atEnd, 1) })
	sharedThree = sync.OnceValue(func() *cluster { return start(atEnd, 3) })
)

// shared returns one server or three, which run until all tests have ended. Nobody may
// stop them.
func shared(n int) *cluster {
	if n == 1 {
		return sharedOne()
	}
	return sharedThree()
}

var atEnd = &all{}

// all is the testing.TB of what belongs to all tests.
type all struct {
	testing.TB
	mu       sync.Mutex
	cleanups []func()
}

func (*all) Helper() {}

func (*all) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

func (*all) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (a *all) Cleanup(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cleanups = append(a.cleanups, f)
}

func (a *all) TempDir() string {
	dir, err := os.MkdirTemp("", "natsengine")
	if err != nil {
		a.Fatal(err)
	}
	a.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (a *all) end() {
	for _, f := range slices.Backward(a.cleanups) {
		f()
	}
}

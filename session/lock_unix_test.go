//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package session_test

import (
	"os"
	"syscall"
	"testing"
)

// lockDir takes the lock of a store's directory, as another process would.
func lockDir(t *testing.T, dir string) (unlock func()) {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	return func() { syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
}

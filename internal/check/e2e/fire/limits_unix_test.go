//go:build unix

package fire_test

import (
	"fmt"
	"os"
	"syscall"
	"testing"
)

// TestMain raises the number of files that may be open to the most it may be.
func TestMain(m *testing.M) {
	var limit syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	if err == nil {
		limit.Cur = limit.Max
		err = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "RLIMIT_NOFILE cannot be raised:", err)
	}
	os.Exit(m.Run())
}

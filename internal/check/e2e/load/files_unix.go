//go:build unix

package load

import (
	"fmt"
	"os"
	"syscall"
)

// RaiseFiles raises the number of files that may be open to the most it may be.
func RaiseFiles() {
	var limit syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	if err == nil {
		limit.Cur = limit.Max
		err = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "RLIMIT_NOFILE cannot be raised:", err)
	}
}

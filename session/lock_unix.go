//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package session

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"
)

// lock takes the lock of a directory, which the system gives back if the process
// dies. It belongs to dir, not to the process: two stores in one process exclude
// each other too. Locking the directory itself leaves no lock file that could be removed.
//
// Another process holds the lock for microseconds, unless it is stopped. Waiting
// for it is polling because no blocking call could be ended by ctx.
func lock(ctx context.Context, dir *os.File) error {
	for pause := 50 * time.Microsecond; ; pause = min(2*pause, 2*time.Millisecond) {
		err := flock(dir, syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func unlock(dir *os.File) { flock(dir, syscall.LOCK_UN) }

func flock(f *os.File, how int) error {
	// By way of the raw connection, so that a concurrent Close of f does not
	// make this the lock of another file that got its number.
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var flockErr error
	err = conn.Control(func(fd uintptr) {
		flockErr = syscall.Flock(int(fd), how)
		for flockErr == syscall.EINTR {
			flockErr = syscall.Flock(int(fd), how)
		}
	})
	if err != nil {
		return &os.PathError{Op: "flock", Path: f.Name(), Err: os.ErrClosed} // the only reason
	}
	return os.NewSyscallError("flock", flockErr)
}

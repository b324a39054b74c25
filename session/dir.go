package session

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// makeDir makes sure that dir exists, durably: a session is not on the disk if the
// way to it is not. Parents are made too.
func makeDir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil // if it is no directory, opening it says so
	}
	parent := filepath.Dir(filepath.Clean(dir))
	if errors.Is(err, fs.ErrNotExist) && parent != dir {
		if err := makeDir(parent); err != nil {
			return err
		}
		err = os.Mkdir(dir, 0o700)
		if errors.Is(err, fs.ErrExist) {
			err = nil // another process was faster
		}
	}
	if err != nil {
		return err
	}
	f, err := os.Open(parent)
	if err != nil {
		return err
	}
	defer f.Close()
	return syncDir(f)
}

// syncDir makes durable which names a directory has. Concurrent calls share what
// the disk has to do.
func syncDir(dir *os.File) error {
	if runtime.GOOS == "windows" || runtime.GOOS == "plan9" {
		return nil // a directory cannot be synced there
	}
	return dir.Sync()
}

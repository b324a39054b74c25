package session

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// makeDir creates dir and its parents if they do not exist, and syncs them: a session is not
// on disk unless the path to it is.
func makeDir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil // opening it fails if it is not a directory
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

// syncDir makes the names in a directory durable. Concurrent calls share the work of the
// disk.
func syncDir(dir *os.File) error {
	if runtime.GOOS == "windows" || runtime.GOOS == "plan9" {
		return nil // a directory cannot be synced there
	}
	return dir.Sync()
}

package client

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// KeyStore keeps the key of a client's session while the program does not run. The key is
// a secret. Its methods are called one at a time.
type KeyStore interface {
	// LoadKey returns the key that was saved last, or the empty string if there is none.
	// It is called when the client connects, until it once succeeds: after an error, or if it
	// takes longer than Options.DialTimeout, the client connects without a session, see
	// Hooks.OnSessionError.
	LoadKey() (string, error)

	// SaveKey replaces the key. The empty key means that there is no session any more.
	SaveKey(key string) error
}

// KeyFile is a KeyStore that keeps the key in the file with this name, readable only by
// its owner. Only one program may use the file at a time. The directory must exist.
type KeyFile string

// LoadKey returns the content of the file.
func (f KeyFile) LoadKey() (string, error) {
	data, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("client: load session key: %w", err)
	}
	return strings.TrimRight(string(data), "\r\n"), nil
}

// SaveKey replaces the file as a whole, or removes it.
func (f KeyFile) SaveKey(key string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("client: save session key: %w", err)
		}
	}()
	if key == "" {
		if err := os.Remove(string(f)); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	// Files of CreateTemp are for their owner alone.
	tmp, err := os.CreateTemp(filepath.Dir(string(f)), ".webwire-key-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails once it is renamed
	_, err = tmp.WriteString(key + "\n")
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), string(f))
}

package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// Files that are being written are named tempPrefix, the second since 1970 when
// that began, a dash and random text. The time is in the name because the
// modification time of the file is the session's.
const (
	tempPrefix = "tmp-"
	tempMaxAge = time.Hour // far longer than any write takes: then its process is gone
)

func newTempName() string {
	return fmt.Sprintf("%s%d-%s", tempPrefix, time.Now().Unix(), rand.Text())
}

// isLeftover reports whether name is that of a temporary file whose writer is gone.
func isLeftover(name string) bool {
	rest, ok := strings.CutPrefix(name, tempPrefix)
	if !ok {
		return false
	}
	digits, _, _ := strings.Cut(rest, "-")
	began, err := strconv.ParseInt(digits, 10, 64)
	return err == nil && time.Since(time.Unix(began, 0)) > tempMaxAge
}

func isFileName(name string) bool {
	hash, err := hex.DecodeString(name)
	return err == nil && len(hash) == sha256.Size && name == strings.ToLower(name)
}

// Sweep removes all expired sessions, including damaged ones, and returns their
// number. It need not be called, because each Save examines a few files; it is for a
// store that is hardly used after a peak. Sweep continues after a file that cannot be
// examined or removed, and returns the first such error.
func (st *FileStore) Sweep(ctx context.Context) (removed int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	var first error
	err = st.list(func(name string) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		ok, err := st.removeDead(ctx, name)
		if ok {
			removed++
		}
		if first == nil {
			first = err
		}
		return nil
	})
	if err == nil {
		err = first
	}
	return removed, storeError(err)
}

// sweepNext takes the next steps of an endless round through the directory. It
// reports no errors: the Save that it is part of has succeeded.
func (st *FileStore) sweepNext(ctx context.Context) {
	if st.maxAge <= 0 || !st.sweeping.TryLock() {
		return
	}
	defer st.sweeping.Unlock()
	names, err := st.round.Readdirnames(sweepPerSave)
	if err != nil { // the end of the listing
		st.round.Seek(0, io.SeekStart)
	}
	for _, name := range names {
		st.removeDead(ctx, name)
	}
}

// removeDead removes the file of an expired session, or a leftover temporary file. It
// reports whether it removed a session.
func (st *FileStore) removeDead(ctx context.Context, name string) (bool, error) {
	if isLeftover(name) {
		return false, ignoreNotExist(st.root.Remove(name))
	}
	if !isFileName(name) {
		return false, nil // not ours
	}
	dead := func() (bool, error) {
		info, err := st.root.Lstat(name)
		return err == nil && expired(info.ModTime(), st.maxAge), ignoreNotExist(err)
	}
	if ok, err := dead(); !ok {
		return false, err
	}
	removed := false
	err := st.exclusive(ctx, func() error {
		ok, err := dead() // it is not touched or replaced meanwhile
		if !ok {
			return err
		}
		if err := st.root.Remove(name); err != nil {
			return ignoreNotExist(err) // deleted meanwhile
		}
		removed = true
		return nil
	})
	return removed, err
}

func (st *FileStore) removeLeftovers() error {
	return st.list(func(name string) error {
		if !isLeftover(name) {
			return nil
		}
		return ignoreNotExist(st.root.Remove(name))
	})
}

// list calls visit for every name in the directory until it returns an error.
func (st *FileStore) list(visit func(name string) error) error {
	dir, err := st.root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	for {
		names, err := dir.Readdirnames(1024)
		for _, name := range names {
			if err := visit(name); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func ignoreNotExist(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

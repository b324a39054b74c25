package session

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"
)

// FileStoreOptions are the optional settings of a FileStore.
type FileStoreOptions struct {
	// MaxAge is how long a session is kept after it was last seen. Processes that
	// share a directory should use the same value. Zero: DefaultMaxAge. Negative: no
	// limit.
	MaxAge time.Duration
}

// FileStore is a Store in a directory, with one file per session.
//
// When Save returns, the complete session is on disk: its file is written under a
// temporary name, synced and renamed, and the directory is synced. A process that is
// killed in between leaves the session unchanged. If a file is damaged nevertheless,
// Load returns [ErrDamaged] and the file stays.
//
// A file is named after the [Hash] of its session's key and readable only by its
// owner. The store does not follow symbolic links out of the directory. LastSeen is
// the file's modification time if that is later than the saved time, so that Touch
// is one system call; copies of the directory must preserve the modification times
// (cp -p, rsync -a, tar).
//
// Several goroutines may use a FileStore, and several processes may open the same
// directory unless it is on a network file system. On systems without flock, such as
// Windows, only one FileStore may be open on a directory at a time.
type FileStore struct {
	root   *os.Root
	dir    *os.File // the root itself, to lock and to sync
	maxAge time.Duration
	turn   chan struct{} // a slot, taken by who holds the lock in this process

	sweeping sync.Mutex
	round    *os.File // the root once more: a position in its listing
}

// OpenFileStore opens the store in dir, and creates dir if it does not exist. It
// removes temporary files older than an hour, which killed processes left behind.
//
// All files are in dir itself: current file systems look up a name among millions
// quickly, and subdirectories would have to be synced too.
func OpenFileStore(dir string, opts FileStoreOptions) (*FileStore, error) {
	if err := makeDir(dir); err != nil {
		return nil, storeError(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, storeError(err)
	}
	st := &FileStore{root: root, maxAge: orDefault(opts.MaxAge), turn: make(chan struct{}, 1)}
	if st.dir, err = root.Open("."); err == nil {
		st.round, err = root.Open(".")
	}
	if err == nil {
		err = st.removeLeftovers()
	}
	if err != nil {
		st.Close()
		return nil, storeError(err)
	}
	return st, nil
}

// Close closes the directory. Other methods return an error from then on, including
// calls that are waiting for another process.
func (st *FileStore) Close() error {
	err := st.root.Close()
	if st.dir != nil {
		st.dir.Close() // read only, nothing can be lost
	}
	if st.round != nil {
		st.sweeping.Lock() // an os.File must not be closed while its names are read
		defer st.sweeping.Unlock()
		st.round.Close()
	}
	return storeError(err)
}

// Save implements [Store]. It returns an error for a key that [CheckKey] refuses and
// for an Info that is not JSON. If ctx ends before the new file has replaced the old
// one, the session is unchanged; after that Save ignores ctx.
func (st *FileStore) Save(ctx context.Context, s Session) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := check(s); err != nil {
		return err
	}
	hash := Hash(s.Key)
	data, err := encodeRecord(hash, s)
	if err != nil {
		return err
	}
	temp := newTempName()
	err = st.write(temp, data, fileTime(lastUse(s)))
	if err == nil {
		err = st.exclusive(ctx, func() error { return st.root.Rename(temp, fileName(hash)) })
	}
	if err != nil {
		st.root.Remove(temp) // whatever comes of it, the first error is the one to report
		return storeError(err)
	}
	if err := syncDir(st.dir); err != nil {
		return storeError(err)
	}
	st.sweepNext(ctx)
	return nil
}

// Load implements [Store].
func (st *FileStore) Load(ctx context.Context, key string) (Session, error) {
	if err := ctx.Err(); err != nil {
		return Session{}, err
	}
	hash := Hash(key)
	data, seen, err := st.read(fileName(hash))
	if err != nil {
		return Session{}, lookupError(err)
	}
	s, err := decodeRecord(hash, data)
	if err != nil {
		return Session{}, fmt.Errorf("%w: file %s: %w", ErrDamaged, fileName(hash), err)
	}
	if expired(seen, st.maxAge) {
		return Session{}, ErrNotFound
	}
	s.Key = key
	if seen.After(fileTime(lastUse(s))) {
		s.LastSeen = storable(seen)
	}
	return s, nil
}

// Touch implements [Store].
func (st *FileStore) Touch(ctx context.Context, key string, seen time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	name := fileName(Hash(key))
	return lookupError(st.exclusive(ctx, func() error {
		info, err := st.root.Stat(name)
		if err != nil {
			return err
		}
		if expired(info.ModTime(), st.maxAge) {
			return ErrNotFound
		}
		if seen = fileTime(seen); !seen.After(info.ModTime()) {
			return nil
		}
		return st.root.Chtimes(name, time.Time{}, seen)
	}))
}

// Delete implements [Store].
func (st *FileStore) Delete(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := ignoreNotExist(st.root.Remove(fileName(Hash(key)))); err != nil {
		return storeError(err)
	}
	// Also if somebody else removed it, perhaps a moment ago: deleted means
	// that it does not come back.
	return storeError(syncDir(st.dir))
}

// write makes a new file that is on the disk when write returns.
func (st *FileStore) write(name string, data []byte, modified time.Time) error {
	f, err := st.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = st.root.Chtimes(name, time.Time{}, modified)
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// read returns content and modification time of one and the same file, even while
// Save puts another in its place.
func (st *FileStore) read(name string) ([]byte, time.Time, error) {
	f, err := st.root.Open(name)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		return nil, time.Time{}, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, time.Time{}, err
	}
	return data, info.ModTime(), nil
}

// exclusive runs change while nobody else, in this process or another, runs one.
// What is atomic by itself goes without: reading, removing a file whatever its
// age. The lock is for decisions about a file that a rename could make wrong, and
// for that rename. Nothing is synced under it.
func (st *FileStore) exclusive(ctx context.Context, change func() error) error {
	select {
	case st.turn <- struct{}{}:
		defer func() { <-st.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := lock(ctx, st.dir); err != nil {
		return err
	}
	defer unlock(st.dir)
	if err := ctx.Err(); err != nil {
		return err
	}
	return change()
}

// storeError says where an error of the file system comes from.
func storeError(err error) error {
	if err == nil || err == context.Canceled || err == context.DeadlineExceeded {
		return err
	}
	return fmt.Errorf("session: %w", err)
}

// lookupError is storeError for operations on a file that may not exist.
func lookupError(err error) error {
	if err == ErrNotFound || errors.Is(err, fs.ErrNotExist) {
		return ErrNotFound
	}
	return storeError(err)
}

func fileName(hash [sha256.Size]byte) string { return hex.EncodeToString(hash[:]) }

// fileTime returns t if a file can have that modification time, and else the
// nearest that surely can be set.
func fileTime(t time.Time) time.Time {
	first, last := time.Unix(0, 0), time.Unix(1<<33, 0) // in the year 2242
	if t.Before(first) {
		return first
	}
	if t.After(last) {
		return last
	}
	return t
}

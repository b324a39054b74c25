package session

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
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
// When Save or Update returns, the complete session is on disk: its file is written under a
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
	turn   chan struct{} // one slot; the goroutine that fills it holds the lock in this process

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
	if err := st.replace(ctx, Hash(s.Key), s, func(string) error { return nil }); err != nil {
		return storeError(err)
	}
	st.sweepNext(ctx)
	return nil
}

// replace writes the session to a temporary file and, if decide returns nil for its name,
// renames that to the session's. decide and the rename are one step for other changes.
func (st *FileStore) replace(ctx context.Context, hash [sha256.Size]byte, s Session, decide func(temp string) error) error {
	data, err := encodeRecord(hash, s)
	if err != nil {
		return err
	}
	temp := newTempName()
	err = st.write(temp, data, fileTime(lastUse(s)))
	if err == nil {
		err = st.exclusive(ctx, func() error {
			if err := decide(temp); err != nil {
				return err
			}
			return st.root.Rename(temp, fileName(hash))
		})
	}
	if err != nil {
		st.root.Remove(temp) // the first error is the one to report
		return err
	}
	return syncDir(st.dir)
}

// Load implements [Store].
func (st *FileStore) Load(ctx context.Context, key string) (Session, error) {
	if err := ctx.Err(); err != nil {
		return Session{}, err
	}
	hash := Hash(key)
	f, err := st.root.Open(fileName(hash))
	if err != nil {
		return Session{}, lookupError(err)
	}
	defer f.Close()
	s, err := st.read(f, hash)
	s.Key = key
	if err != nil {
		return Session{}, err
	}
	return s, nil
}

// Update implements [Store]. It returns an error for an info that is not JSON, and
// [ErrDamaged] for a session that cannot be read completely.
func (st *FileStore) Update(ctx context.Context, key string, info json.RawMessage) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := checkInfo(info); err != nil {
		return err
	}
	for {
		err := st.update(ctx, Hash(key), info)
		if err != errReplaced {
			return err
		}
	}
}

var errReplaced = errors.New("the file was replaced")

// update is one attempt of Update. It returns errReplaced if the session was saved after
// it was read. The file that was read stays open until then, so that no other file can
// have its identity.
func (st *FileStore) update(ctx context.Context, hash [sha256.Size]byte, info json.RawMessage) error {
	name := fileName(hash)
	old, err := st.root.Open(name)
	if err != nil {
		return lookupError(err)
	}
	defer old.Close()
	s, err := st.read(old, hash)
	if err != nil {
		return err
	}
	s.Info = info
	err = st.replace(ctx, hash, s, func(temp string) error {
		now, err := st.root.Stat(name)
		if err != nil {
			return err // deleted
		}
		before, err := old.Stat()
		if err != nil {
			return err
		}
		if !os.SameFile(before, now) {
			return errReplaced
		}
		if seen := now.ModTime(); seen.After(fileTime(lastUse(s))) { // touched
			return st.root.Chtimes(temp, time.Time{}, seen)
		}
		return nil
	})
	if err == errReplaced {
		return err
	}
	return lookupError(err)
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
	name := fileName(Hash(key))
	err := st.exclusive(ctx, func() error { return ignoreNotExist(st.root.Remove(name)) })
	if err != nil {
		return storeError(err)
	}
	// Also if another process has just removed it: Delete is durable.
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

// read returns the session, without its key, that the open file of hash has. Content and
// modification time are of the same file, even if Save replaces it meanwhile.
func (st *FileStore) read(f *os.File, hash [sha256.Size]byte) (Session, error) {
	data, err := io.ReadAll(f)
	if err != nil {
		return Session{}, storeError(err)
	}
	info, err := f.Stat()
	if err != nil {
		return Session{}, storeError(err)
	}
	s, err := decodeRecord(hash, data)
	if err != nil {
		return Session{}, fmt.Errorf("%w: file %s: %w", ErrDamaged, fileName(hash), err)
	}
	seen := info.ModTime()
	if expired(seen, st.maxAge) {
		return Session{}, ErrNotFound
	}
	if seen.After(fileTime(lastUse(s))) {
		s.LastSeen = storable(seen)
	}
	return s, nil
}

// exclusive runs change while no other change runs, in this process or another. Reading
// is atomic without it. Nothing is synced in it.
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

// storeError adds the package name to an error of the file system.
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

// fileTime returns t if every file system can store it as a modification time, otherwise
// the nearest time that it can store.
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

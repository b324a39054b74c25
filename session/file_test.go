package session_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/session/sessiontest"
)

func openFileStore(t testing.TB, dir string, maxAge time.Duration) *session.FileStore {
	t.Helper()
	if maxAge == 0 {
		maxAge = -1 // these tests have sessions of all times
	}
	st, err := session.OpenFileStore(dir, session.FileStoreOptions{MaxAge: maxAge})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

func hashName(key string) string {
	hash := session.Hash(key)
	return hex.EncodeToString(hash[:])
}

func mustSave(t testing.TB, st session.Store, s session.Session) {
	t.Helper()
	if err := st.Save(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

func fileNames(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestFileStore(t *testing.T) {
	var mu sync.Mutex
	dirs := make(map[session.Store]string)
	open := func(t *testing.T, dir string, maxAge time.Duration) session.Store {
		st := openFileStore(t, dir, maxAge)
		mu.Lock()
		defer mu.Unlock()
		dirs[st] = dir
		return st
	}
	sessiontest.Harness{
		Open: func(t *testing.T) session.Store { return open(t, t.TempDir(), 0) },
		OpenExpiring: func(t *testing.T, maxAge time.Duration) session.Store {
			return open(t, t.TempDir(), maxAge)
		},
		Reopen: func(t *testing.T, st session.Store) session.Store {
			if err := st.(*session.FileStore).Close(); err != nil {
				t.Error(err)
			}
			return open(t, dirs[st], 0)
		},
	}.Run(t)
}

// The suite on two stores that share a directory, taking turns.
func TestFileStoreShared(t *testing.T) {
	sessiontest.Run(t, func(t *testing.T) session.Store {
		dir := t.TempDir()
		return &alternating{stores: [2]session.Store{openFileStore(t, dir, 0), openFileStore(t, dir, 0)}}
	})
}

type alternating struct {
	mu     sync.Mutex
	n      int
	stores [2]session.Store
}

func (a *alternating) next() session.Store {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.n++
	return a.stores[a.n%2]
}

func (a *alternating) Save(ctx context.Context, s session.Session) error {
	return a.next().Save(ctx, s)
}

func (a *alternating) Load(ctx context.Context, key string) (session.Session, error) {
	return a.next().Load(ctx, key)
}

func (a *alternating) Touch(ctx context.Context, key string, seen time.Time) error {
	return a.next().Touch(ctx, key, seen)
}

func (a *alternating) Update(ctx context.Context, key string, info json.RawMessage) error {
	return a.next().Update(ctx, key, info)
}

func (a *alternating) Delete(ctx context.Context, key string) error {
	return a.next().Delete(ctx, key)
}

func TestFileStoreExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		testExpiryByClock(t, openFileStore(t, t.TempDir(), time.Hour))
	})
}

func TestFileStoreRefuses(t *testing.T) {
	dir := t.TempDir()
	testRefusals(t, openFileStore(t, dir, 0))
	if names := fileNames(t, dir); len(names) != 0 {
		t.Errorf("left behind: %v", names)
	}
}

// What is saved comes back byte by byte, to the limits of the types.
func TestFileStoreIsExact(t *testing.T) {
	st := openFileStore(t, t.TempDir(), 0)
	for _, s := range []session.Session{
		{Key: "info", Info: json.RawMessage(" {\"b\":1,\n\"a\":\"<&>\\u00e9\"} ")},
		{Key: "null", Info: json.RawMessage("null")},
		{Key: "early", Created: time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC), LastSeen: time.Date(1700, 1, 1, 0, 0, 0, 1, time.UTC)},
		{Key: "late", Created: time.Date(2300, 1, 1, 0, 0, 0, 1, time.UTC), LastSeen: time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)},
		{Key: "back", Created: time.Now().Round(0).UTC(), LastSeen: time.Unix(1, 1).UTC()},
	} {
		mustSave(t, st, s)
		got, err := st.Load(t.Context(), s.Key)
		if err != nil {
			t.Fatal(err)
		}
		if got.Created != s.Created || got.LastSeen != s.LastSeen || !bytes.Equal(got.Info, s.Info) {
			t.Errorf("got %v %v %s, want %v %v %s", got.Created, got.LastSeen, got.Info, s.Created, s.LastSeen, s.Info)
		}
	}
	if err := st.Save(t.Context(), session.Session{Key: secret, Created: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}); err == nil {
		t.Error("a time that JSON does not know was saved")
	} else if strings.Contains(err.Error(), secret) {
		t.Error(err)
	}
}

// Nothing that the store writes tells a key or may be read by others.
func TestFileStoreIsPrivate(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "a", "b")
	st := openFileStore(t, dir, 0)
	for range 10 {
		mustSave(t, st, session.Session{Key: secret, Created: time.Now(), Info: json.RawMessage(`{"a":1}`)})
		if err := st.Touch(t.Context(), secret, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if names := fileNames(t, dir); len(names) != 1 || names[0] != hashName(secret) {
		t.Errorf("files are %v", names)
	}
	err := filepath.WalkDir(parent, func(path string, entry os.DirEntry, err error) error {
		if err != nil || path == parent {
			return err
		}
		if strings.Contains(path, secret) {
			t.Errorf("path %s tells the key", path)
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		want := os.FileMode(0o600)
		if entry.IsDir() {
			want = 0o700
		}
		if mode := info.Mode().Perm(); mode != want && runtime.GOOS != "windows" {
			t.Errorf("%s has mode %o, want %o", path, mode, want)
		}
		if entry.IsDir() {
			return nil
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte(secret)) {
			t.Errorf("content of %s tells the key", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestFileStoreOpenErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"", file, filepath.Join(file, "below")} {
		st, err := session.OpenFileStore(dir, session.FileStoreOptions{})
		if err == nil {
			st.Close()
			t.Errorf("%q was opened", dir)
		} else if !strings.HasPrefix(err.Error(), "session: ") || errors.Is(err, session.ErrNotFound) {
			t.Errorf("%q: %v", dir, err)
		}
	}
}

func TestFileStoreClosed(t *testing.T) {
	st := openFileStore(t, t.TempDir(), time.Hour)
	s := session.Session{Key: secret, Created: time.Now()}
	mustSave(t, st, s)
	for range 2 {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}
	_, loadErr := st.Load(t.Context(), secret)
	_, sweepErr := st.Sweep(t.Context())
	for op, err := range map[string]error{
		"Save": st.Save(t.Context(), s), "Load": loadErr, "Touch": st.Touch(t.Context(), secret, time.Now()),
		"Delete": st.Delete(t.Context(), secret), "Sweep": sweepErr,
	} {
		if !errors.Is(err, os.ErrClosed) || errors.Is(err, session.ErrNotFound) || strings.Count(err.Error(), "session: ") != 1 {
			t.Errorf("%s: error is %v", op, err)
		}
	}
}

// A Close in the middle of everything ends it with errors, no more.
func TestFileStoreCloseConcurrently(t *testing.T) {
	st := openFileStore(t, t.TempDir(), time.Hour)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			s := session.Session{Key: fmt.Sprint(i), Created: time.Now()}
			for st.Save(t.Context(), s) == nil && st.Touch(t.Context(), s.Key, time.Now()) == nil {
			}
		})
	}
	mustSave(t, st, session.Session{Key: "x", Created: time.Now()})
	if err := st.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

func BenchmarkFileStoreSave(b *testing.B) {
	for _, savers := range []int{1, 8, 32} {
		b.Run(fmt.Sprint(savers), func(b *testing.B) {
			st := openFileStore(b, b.TempDir(), time.Hour)
			info := json.RawMessage(`{"user":"ada","visits":3}`)
			next := make(chan struct{})
			var wg sync.WaitGroup
			for range savers {
				wg.Go(func() {
					for range next {
						s := session.Session{Key: session.NewKey(), Created: time.Now(), Info: info}
						if err := st.Save(b.Context(), s); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for b.Loop() {
				next <- struct{}{}
			}
			close(next)
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sessions/s")
		})
	}
}

func BenchmarkFileStoreTouch(b *testing.B) {
	st := openFileStore(b, b.TempDir(), time.Hour)
	mustSave(b, st, session.Session{Key: "a", Created: time.Now()})
	for b.Loop() {
		if err := st.Touch(b.Context(), "a", time.Now()); err != nil {
			b.Fatal(err)
		}
	}
}

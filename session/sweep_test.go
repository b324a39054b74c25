package session_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/session"
)

func canceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		st := openFileStore(t, dir, time.Hour)
		for i := range 20 {
			mustSave(t, st, session.Session{Key: fmt.Sprint(i), Created: time.Now()})
		}
		if n, err := st.Sweep(t.Context()); n != 0 || err != nil {
			t.Errorf("%d removed, %v", n, err)
		}
		if n, err := openFileStore(t, t.TempDir(), 0).Sweep(canceled(t)); n != 0 || err != context.Canceled {
			t.Errorf("ended context: %d removed, %v", n, err)
		}
		time.Sleep(30 * time.Minute)
		for i := range 5 {
			if err := st.Touch(t.Context(), fmt.Sprint(i), time.Now()); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(30 * time.Minute)

		if n, err := st.Sweep(canceled(t)); n != 0 || err != context.Canceled {
			t.Errorf("ended context: %d removed, %v", n, err)
		}
		if n, err := st.Sweep(t.Context()); n != 15 || err != nil {
			t.Errorf("%d removed, %v", n, err)
		}
		if names := fileNames(t, dir); len(names) != 5 {
			t.Errorf("%d files are left", len(names))
		}
	})
}

// Sessions that expire are removed by those that come, without a sweep.
func TestFileStoreIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		st := openFileStore(t, dir, time.Hour)
		for i := range 30 {
			mustSave(t, st, session.Session{Key: fmt.Sprint(i), Created: time.Now()})
		}
		time.Sleep(time.Hour)
		for range 60 {
			mustSave(t, st, session.Session{Key: "new", Created: time.Now()})
		}
		if names := fileNames(t, dir); len(names) > 3 {
			t.Errorf("%d files are left", len(names))
		}
	})
}

func TestSweepLeavesOthersAlone(t *testing.T) {
	dir := t.TempDir()
	begun := func(ago time.Duration) string {
		return fmt.Sprintf("tmp-%d-ABCDEF", time.Now().Add(-ago).Unix())
	}
	others := []string{
		"README", ".hidden", "tmp-", "tmp-x", "tmp-old-1", strings.Repeat("a", 63), strings.Repeat("A", 64), strings.Repeat("x", 64),
		begun(0), begun(59 * time.Minute), begun(-time.Hour),
	}
	leftovers := []string{begun(61 * time.Minute), begun(1000 * time.Hour)}
	for i, name := range append(others, leftovers...) {
		path := filepath.Join(dir, name)
		overwrite(t, path, []byte{byte(i)})
		old := time.Unix(1, 0)
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(others)
	st := openFileStore(t, dir, time.Nanosecond)
	if names := fileNames(t, dir); !slices.Equal(names, others) {
		t.Errorf("after opening: %v", names)
	}
	overwrite(t, filepath.Join(dir, leftovers[0]), nil)
	if n, err := st.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("%d removed, %v", n, err)
	}
	if names := fileNames(t, dir); !slices.Equal(names, others) {
		t.Errorf("after Sweep: %v", names)
	}
}

func TestSweepReportsErrors(t *testing.T) {
	dir := t.TempDir()
	st := openFileStore(t, dir, time.Hour)
	old := time.Unix(1, 0)
	path := filepath.Join(dir, strings.Repeat("0", 64)) // a directory that is not empty cannot be removed
	if err := os.MkdirAll(filepath.Join(path, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	mustSave(t, st, session.Session{Key: "new", Created: time.Now()})
	expired := filepath.Join(dir, hashName("expired"))
	overwrite(t, expired, nil)
	if err := os.Chtimes(expired, old, old); err != nil {
		t.Fatal(err)
	}
	n, err := st.Sweep(t.Context())
	if n != 1 || err == nil || !strings.HasPrefix(err.Error(), "session: ") || errors.Is(err, session.ErrNotFound) {
		t.Errorf("%d removed, %v", n, err)
	}
}

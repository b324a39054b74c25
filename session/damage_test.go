package session_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/webwire-go/webwire/session"
)

// savedFile saves a session under secret and returns its file and the content.
func savedFile(t *testing.T, dir string, st session.Store) (path string, content []byte) {
	t.Helper()
	mustSave(t, st, secretSession())
	path = filepath.Join(dir, hashName(secret))
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, content
}

func overwrite(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// wantDamaged fails the test unless the session of secret is reported as damaged
// and its file is left alone.
func wantDamaged(t *testing.T, st session.Store, path, how string) {
	t.Helper()
	s, err := st.Load(t.Context(), secret)
	if !errors.Is(err, session.ErrDamaged) || errors.Is(err, session.ErrNotFound) {
		t.Fatalf("%s: Load: session %v, error %v", how, s, err)
	}
	if s.Key != "" || s.Info != nil {
		t.Errorf("%s: served beside the error", how)
	}
	text := err.Error()
	if strings.Contains(text, secret) || !strings.Contains(text, hashName(secret)) || strings.Count(text, "session: ") != 1 {
		t.Errorf("%s: error is %v", how, err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Errorf("%s: %v", how, err)
	}
	if err := st.Update(t.Context(), secret, nil); !errors.Is(err, session.ErrDamaged) {
		t.Errorf("%s: Update: %v", how, err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("%s: Update changed the file (%v)", how, err)
	}
}

func TestDamagedByBitFlips(t *testing.T) {
	dir := t.TempDir()
	st := openFileStore(t, dir, 0)
	path, content := savedFile(t, dir, st)
	for i := range content {
		for bit := range 8 {
			content[i] ^= 1 << bit
			overwrite(t, path, content)
			wantDamaged(t, st, path, "bit flip")
			content[i] ^= 1 << bit
		}
	}
	overwrite(t, path, content)
	if _, err := st.Load(t.Context(), secret); err != nil {
		t.Errorf("after the repair: %v", err)
	}
}

func TestDamagedByLength(t *testing.T) {
	dir := t.TempDir()
	st := openFileStore(t, dir, 0)
	path, content := savedFile(t, dir, st)
	for n := range content {
		overwrite(t, path, content[:n])
		wantDamaged(t, st, path, "truncation")
	}
	for _, more := range []string{"\n", "\x00", " ", string(content)} {
		overwrite(t, path, append(content[:len(content):len(content)], more...))
		wantDamaged(t, st, path, "extension")
	}
	overwrite(t, path, make([]byte, len(content))) // as some file systems do after a crash
	wantDamaged(t, st, path, "zeros")
	overwrite(t, path, content)
	if _, err := st.Load(t.Context(), secret); err != nil {
		t.Errorf("after the repair: %v", err)
	}
}

// The file of another session is whole, but not this one's.
func TestDamagedByExchange(t *testing.T) {
	dir := t.TempDir()
	st := openFileStore(t, dir, 0)
	path, _ := savedFile(t, dir, st)
	mustSave(t, st, session.Session{Key: "another", Created: time.Now()})
	if err := os.Rename(filepath.Join(dir, hashName("another")), path); err != nil {
		t.Fatal(err)
	}
	wantDamaged(t, st, path, "exchange")
}

func TestDamagedAndReplaced(t *testing.T) {
	dir := t.TempDir()
	st := openFileStore(t, dir, 0)
	path, content := savedFile(t, dir, st)
	overwrite(t, path, content[1:])
	wantDamaged(t, st, path, "truncation")
	mustSave(t, st, secretSession())
	if _, err := st.Load(t.Context(), secret); err != nil {
		t.Errorf("Load after Save: %v", err)
	}
	overwrite(t, path, content[1:])
	if err := st.Delete(t.Context(), secret); err != nil {
		t.Errorf("Delete: %v", err)
	}
	if _, err := st.Load(t.Context(), secret); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Load after Delete: %v", err)
	}
}

// Trouble of the file system is neither a missing session nor a damaged one.
func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	st := openFileStore(t, dir, 0)
	if err := os.Mkdir(filepath.Join(dir, hashName(secret)), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := st.Load(t.Context(), secret)
	if err == nil || errors.Is(err, session.ErrNotFound) || strings.Contains(err.Error(), secret) {
		t.Errorf("Load: %v", err)
	}
	err = st.Save(t.Context(), secretSession())
	if err == nil || errors.Is(err, session.ErrNotFound) || strings.Contains(err.Error(), secret) {
		t.Errorf("Save: %v", err)
	}
	if names := fileNames(t, dir); len(names) != 1 {
		t.Errorf("a failed Save left %v", names)
	}
}

func TestSymlinksDoNotEscape(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	dir := t.TempDir()
	path, content := savedFile(t, dir, openFileStore(t, dir, 0))
	st := openFileStore(t, dir, time.Hour)
	overwrite(t, outside, content) // a session that would be served
	old := time.Unix(1, 0)
	if err := os.Chtimes(outside, old, old); err != nil {
		t.Fatal(err)
	}
	link := func() {
		t.Helper()
		os.Remove(path)
		if err := os.Symlink(outside, path); err != nil {
			t.Skip(err)
		}
	}

	link()
	if _, err := st.Load(t.Context(), secret); err == nil || errors.Is(err, session.ErrNotFound) {
		t.Errorf("Load: %v", err)
	}
	if err := st.Touch(t.Context(), secret, time.Now()); err == nil || errors.Is(err, session.ErrNotFound) {
		t.Errorf("Touch: %v", err)
	}
	if _, err := st.Sweep(t.Context()); err != nil {
		t.Errorf("Sweep: %v", err)
	}
	link()
	if err := st.Delete(t.Context(), secret); err != nil {
		t.Errorf("Delete: %v", err)
	}
	link()
	s := secretSession()
	s.LastSeen = time.Now()
	s.Info = nil
	mustSave(t, st, s)
	if _, err := st.Load(t.Context(), secret); err != nil {
		t.Errorf("Load after Save: %v", err)
	}

	got, err := os.ReadFile(outside)
	if err != nil || string(got) != string(content) {
		t.Errorf("the file outside was changed, %v", err)
	}
	if info, err := os.Stat(outside); err != nil || !info.ModTime().Equal(old) {
		t.Errorf("the file outside was touched, %v", err)
	}
}

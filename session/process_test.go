package session_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/webwire-go/webwire/session"
)

var killRounds = flag.Int("killrounds", 3, "how often TestKill kills a process that saves sessions")

// Set in the environment, these make the test binary another process that uses the
// store in a directory.
const (
	roleEnv = "SESSION_TEST_ROLE"
	dirEnv  = "SESSION_TEST_DIR"
)

func TestMain(m *testing.M) {
	role := map[string]func(*session.FileStore) error{
		"save":   saveForEver,
		"meddle": meddle,
	}[os.Getenv(roleEnv)]
	if role == nil {
		os.Exit(m.Run())
	}
	st, err := session.OpenFileStore(os.Getenv(dirEnv), session.FileStoreOptions{MaxAge: time.Hour})
	if err == nil {
		err = role(st)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// startProcess starts this binary in a role. Its standard input is open as long as
// the test runs.
func startProcess(t *testing.T, role, dir string) (cmd *exec.Cmd, in io.WriteCloser, out *bufio.Scanner) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(exe)
	cmd.Env = append(os.Environ(), roleEnv+"="+role, dirEnv+"="+dir)
	cmd.Stderr = os.Stderr
	in, err = cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, in, bufio.NewScanner(stdout)
}

// saveForEver saves new sessions, and replaces some, as fast as it can. It tells
// which it begins to save and which it saved.
func saveForEver(st *session.FileStore) error {
	var mu sync.Mutex
	tell := func(what, key string, n int) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Println(what, key, n)
	}
	failed := make(chan error)
	for range 4 {
		go func() {
			for {
				key := session.NewKey()
				for n := range 1 + rand.IntN(2) {
					tell("begin", key, n)
					if err := st.Save(context.Background(), killSession(key, n)); err != nil {
						failed <- err
						return
					}
					tell("saved", key, n)
				}
			}
		}()
	}
	return <-failed
}

func killSession(key string, n int) session.Session {
	return session.Session{
		Key:     key,
		Created: time.Now(),
		Info:    json.RawMessage(fmt.Sprintf(`{"n":%d,"key":"%x","fill":"%s"}`, n, session.Hash(key), strings.Repeat("x", 5000))),
	}
}

// TestKill kills processes in the middle of saving and looks whether the sessions
// that they reported are there, and all others whole or not there at all.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	begun, saved := make(map[string]int), make(map[string]int)
	for range *killRounds {
		cmd, _, out := startProcess(t, "save", dir)
		kill := 20 + rand.IntN(200)
		for lines := 0; out.Scan(); lines++ {
			if lines == kill {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			var what, key string
			var n int
			if _, err := fmt.Sscan(out.Text(), &what, &key, &n); err != nil {
				continue // cut off by the kill
			}
			switch what {
			case "begin":
				begun[key] = n
			case "saved":
				saved[key] = n + 1
			}
		}
		cmd.Wait()
		if len(saved) == 0 {
			t.Fatal("the process saved nothing")
		}

		st := openFileStore(t, dir, 0)
		for key := range begun {
			s, err := st.Load(t.Context(), key)
			if errors.Is(err, session.ErrNotFound) && saved[key] == 0 {
				continue
			}
			if err != nil {
				t.Fatalf("Load: %v (%d times reported as saved)", err, saved[key])
			}
			info, err := session.InfoAs[struct {
				N    int
				Key  string
				Fill string
			}](s)
			if err != nil || info.Key != hashName(key) || len(info.Fill) != 5000 || info.N < saved[key]-1 || info.N > begun[key] {
				t.Fatalf("session %d, reported %d, %v", info.N, saved[key], err)
			}
		}
		st.Close()
	}
	t.Logf("%d sessions saved", len(saved))
}

const meddled = 4 // sessions that another process touches all the time

func meddledKey(i int) string { return fmt.Sprintf("meddled-%d", i) }

// meddle touches, loads and sweeps until standard input ends. It says when it is
// about to start.
func meddle(st *session.FileStore) error {
	ctx, cancel := context.WithCancel(context.Background())
	fmt.Println("ready")
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	failed := make(chan error)
	for _, op := range []func(key string) error{
		func(key string) error { return st.Touch(ctx, key, time.Now()) },
		func(key string) error { _, err := st.Load(ctx, key); return err },
		func(string) error { _, err := st.Sweep(ctx); return err },
	} {
		go func() {
			for i := 0; ; i++ {
				err := op(meddledKey(i % meddled))
				if err != nil && !errors.Is(err, session.ErrNotFound) {
					failed <- err
					return
				}
			}
		}()
	}
	for range 3 {
		if err := <-failed; !errors.Is(err, context.Canceled) {
			return err
		}
	}
	return nil
}

// TestTwoProcesses saves and deletes sessions while another process touches them,
// reads them, and sweeps those that expired.
func TestTwoProcesses(t *testing.T) {
	dir := t.TempDir()
	st := openFileStore(t, dir, time.Hour)
	cmd, in, out := startProcess(t, "meddle", dir)
	if !out.Scan() {
		t.Fatal("the other process did not start")
	}
	var wg sync.WaitGroup
	for i := range meddled {
		wg.Go(func() {
			key := meddledKey(i)
			for n := range 40 {
				s := session.Session{Key: key, Created: time.Now(), Info: json.RawMessage(fmt.Sprint(n))}
				if n%4 == 1 { // expired, so the other process wants to remove it
					s.Created = time.Unix(1, 0)
				}
				if err := st.Save(t.Context(), s); err != nil {
					t.Errorf("Save: %v", err)
					return
				}
				got, err := st.Load(t.Context(), key)
				switch {
				case n%4 == 1:
					if !errors.Is(err, session.ErrNotFound) {
						t.Errorf("Load of an expired session: %v, %v", got, err)
					}
				case err != nil || string(got.Info) != string(s.Info):
					t.Errorf("Load after Save %d: info %s, %v", n, got.Info, err)
				}
				if n%4 == 3 {
					if err := st.Delete(t.Context(), key); err != nil {
						t.Errorf("Delete: %v", err)
					}
					if _, err := st.Load(t.Context(), key); !errors.Is(err, session.ErrNotFound) {
						t.Errorf("Load after Delete: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("the other process: %v", err)
	}
}

// Waiting for the lock of a directory ends with the context, whoever holds it.
func TestLockHonoursContext(t *testing.T) {
	dir := t.TempDir()
	st := openFileStore(t, dir, 0)
	s := session.Session{Key: "a", Created: time.Now(), Info: json.RawMessage(`1`)}
	mustSave(t, st, s)
	unlock := lockDir(t, dir)
	s.Info = json.RawMessage(`2`)
	for op, call := range map[string]func(context.Context) error{
		"Save":  func(ctx context.Context) error { return st.Save(ctx, s) },
		"Touch": func(ctx context.Context) error { return st.Touch(ctx, s.Key, time.Now()) },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if err := call(ctx); err != context.DeadlineExceeded {
			t.Errorf("%s: error is %v", op, err)
		}
		cancel()
	}
	got, err := st.Load(t.Context(), s.Key) // needs no lock
	if err != nil || string(got.Info) != `1` {
		t.Errorf("Load: info %s, %v", got.Info, err)
	}
	if names := fileNames(t, dir); len(names) != 1 {
		t.Errorf("files are %v", names)
	}
	unlock()
	mustSave(t, st, s)
}

package client_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
)

// A key comes back as it was saved: it may begin and end with spaces.
func TestKeyFileIsExact(t *testing.T) {
	for _, key := range []string{"key", " key", "key ", " "} {
		if err := session.CheckKey(key); err != nil {
			t.Fatal(err)
		}
		f := client.KeyFile(filepath.Join(t.TempDir(), "key"))
		if err := f.SaveKey(key); err != nil {
			t.Fatal(err)
		}
		wantKey(t, f, key)
	}
}

// What cannot be a key does not keep the client from connecting.
func TestUnfitKey(t *testing.T) {
	for name, key := range map[string]string{
		"too long":      strings.Repeat("k", 2000), // for the server's messages, too
		"not printable": "k\x00y",
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				_, ln := serve(t, server.Options{Logger: discard, MaxMessageSize: 1024, Hooks: server.Hooks{OnRequest: echo}})
				f := client.KeyFile(filepath.Join(t.TempDir(), "key"))
				if err := f.SaveKey(key); err != nil {
					t.Fatal(err)
				}
				c := dial(t, ln, client.Options{Keys: f, Logger: discard})
				if err := c.Connect(t.Context()); err != nil || c.Stats().Attempts != 1 {
					t.Errorf("Connect: %v, %d attempts", err, c.Stats().Attempts)
				}
			})
		})
	}
}

// wantKey fails the test if another key is kept.
func wantKey(t *testing.T, keys client.KeyStore, want string) {
	t.Helper()
	if got, err := keys.LoadKey(); err != nil || got != want {
		t.Errorf("key %q is kept, want %q (%v)", got, want, err)
	}
}

// loading is a KeyStore whose LoadKey does what a test says before it returns the key.
type loading struct {
	keptKey
	calls atomic.Int32
	load  func(call int32) error
}

func (l *loading) LoadKey() (string, error) {
	if err := l.load(l.calls.Add(1)); err != nil {
		return "", err
	}
	return l.keptKey.LoadKey()
}

// A session whose key cannot be loaded is one that cannot be restored now.
func TestKeyCannotBeLoaded(t *testing.T) {
	errBusy := errors.New("disk is busy")
	until := func(n int32, err error) func(int32) error {
		return func(call int32) error {
			if call < n {
				return err
			}
			return nil
		}
	}
	for name, test := range map[string]struct {
		load      func(call int32) error
		empty     bool  // no key is kept
		forget    bool  // the session is closed after a minute
		err       error // of RestoreSession before that
		calls     int32 // of LoadKey in an hour, at most
		connected time.Duration
		want      []string
	}{
		"at first": {
			load: until(100, errBusy), err: errBusy, calls: 100,
			want: []string{"c: error disk is busy", "c: connected", "c: restored"},
		},
		"and there is none": {
			load: until(100, errBusy), empty: true, err: errBusy, calls: 100,
			want: []string{"c: error disk is busy", "c: connected"},
		},
		"and it is forgotten": {
			load: until(1000, errBusy), forget: true, err: errBusy, calls: 30,
			want: []string{"c: error disk is busy", "c: connected"},
		},
		"for other reasons later": {
			load: func(call int32) error {
				if call < 100 {
					return errBusy
				}
				return errors.New("disk is away")
			},
			err: errBusy, calls: 1000,
			want: []string{"c: error disk is busy", "c: connected", "c: error disk is away"},
		},
		"in time": {
			load: func(int32) error { time.Sleep(10 * time.Minute); return nil },
			err:  context.DeadlineExceeded, calls: 1, connected: 10 * time.Second,
			want: []string{"c: error client: Options.Keys has not returned the session key: context deadline exceeded", "c: connected", "c: restored"},
		},
		"because it panics": {
			load: func(call int32) error {
				if call < 3 {
					panic("oops")
				}
				return nil
			},
			calls: 2, // RestoreSession makes the second
			want:  []string{"c: error client: Options.Keys panicked", "c: connected"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				n := newNetwork(t)
				n.serve(server.Options{Hooks: server.Hooks{OnRequest: login}})
				first := n.client(client.Options{})
				if _, err := first.Request(t.Context(), "login", text("x")); err != nil {
					t.Fatal(err)
				}
				keys := &loading{load: test.load}
				if s, has := first.Session(); has && !test.empty {
					keys.key = s.Key
				}
				d := new(diary)
				c := n.client(client.Options{Keys: keys, Hooks: client.Hooks{
					OnConnected:       func(context.Context) { d.note("c: connected") },
					OnSessionError:    func(_ context.Context, err error) { d.note("c: error %v", err) },
					OnSessionRestored: func(context.Context, session.Session) { d.note("c: restored") },
				}})
				start := time.Now()
				connect(t, c)
				took(t, "connecting", start, test.connected, test.connected)
				err := c.RestoreSession(t.Context(), "")
				if err == nil || test.err != nil && !errors.Is(err, test.err) || client.MaybeExecuted(err) {
					t.Errorf("RestoreSession: %v", err)
				}
				time.Sleep(time.Minute)
				if test.forget {
					if err := c.CloseSession(t.Context()); err != nil {
						t.Error(err)
					}
				}
				time.Sleep(time.Hour)
				if calls := keys.calls.Load(); calls > test.calls {
					t.Errorf("the key was loaded %d times", calls)
				}
				if _, has := c.Session(); has != slices.Contains(test.want, "c: restored") {
					t.Errorf("the client has a session: %t", has)
				}
				d.want(t, test.want...)
				if test.forget {
					wantKey(t, &keys.keptKey, "")
				}
			})
		})
	}
}

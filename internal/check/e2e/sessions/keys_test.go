package sessions_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
)

// A program that ends after Close finds its session again.
func TestKeyFile(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		s := open(t, v, server.Options{})
		dir := t.TempDir()
		file := client.KeyFile(filepath.Join(dir, "key"))
		opts := client.Options{Keys: file}

		c := s.client(opts)
		made := login(t, c, ann)
		c.Close()
		wantKey(t, file, made.Key)
		info, err := os.Stat(string(file))
		if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("the file is %v (%v)", info.Mode(), err)
		}

		c = s.client(opts)
		if err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantUser(t, c, ann)
		if err := c.CloseSession(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.Close()
		wantKey(t, file, "")

		c = s.client(opts)
		login(t, c, user{Name: "bob"})
		if err := c.CloseSession(t.Context()); err != nil {
			t.Fatal(err)
		}
		second := login(t, c, user{Name: "eve"}) // replaces
		c.Close()
		wantKey(t, file, second.Key)
		left, err := os.ReadDir(dir)
		if err != nil || len(left) != 1 {
			t.Errorf("in the directory is left %v (%v)", left, err)
		}
	})
}

// Who may read the file and what it was before do not matter.
func TestKeyFileReplaced(t *testing.T) {
	file := client.KeyFile(filepath.Join(t.TempDir(), "key"))
	if err := os.WriteFile(string(file), []byte("a longer content of some other program\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := file.SaveKey("new key"); err != nil {
		t.Fatal(err)
	}
	wantKey(t, file, "new key")
	if info, err := os.Stat(string(file)); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v (%v)", info.Mode(), err)
	}
	for range 2 {
		if err := file.SaveKey(""); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(string(file)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the file is still there: %v", err)
		}
	}
	nowhere := client.KeyFile(filepath.Join(t.TempDir(), "none", "key"))
	if err := nowhere.SaveKey("secret"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("saved nowhere: %v", err)
	}
	if _, err := client.KeyFile(t.TempDir()).LoadKey(); err == nil {
		t.Error("a directory was loaded")
	}
}

func wantKey(t *testing.T, keys client.KeyStore, want string) {
	t.Helper()
	if got, err := keys.LoadKey(); err != nil || got != want {
		t.Errorf("another key is kept than the client had (%v)", err)
	}
}

// keyStore is a KeyStore that does what it is told to.
type keyStore struct {
	mu   sync.Mutex
	key  string
	load func() error
	save func(key string) error
}

func (k *keyStore) LoadKey() (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.load != nil {
		if err := k.load(); err != nil {
			return "", err
		}
	}
	return k.key, nil
}

func (k *keyStore) SaveKey(key string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.save != nil {
		if err := k.save(key); err != nil {
			return err
		}
	}
	k.key = key
	return nil
}

// A session that is closed before it was restored is forgotten too.
func TestCloseBeforeConnect(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		s := open(t, v, server.Options{})
		keys := &keyStore{key: login(t, s.client(client.Options{}), ann).Key}
		c := s.client(client.Options{Keys: keys})
		if err := c.CloseSession(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantNobody(t, c)
		synctest.Wait()
		wantKey(t, keys, "")
	})
}

// A hook that takes its time does not keep the key from being saved; and the hook
// that tells of a session comes when it is.
func TestKeySavedBesideHooks(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		s := open(t, v, server.Options{})
		keys := &keyStore{}
		release := make(chan struct{})
		c := s.client(client.Options{Keys: keys, Hooks: client.Hooks{OnConnected: func(context.Context) { <-release }}})
		if err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		made := login(t, c, ann)
		synctest.Wait()
		wantKey(t, keys, made.Key)
		close(release)
	})
}

func TestFailingKeyStore(t *testing.T) {
	eachFailure(t, func(t *testing.T, v protocol.Version, fail func() error) {
		s := open(t, v, server.Options{})
		keys := &keyStore{key: login(t, s.client(client.Options{}), ann).Key, load: fail, save: func(string) error { return fail() }}
		var told events
		c := s.client(client.Options{Keys: keys, Hooks: told.watch("c")})
		if err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantNobody(t, c)
		s.dropAll()
		keys.load = nil // the next connection tries again
		if err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantUser(t, c, ann)
		if err := c.CloseSession(t.Context()); err != nil {
			t.Error(err)
		}
		login(t, c, ann)
		told.want(t, "c created")
	})
}

// Neither connecting nor Close waits for ever for a KeyStore that hangs.
func TestHangingKeyStore(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		s := open(t, v, server.Options{})
		release := make(chan struct{})
		defer close(release)
		hang := func() error { <-release; return nil }
		login(t, s.client(client.Options{Keys: &keyStore{save: func(string) error { return hang() }}}), ann)
		loading := s.client(client.Options{Keys: &keyStore{load: hang}})
		if err := loading.Connect(within(t, time.Minute)); err != nil {
			t.Errorf("Connect: %v", err)
		}
		wantNobody(t, loading)
		began := time.Now()
		loading.Close()
		if took := time.Since(began); took > time.Minute/2 {
			t.Errorf("Close took %v", took)
		}
	})
}

// The client gives its session up in the moment between its restoration and the use
// of the connection: the server must not go on believing in it.
func TestCloseBetweenRestoreAndUse(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		s := open(t, v, server.Options{})
		for range rounds(500, 50, 10) {
			first := s.client(client.Options{})
			made := login(t, first, ann)
			first.Close()
			var c *client.Client
			d := &dialer{Dialer: s.ln, replied: func() {
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				c.CloseSession(ctx)
			}}
			c = client.New(d, client.Options{Versions: []protocol.Version{v}, Keys: &keyStore{key: made.Key}})
			if err := c.Connect(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second) // virtual: it may have to connect once more
			wantNobody(t, c)
			c.Close()
			s.dropAll()
			s.CloseSession(t.Context(), made.Key)
			s.wantSessions(0)
		}
	})
}

// dialer makes connections that tell when they have taken the reply to the first request.
type dialer struct {
	transport.Dialer
	once    sync.Once
	replied func()
}

func (d *dialer) Dial(ctx context.Context, opts transport.DialOptions) (transport.Conn, error) {
	conn, err := d.Dialer.Dial(ctx, opts)
	return &watchedConn{Conn: conn, dialer: d}, err
}

type watchedConn struct {
	transport.Conn
	dialer *dialer
	got    bool
}

func (c *watchedConn) Read(buf []byte) ([]byte, error) {
	if c.got {
		c.dialer.once.Do(c.dialer.replied)
	}
	b, err := c.Conn.Read(buf)
	c.got = err == nil && b[0] >= 191
	return b, err
}

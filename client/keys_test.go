package client_test

import (
	"path/filepath"
	"strings"
	"testing"

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

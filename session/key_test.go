package session_test

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/webwire-go/webwire/session"
)

func TestNewKey(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 10_000
	}
	seen := make(map[string]struct{}, n)
	for range n {
		seen[session.NewKey()] = struct{}{}
	}
	if len(seen) != n {
		t.Errorf("%d different keys of %d", len(seen), n)
	}
	checked := 0
	for key := range seen {
		b, err := base64.RawURLEncoding.Strict().DecodeString(key)
		if err != nil || len(b) != 32 || len(key) != 43 {
			t.Fatalf("%d bytes in %d characters, %v", len(b), len(key), err)
		}
		if err := session.CheckKey(key); err != nil {
			t.Fatal(err)
		}
		if checked++; checked == 1000 {
			break
		}
	}
}

func TestCheckKey(t *testing.T) {
	for _, key := range []string{"a", " ", "~", "a b", "../..", strings.Repeat("x", 255)} {
		if err := session.CheckKey(key); err != nil {
			t.Errorf("%.20q: %v", key, err)
		}
	}
	for b := range 256 {
		if fit := session.CheckKey("a"+string([]byte{byte(b)})+"z") == nil; fit != (b >= 32 && b <= 126) {
			t.Errorf("byte %d: fit is %v", b, fit)
		}
	}
	for _, key := range []string{"", strings.Repeat("x", 256), "secret\n", "secret€"} {
		err := session.CheckKey(key)
		if err == nil {
			t.Errorf("%.20q is accepted", key)
		} else if strings.Contains(err.Error(), "secret") || !strings.HasPrefix(err.Error(), "session: ") {
			t.Error(err)
		}
	}
}

func TestHash(t *testing.T) {
	hash := session.Hash("abc")
	const want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // FIPS 180-2
	if got := hex.EncodeToString(hash[:]); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

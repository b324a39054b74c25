package natsengine

import (
	"strings"
	"testing"
	"time"
)

// Every name has a token of its own, which NATS takes for one word.
func TestTokens(t *testing.T) {
	seen := make(map[string]string)
	check := func(name string) {
		t.Helper()
		got := token(name)
		if other, ok := seen[got]; ok && other != name {
			t.Errorf("%q and %q are both %q", name, other, got)
		}
		seen[got] = name
		if got == "" || len(got) > maxToken || strings.ContainsAny(got, " .*>\t\r\n\x00") {
			t.Errorf("%q is %q", name, got)
		}
	}
	for a := range 256 {
		check(string([]byte{byte(a)}))
		for b := range 256 {
			check(string([]byte{byte(a), byte(b)}))
		}
	}
	for _, name := range []string{"room.42", "=41", "A", "=h", "=3D41", "=68", "комната"} {
		check(name)
	}
	for n := 195; n <= 255; n++ {
		check(strings.Repeat("n", n))
		check(strings.Repeat(".", n))
	}
	// What is longer than its limit is named by its hash, which no other name looks like.
	check(token(strings.Repeat("n", 255)))
	if got := token("room.42-_"); got != "room=2E42-_" {
		t.Errorf("got %q", got)
	}
}

func TestVersions(t *testing.T) {
	for version, ok := range map[string]bool{
		"2.12.0": true, "2.12.1-RC.1": true, "2.15.2": true, "3.0.0": true, "10.0.0": true,
		"2.11.9": false, "2.9.0": false, "1.99.0": false, "": false, "new": false,
	} {
		if err := checkVersion(version); (err == nil) != ok {
			t.Errorf("server %q: %v", version, err)
		}
	}
}

func TestReconnectDelay(t *testing.T) {
	for attempts := range 100 {
		if d := reconnectDelay(attempts); d < 100*time.Millisecond || d > 2700*time.Millisecond {
			t.Errorf("attempt %d waits %v", attempts, d)
		}
	}
}

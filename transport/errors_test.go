package transport_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/webwire-go/webwire/transport"
)

func TestSendable(t *testing.T) {
	want := func(s transport.Status) bool {
		switch s {
		case 1004, 1005, 1006:
			return false
		}
		return s >= 1000 && s <= 1014 || s >= 3000 && s <= 4999
	}
	for s := range 1 << 16 {
		if status := transport.Status(s); status.Sendable() != want(status) {
			t.Errorf("Status(%d).Sendable() is %t", s, status.Sendable())
		}
	}
}

func TestCutReason(t *testing.T) {
	for _, c := range []struct{ name, reason, want string }{
		{"empty", "", ""},
		{"short", "going away", "going away"},
		{"longest", strings.Repeat("x", 123), strings.Repeat("x", 123)},
		{"too long", strings.Repeat("x", 124), strings.Repeat("x", 123)},
		{"two bytes", strings.Repeat("é", 100), strings.Repeat("é", 61)},
		{"four bytes", strings.Repeat("😀", 100), strings.Repeat("😀", 30)},
		{"not cut within a rune", strings.Repeat("x", 122) + "éx", strings.Repeat("x", 122)},
		{"invalid", "a\xff\xfeb", "a\uFFFD\uFFFDb"},
		{"invalid and too long", strings.Repeat("\xff", 123), strings.Repeat("\uFFFD", 41)},
	} {
		if got := transport.CutReason(c.reason); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func FuzzCutReason(f *testing.F) {
	f.Add("short")
	f.Add(strings.Repeat("é", 100))
	f.Add("\xf0\x9f")
	f.Fuzz(func(t *testing.T, reason string) {
		got := transport.CutReason(reason)
		if len(got) > transport.MaxReason || !utf8.ValidString(got) {
			t.Errorf("%q has %d bytes", got, len(got))
		}
		if transport.CutReason(got) != got {
			t.Errorf("cutting %q again changes it", got)
		}
		if utf8.ValidString(reason) && !strings.HasPrefix(reason, got) {
			t.Errorf("%q is no beginning of %q", got, reason)
		}
	})
}

func TestCloseError(t *testing.T) {
	for _, c := range []struct {
		err  transport.CloseError
		want string
	}{
		{transport.CloseError{Status: 1000}, "transport: connection closed by the peer (1000 normal closure)"},
		{transport.CloseError{Status: 1001, Reason: "restart"}, "transport: connection closed by the peer (1001 going away): restart"},
		{transport.CloseError{Status: 3000, Reason: "behind", Local: true}, "transport: connection closed (3000 slow consumer): behind"},
		{transport.CloseError{Status: 4001, Reason: "own"}, "transport: connection closed by the peer (4001): own"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
		wrapped := fmt.Errorf("read: %w", &c.err)
		var closed *transport.CloseError
		if !errors.Is(wrapped, net.ErrClosed) || !errors.As(wrapped, &closed) || *closed != c.err {
			t.Errorf("%v is not found in an error chain", wrapped)
		}
	}
}

func TestRefusedError(t *testing.T) {
	err := &transport.RefusedError{StatusCode: 503}
	if got, want := err.Error(), "transport: endpoint answered 503 Service Unavailable"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	err.Reason = "back soon"
	if got, want := err.Error(), "transport: endpoint answered 503 Service Unavailable: back soon"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestFinal(t *testing.T) {
	for status, want := range map[transport.Status]bool{
		1000: false, 1008: false, 3499: false, 3500: true, 3999: true, 4000: false, 4499: false, 4500: true, 4999: true, 5000: false,
	} {
		if status.Final() != want {
			t.Errorf("Status(%d).Final() is %t", status, status.Final())
		}
	}
}

func TestRefusedErrorNamesTheRedirect(t *testing.T) {
	err := &transport.RefusedError{StatusCode: 302, Location: "https://example.com/login"}
	if got, want := err.Error(), `transport: endpoint answered 302 Found, redirect to "https://example.com/login"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

package wsnet

import (
	"crypto/tls"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/webwire-go/webwire/transport"
)

func TestCheckOrigin(t *testing.T) {
	for _, c := range []struct {
		name    string
		secure  bool
		host    string
		origins []string // header lines
		allowed []string
		want    bool
	}{
		{name: "absent", host: "example.com", want: true},
		{name: "same", host: "example.com", origins: []string{"http://example.com"}, want: true},
		{name: "same with TLS", secure: true, host: "example.com", origins: []string{"https://example.com"}, want: true},
		{name: "same, case", host: "Example.COM", origins: []string{"HTTP://example.com"}, want: true},
		{name: "same, port", host: "example.com:8080", origins: []string{"http://example.com:8080"}, want: true},
		{name: "same, default port in host", host: "example.com:80", origins: []string{"http://example.com"}, want: true},
		{name: "same, default port in origin", secure: true, host: "example.com", origins: []string{"https://example.com:443"}, want: true},
		{name: "same, IPv6", host: "[::1]:8080", origins: []string{"http://[::1]:8080"}, want: true},
		{name: "same, IPv6 default port", host: "[::1]", origins: []string{"http://[::1]:80"}, want: true},
		{name: "http page, TLS server", secure: true, host: "example.com", origins: []string{"http://example.com"}},
		{name: "https page, a proxy ends TLS", host: "example.com", origins: []string{"https://example.com"}, want: true},
		{name: "https page, a proxy ends TLS, port", host: "example.com:8443", origins: []string{"https://example.com:8443"}, want: true},
		{name: "https page, a proxy ends TLS, other port", host: "example.com", origins: []string{"https://example.com:8443"}},
		{name: "application of the same host", host: "localhost", origins: []string{"capacitor://localhost"}},
		{name: "https page, plain server, listed", host: "example.com", origins: []string{"https://example.com"}, allowed: []string{"https://example.com"}, want: true},
		{name: "other default port", host: "example.com:443", origins: []string{"http://example.com"}},
		{name: "other port", host: "example.com:8080", origins: []string{"http://example.com"}},
		{name: "other host", host: "example.com", origins: []string{"http://evil.com"}},
		{name: "subdomain", host: "example.com", origins: []string{"http://www.example.com"}},
		{name: "suffix", host: "example.com", origins: []string{"http://notexample.com"}},
		{name: "user", host: "example.com", origins: []string{"http://example.com@evil.com"}},
		{name: "user of the same host", host: "example.com", origins: []string{"http://evil.com@example.com"}},
		{name: "path", host: "example.com", origins: []string{"http://example.com/"}},
		{name: "query", host: "example.com", origins: []string{"http://example.com?"}},
		{name: "fragment", host: "example.com", origins: []string{"http://example.com#"}},
		{name: "null", host: "example.com", origins: []string{"null"}},
		{name: "null, listed", host: "example.com", origins: []string{"null"}, allowed: []string{"null"}},
		{name: "null, any", host: "example.com", origins: []string{"null"}, allowed: []string{"*"}, want: true},
		{name: "empty", host: "example.com", origins: []string{""}},
		{name: "no scheme", host: "example.com", origins: []string{"example.com"}},
		{name: "malformed", host: "example.com", origins: []string{"http://%zz"}},
		{name: "two", host: "example.com", origins: []string{"http://example.com", "http://evil.com"}},
		{name: "no host", origins: []string{"http://"}},
		{name: "listed", host: "example.com", origins: []string{"https://app.org"}, allowed: []string{"https://app.net", "HTTPS://App.org:443"}, want: true},
		{name: "listed with another scheme", host: "example.com", origins: []string{"http://app.org"}, allowed: []string{"https://app.org"}},
		{name: "listed with another port", host: "example.com", origins: []string{"https://app.org:444"}, allowed: []string{"https://app.org"}},
		{name: "listed without scheme", host: "example.com", origins: []string{"https://app.org"}, allowed: []string{"app.org"}},
		{name: "scheme of an application", host: "example.com", origins: []string{"capacitor://localhost"}, allowed: []string{"capacitor://localhost"}, want: true},
		{name: "the list does not replace the same", host: "example.com", origins: []string{"http://example.com"}, allowed: []string{"https://app.org"}, want: true},
		{name: "any", host: "example.com", origins: []string{"http://evil.com"}, allowed: []string{"https://app.org", "*"}, want: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &http.Request{Host: c.host, Header: http.Header{}}
			for _, o := range c.origins {
				r.Header.Add("Origin", o)
			}
			if c.secure {
				r.TLS = new(tls.ConnectionState)
			}
			if err := CheckOrigin(r, c.allowed); (err == nil) != c.want {
				t.Errorf("CheckOrigin: %v", err)
			}
		})
	}
}

// A refusal names the origin and the remedy.
func TestRefusedOriginIsNamed(t *testing.T) {
	r := &http.Request{Host: "example.com", Header: http.Header{"Origin": {"https://app.org"}}}
	err := CheckOrigin(r, []string{"https://other.org"})
	if !errors.Is(err, transport.ErrOrigin) || !strings.Contains(err.Error(), `"https://app.org"`) || !strings.Contains(err.Error(), "Upgrader.Origins") {
		t.Errorf("CheckOrigin: %v", err)
	}
}

// An entry that can never match is a mistake, which the error points out.
func TestCheckOrigins(t *testing.T) {
	for _, good := range [][]string{nil, {"*"}, {"https://app.org", "http://localhost:3000", "capacitor://localhost", "http://[::1]:80"}} {
		if err := CheckOrigins(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "app.org", "https://app.org/", "https://*.app.org", "https://", "null", "https://app.org?x", "app.org:443"} {
		if err := CheckOrigins([]string{"https://good.org", bad}); err == nil || !strings.Contains(err.Error(), strconv.Quote(bad)) || !strings.Contains(err.Error(), "scheme://host") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

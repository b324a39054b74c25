package wstest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/webwire-go/webwire/internal/check/port"
	"github.com/webwire-go/webwire/internal/wsnet"
	"github.com/webwire-go/webwire/transport"
)

// proxyServer starts a proxy that makes tunnels for one user. It does nothing else, as
// one that follows the standard would not pass on a request for an upgrade.
func proxyServer(t *testing.T, secure bool) *url.URL {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodConnect:
			http.Error(w, "CONNECT only", http.StatusMethodNotAllowed)
			return
		case r.Header.Get("Proxy-Authorization") != "Basic dXNlcjpzZWNyZXQ=":
			http.Error(w, "who is it?", http.StatusProxyAuthRequired)
			return
		}
		out, err := net.Dial("tcp", r.Host)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		in, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(in, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { io.Copy(out, in); out.Close() }()
		io.Copy(in, out)
		in.Close()
	}))
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("user", "secret")
	return u
}

// A proxy carries the bytes between the client and the endpoint, whether these are
// encrypted or not.
func (s suite) testDialThroughProxy(t *testing.T) {
	for _, secure := range []bool{false, true} {
		for _, secureProxy := range []bool{false, true} {
			t.Run(fmt.Sprintf("TLS %t, to the proxy %t", secure, secureProxy), func(t *testing.T) {
				h := s.listen(t, secure, Upgrader{}, transport.UpgradeOptions{}, nil)
				proxy := proxyServer(t, secureProxy)
				d := h.endpoint()
				d.Proxy = http.ProxyURL(proxy)
				if !secure && secureProxy {
					d.TLS = s.listen(t, true, Upgrader{}, transport.UpgradeOptions{}, nil).endpoint().TLS // all have the same certificate
				}
				client, err := s.Dialer(d).Dial(t.Context(), transport.DialOptions{})
				if err != nil {
					t.Fatal(err)
				}
				server := <-h.conns
				defer server.Abort()
				defer client.Abort()
				if got := client.RemoteAddr().String(); got != proxy.Host {
					t.Errorf("RemoteAddr %s, want the proxy's %s", got, proxy.Host)
				}
				wantEcho(t, client, server)
			})
		}
	}
}

// Metadata comes through the same tunnel as a connection.
func (s suite) testProbeThroughProxy(t *testing.T) {
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Method) }))
	defer host.Close()
	d := wsnet.Endpoint{URL: host.URL, Proxy: http.ProxyURL(proxyServer(t, false))}
	if metadata, err := s.Dialer(d).Probe(t.Context(), transport.DialOptions{}); err != nil || string(metadata) != wsnet.MethodMetadata {
		t.Errorf("Probe: %q, %v", metadata, err)
	}
}

// An error of a proxy names it and says what it answered, and not the password.
func (s suite) testProxyRefuses(t *testing.T) {
	proxy := proxyServer(t, false)
	stranger := *proxy
	stranger.User = url.UserPassword("stranger", "secret")
	gone := port.Reserve(t)
	nowhere := &url.URL{Scheme: "http", Host: gone}
	for _, c := range []struct {
		name  string
		proxy *url.URL
		text  string
	}{
		{"a stranger", &stranger, "407 Proxy Authentication Required"},
		{"an endpoint that is not there", proxy, "502 Bad Gateway"},
		{"a proxy that is not there", nowhere, "refused"},
	} {
		d := wsnet.Endpoint{URL: "ws://" + gone, Proxy: http.ProxyURL(c.proxy)}
		_, dialErr := s.Dialer(d).Dial(t.Context(), transport.DialOptions{})
		_, probeErr := s.Dialer(d).Probe(t.Context(), transport.DialOptions{})
		for _, err := range []error{dialErr, probeErr} {
			if err == nil || !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), "proxy http://") ||
				!strings.Contains(err.Error(), c.proxy.Host+":") || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: error %v", c.name, err)
			}
		}
	}
}

// A proxy that never answers is bounded by the context, and nothing is left behind.
func (s suite) testProxyIsSilent(t *testing.T) {
	before := runtime.NumGoroutine()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, scheme := range []string{"http", "https"} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		d := wsnet.Endpoint{URL: "ws://localhost", Proxy: http.ProxyURL(&url.URL{Scheme: scheme, Host: l.Addr().String()})}
		if _, err := s.Dialer(d).Dial(ctx, transport.DialOptions{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Dial: %v", err)
		}
	}
	await(t, "the goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}

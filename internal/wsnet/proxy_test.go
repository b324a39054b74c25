package wsnet

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// tunnelled answers a CONNECT, and returns what openTunnel makes of that.
func tunnelled(t *testing.T, answer string) (net.Conn, error) {
	t.Helper()
	wire, far := net.Pipe()
	t.Cleanup(func() { wire.Close() })
	go func() {
		defer far.Close()
		r, err := http.ReadRequest(bufio.NewReader(far))
		if err != nil || r.Method != http.MethodConnect || r.Host != "example.com:80" || r.Header.Get("Proxy-Authorization") != "" {
			t.Errorf("request %+v, %v", r, err)
		}
		io.WriteString(far, answer)
	}()
	return openTunnel(t.Context(), wire, &url.URL{Scheme: "http", Host: "proxy"}, new(tls.Config), "example.com:80")
}

// What comes behind the answer of a proxy is the endpoint's.
func TestTunnelKeepsEarlyBytes(t *testing.T) {
	conn, err := tunnelled(t, "HTTP/1.1 200 OK\r\nVia: proxy\r\n\r\nearly")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); err != nil || string(got) != "early" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestTunnelRefused(t *testing.T) {
	for answer, text := range map[string]string{
		"HTTP/1.1 403 Forbidden\r\n\r\n": "403 Forbidden",
		"HTTP/1.1 200":                   "EOF",
		"nonsense\r\n\r\n":               "malformed",
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*maxAnswer) + "\r\n\r\n": "EOF",
	} {
		if _, err := tunnelled(t, answer); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%.40q: %v, want %q", answer, err, text)
		}
	}
}

func TestProxyAddr(t *testing.T) {
	for text, want := range map[string]string{
		"http://proxy":         "proxy:80",
		"https://proxy":        "proxy:443",
		"http://proxy:3128":    "proxy:3128",
		"https://u:p@[::1]":    "[::1]:443",
		"http://[::1]:8080/x?": "[::1]:8080",
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := proxyAddr(u); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

package fire_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/webwire-go/webwire/internal/check/e2e/load"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/websocket"
)

// Which pages may connect, and which may read the metadata. internal/wsnet has the same for
// hosts with TLS and with ports that are left out.
func TestOriginsAndMetadata(t *testing.T) {
	srv := server.New(server.Options{Logger: load.Quiet, Upgrader: websocket.Upgrader{Origins: []string{
		"https://app.example", "http://dev.example:3000", "capacitor://localhost",
	}}})
	defer srv.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &http.Server{Handler: srv}
	done := make(chan struct{})
	go func() { defer close(done); _ = h.Serve(ln) }()
	defer func() { _ = h.Close(); <-done }()

	const (
		taken   = http.StatusSwitchingProtocols
		refused = http.StatusForbidden
	)
	upgrade := "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n"
	rows := 0
	for _, c := range []struct {
		method, header string
		status         int
		want           string // in the header or the body of the answer
	}{
		// Pages.
		{"GET", upgrade, taken, ""},
		{"GET", upgrade + "Origin: http://chat.example\n", taken, ""},
		{"GET", upgrade + "Origin: HTTP://CHAT.EXAMPLE\n", taken, ""},
		{"GET", upgrade + "Origin: http://chat.example:80\n", taken, ""},
		{"GET", upgrade + "Origin: https://chat.example\n", taken, ""}, // a proxy ends TLS
		{"GET", upgrade + "Origin: http://chat.example:8080\n", refused, ""},
		{"GET", upgrade + "Origin: https://chat.example:8443\n", refused, ""},
		{"GET", upgrade + "Origin: https://app.example\n", taken, ""},
		{"GET", upgrade + "Origin: https://app.example:443\n", taken, ""},
		{"GET", upgrade + "Origin: http://app.example\n", refused, ""},
		{"GET", upgrade + "Origin: https://app.example:444\n", refused, ""},
		{"GET", upgrade + "Origin: http://dev.example:3000\n", taken, ""},
		{"GET", upgrade + "Origin: http://dev.example\n", refused, ""},
		{"GET", upgrade + "Origin: capacitor://localhost\n", taken, ""},
		{"GET", upgrade + "Origin: capacitor://evil\n", refused, ""},
		{"GET", upgrade + "Origin: http://evil.example\n", refused, ""},
		{"GET", upgrade + "Origin: http://evil-chat.example\n", refused, ""},
		{"GET", upgrade + "Origin: http://chat.example.evil\n", refused, ""},
		{"GET", upgrade + "Origin: http://sub.chat.example\n", refused, ""},
		{"GET", upgrade + "Origin: http://chat.example@evil.example\n", refused, ""},
		{"GET", upgrade + "Origin: http://evil.example@chat.example\n", refused, ""},
		{"GET", upgrade + "Origin: http://chat.example/\n", refused, ""},
		{"GET", upgrade + "Origin: http://chat.example/path\n", refused, ""},
		{"GET", upgrade + "Origin: http://chat.example?\n", refused, ""},
		{"GET", upgrade + "Origin: http://chat.example#x\n", refused, ""},
		{"GET", upgrade + "Origin: chat.example\n", refused, ""},
		{"GET", upgrade + "Origin: //chat.example\n", refused, ""},
		{"GET", upgrade + "Origin: null\n", refused, ""},
		{"GET", upgrade + "Origin: \n", refused, ""},
		{"GET", upgrade + "Origin: *\n", refused, ""},
		{"GET", upgrade + "Origin: http://%zz\n", refused, ""},
		{"GET", upgrade + "Origin: file://\n", refused, ""},
		{"GET", upgrade + "Origin: http://chat.example http://evil.example\n", refused, ""},
		{"GET", upgrade + "Origin: http://chat.example\nOrigin: http://evil.example\n", refused, ""},
		{"GET", upgrade + "Origin: http://chat.example\nX-Forwarded-Host: evil.example\n", taken, ""},
		{"GET", upgrade + "Origin: http://evil.example\nX-Forwarded-Host: evil.example\n", refused, ""},
		{"GET", upgrade + "Origin: http://evil.example\nForwarded: host=evil.example\n", refused, ""},
		// Metadata: any page may read it, and nothing else.
		{"OPTIONS", "Origin: http://evil.example\nAccess-Control-Request-Method: WEBWIRE\n", http.StatusOK, "Access-Control-Allow-Methods: WEBWIRE"},
		{"OPTIONS", "", http.StatusOK, "Access-Control-Allow-Origin: *"},
		{"WEBWIRE", "", http.StatusOK, `"protocol-version"`},
		{"WEBWIRE", "Origin: http://evil.example\n", http.StatusOK, "Access-Control-Allow-Origin: *"},
		{"GET", "Accept: application/webwire+json\n", http.StatusOK, `"protocol-version"`},
		{"GET", "Accept: text/html, application/webwire+json;q=0.9\n", http.StatusOK, "Cache-Control: no-store"},
		{"HEAD", "Accept: application/webwire+json\n", http.StatusOK, "Content-Type: application/json"},
		{"GET", "Accept: */*\n", http.StatusUpgradeRequired, ""},
		{"GET", "", http.StatusUpgradeRequired, ""},
		{"POST", "Accept: application/webwire+json\n", http.StatusUpgradeRequired, ""},
		{"GET", upgrade + "Accept: application/webwire+json\nOrigin: http://evil.example\n", refused, ""},
	} {
		rows++
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, strings.ReplaceAll(c.method+" / HTTP/1.1\nHost: chat.example\n"+c.header+"\n", "\n", "\r\n")) // the answer says it
		r, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: c.method})
		if err != nil {
			t.Fatal(err)
		}
		var answer strings.Builder
		_ = r.Header.Write(&answer) // a Builder takes everything
		if r.StatusCode != taken {
			_, _ = io.Copy(&answer, r.Body) // what is missing shows
		}
		conn.Close()
		name := c.method + " " + strings.TrimPrefix(c.header, upgrade)
		if r.StatusCode != c.status {
			t.Errorf("%q: %d, want %d", name, r.StatusCode, c.status)
		}
		if !strings.Contains(answer.String(), c.want) {
			t.Errorf("%q: %q lacks %q", name, answer.String(), c.want)
		}
		if c.status == refused && strings.Contains(answer.String(), "Access-Control-Allow") {
			t.Errorf("%q: a refused page is allowed to read the answer", name)
		}
	}
	load.Figure("origins, CORS and metadata", "exact, ≥ 40 rows", "%d rows", rows)
}

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/websocket"
)

// A request prints the reply, whatever the network and the version.
func TestRequest(t *testing.T) {
	cert, key := selfSigned(t)
	for _, network := range []struct{ args, flags []string }{
		{nil, nil},
		{[]string{"-addr", "tcp://127.0.0.1:0"}, nil},
		{[]string{"-addr", "unix:" + filepath.Join(t.TempDir(), "socket")}, nil},
		{[]string{"-cert", cert, "-key", key}, []string{"-insecure"}},
		{[]string{"-addr", "tcp://127.0.0.1:0", "-cert", cert, "-key", key}, []string{"-insecure"}},
	} {
		url, _ := startServer(t, network.args...)
		run := func(stdin string, args ...string) ran {
			return webwire(t, stdin, append(append([]string{"request"}, network.flags...), args...)...)
		}
		if web, ok := strings.CutPrefix(url, "ws"); ok { // as programs write URLs that know HTTP only
			if r := run("", "http"+web, "greet", "gopher"); r != (ran{"gopher\n", "", 0}) {
				t.Errorf("http%s: %+v", web, r)
			}
		}
		for _, v := range []string{"1.2", "1.3", "1.4", "1.5", "2.0"} {
			if r := run("", "-version", v, url, "greet", "gopher"); r != (ran{"gopher\n", "", 0}) {
				t.Errorf("%s %s: %+v", url, v, r)
			}
		}
		// Flags may follow arguments, and arguments may look like flags.
		if r := run("", url, "greet", "-timeout", "9s", "--", "-5"); r != (ran{"-5\n", "", 0}) {
			t.Errorf("%s: %+v", url, r)
		}
		if r := run("a\x00\xff", url, "greet", "-", "-binary"); r != (ran{"a\x00\xff", "", 0}) {
			t.Errorf("%s: %+v", url, r)
		}
		if network.flags != nil {
			if r := webwire(t, "", "request", url, "greet", "x"); r.code != exitUnreachable || !strings.Contains(r.stderr, "certificate") {
				t.Errorf("%s without -insecure: %+v", url, r)
			}
		}
	}
}

// The outcome of a request decides the exit code.
func TestRequestFails(t *testing.T) {
	t.Parallel() // it waits most of the time
	url, _ := startServer(t)
	for _, c := range []struct {
		args   []string
		code   int
		stderr string
		json   string
	}{
		{[]string{"fail", "NO_NAME say who you are"}, 1, "webwire: the server refused the request: NO_NAME: say who you are\n",
			`{"ok":false,"code":"NO_NAME","error":"NO_NAME: say who you are","ms":1}`},
		{[]string{"sleep", "1h", "-timeout", patience}, 4, "webwire: no reply within " + patience + "; the server may have executed the request\n",
			`{"ok":false,"error":"context deadline exceeded","ms":1}`},
		{[]string{"größe", "x"}, 2, "webwire: protocol: malformed message: name has bytes outside 32 to 126\n",
			`{"ok":false,"error":"protocol: malformed message: name has bytes outside 32 to 126","ms":1}`},
	} {
		args := append([]string{"request", url}, c.args...)
		if r := webwire(t, "", args...); r != (ran{"", c.stderr, c.code}) {
			t.Errorf("%v: %+v", c.args, r)
		}
		if r := webwire(t, "", append(args, "-json")...); normal(r.stdout) != c.json+"\n" || r.code != c.code || r.stderr != "" {
			t.Errorf("%v: %s %+v", c.args, normal(r.stdout), r)
		}
	}
}

func TestRequestJSON(t *testing.T) {
	url, _ := startServer(t)
	for stdin, want := range map[string]string{
		"<ä>": `{"ok":true,"payload":{"encoding":"utf8","text":"<ä>"},"ms":1}`,
		"":    `{"ok":true,"payload":{"encoding":"utf8","text":""},"ms":1}`,
	} {
		if r := webwire(t, stdin, "request", "-json", url, "x", "-"); normal(r.stdout) != want+"\n" || r.code != 0 {
			t.Errorf("%q: %+v", stdin, r)
		}
	}
	if r := webwire(t, "\xff", "request", "-json", "-binary", url, "x", "-"); normal(r.stdout) != `{"ok":true,"payload":{"encoding":"binary","base64":"/w=="},"ms":1}`+"\n" {
		t.Errorf("binary: %+v", r)
	}
}

// The session of one run is that of the next.
func TestRequestSession(t *testing.T) {
	url, b := startServer(t)
	file := filepath.Join(t.TempDir(), "key")
	must(t, "request", "-session", file, url, "login", `{"user":"ann"}`)
	must(t, "request", "-session", file, url, "logout")
	must(t, "request", "-session", file, url, "login")
	must(t, "signal", "-session", file, url, "hello", "x")
	b.out.await(t, `(?s)session created.*session closed.*session created.*session restored`)
}

// Headers reach the server.
func TestRequestHeaders(t *testing.T) {
	got := make(chan http.Header, 1)
	srv := server.New(server.Options{
		Upgrader: websocket.Upgrader{},
		Hooks: server.Hooks{BeforeUpgrade: func(w http.ResponseWriter, r *http.Request) bool {
			got <- r.Header
			http.Error(w, "not today", http.StatusForbidden)
			return false
		}},
	})
	web := httptest.NewServer(srv)
	defer web.Close()
	url := "ws" + strings.TrimPrefix(web.URL, "http")
	r := webwire(t, "", "request", "-H", "Authorization: Bearer x:y", "-H", "X-Two: 1", "-H", "X-Two: 2", url, "name")
	h := <-got
	if h.Get("Authorization") != "Bearer x:y" || len(h.Values("X-Two")) != 2 {
		t.Errorf("headers %v", h)
	}
	if r.code != exitUnreachable || !strings.Contains(r.stderr, "403") || !strings.Contains(r.stderr, "not today") {
		t.Errorf("%+v", r)
	}
	_ = srv.Close()
}

// An interrupt ends a request that waits.
func TestRequestInterrupted(t *testing.T) {
	url, b := startServer(t)
	cmd, out := process(t, "request", url, "sleep", "1h")
	b.out.await(t, `request "sleep"`)
	if code := interrupted(t, cmd); code != exitInterrupted {
		text, _ := out.read()
		t.Errorf("exit code %d\n%s", code, text)
	}
	b.out.await(t, `#1 disconnected`)
}

// selfSigned writes a certificate for 127.0.0.1 and its key.
func selfSigned(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

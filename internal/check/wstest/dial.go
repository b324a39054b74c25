package wstest

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/webwire-go/webwire/internal/wsnet"
	"github.com/webwire-go/webwire/transport"
)

// The context of Dial has no meaning once Dial returned.
func (s suite) testDialContextEnds(t *testing.T) {
	h := s.listen(t, false, Upgrader{}, transport.UpgradeOptions{}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	client, err := s.Dialer(h.endpoint()).Dial(ctx, transport.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	server := <-h.conns
	defer client.Abort()
	defer server.Abort()
	cancel()
	wantEcho(t, client, server)
}

// A frame that the server sends first may arrive with its answer.
func (s suite) testDialKeepsEarlyFrames(t *testing.T) {
	addr, _ := rawServer(t, string(header(0x82, 5, false))+"early")
	client, err := s.Dialer(wsnet.Endpoint{URL: "ws://" + addr}).Dial(t.Context(), transport.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Abort()
	if msg, err := client.Read(nil); err != nil || string(msg) != "early" {
		t.Errorf("Read: %q, %v", msg, err)
	}
}

func (s suite) testDialBadURL(t *testing.T) {
	for _, c := range []struct{ url, text string }{
		{"", "scheme"},
		{"localhost:80", "scheme"},
		{"ftp://localhost", "scheme"},
		{"ws://", "host"},
		{"ws://:80", "host"},
		{"ws://user:secret@%zz", "invalid"},
		{"tcp://user:secret@localhost", "scheme"},
	} {
		d := wsnet.Endpoint{URL: c.url}
		_, err := s.Dialer(d).Dial(t.Context(), transport.DialOptions{})
		if err == nil || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "secret") {
			t.Errorf("Dial %q: %v", c.url, err)
		}
		if _, err = s.Dialer(d).Probe(t.Context(), transport.DialOptions{}); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("Probe %q: %v", c.url, err)
		}
	}
}

// Whatever the endpoint answers instead of switching protocols is a refusal, a
// redirect too, which is not followed.
func (s suite) testRefused(t *testing.T) {
	for _, c := range []struct {
		header http.Header
		body   string
		want   transport.RefusedError
	}{
		{http.Header{"Retry-After": {"3"}}, "Server shutting down\nmore", transport.RefusedError{StatusCode: 503, RetryAfter: 3 * time.Second, Reason: "Server shutting down"}},
		{http.Header{"Location": {"http://127.0.0.1:1/"}}, "", transport.RefusedError{StatusCode: 302, Location: "http://127.0.0.1:1/"}},
		{http.Header{"Location": {"http://user:secret@127.0.0.1:1/x?secret#y"}}, "moved", transport.RefusedError{StatusCode: 308, Reason: "moved", Location: "http://127.0.0.1:1/x"}},
		{nil, "not allowed", transport.RefusedError{StatusCode: 403, Reason: "not allowed"}},
		{nil, strings.Repeat("x", 1<<20), transport.RefusedError{StatusCode: 404, Reason: strings.Repeat("x", 200)}},
	} {
		host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for k, v := range c.header {
				w.Header()[k] = v
			}
			w.WriteHeader(c.want.StatusCode)
			io.WriteString(w, c.body)
		}))
		d := wsnet.Endpoint{URL: host.URL}
		_, dialErr := s.Dialer(d).Dial(t.Context(), transport.DialOptions{})
		_, probeErr := s.Dialer(d).Probe(t.Context(), transport.DialOptions{})
		for _, err := range []error{dialErr, probeErr} {
			var refused *transport.RefusedError
			if !errors.As(err, &refused) || *refused != c.want {
				t.Errorf("error %v, want %+v", err, c.want)
			}
		}
		host.Close()
	}

	// An answer 200 refuses a connection, but not a probe.
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	defer host.Close()
	_, err := s.Dialer(wsnet.Endpoint{URL: host.URL}).Dial(t.Context(), transport.DialOptions{})
	var refused *transport.RefusedError
	if !errors.As(err, &refused) || refused.StatusCode != 200 {
		t.Errorf("Dial: %v", err)
	}
}

// An endpoint that takes its time with the text of a refusal, or never answers,
// is bounded by the context and leaves nothing behind.
func (s suite) testDialCancelled(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, answer := range []string{"", "HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\nbusy"} {
		t.Run("", func(t *testing.T) {
			addr, sockets := rawAnswer(t, func(string) string { return answer })
			for _, scheme := range []string{"ws", "wss"} {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if scheme == "wss" {
					l, err := net.Listen("tcp", "127.0.0.1:0") // never shakes hands
					if err != nil {
						t.Fatal(err)
					}
					defer l.Close()
					addr = l.Addr().String()
					time.AfterFunc(100*time.Millisecond, cancel)
				} else {
					// The request has to arrive, or the other end misses it.
					go func() { <-sockets; time.AfterFunc(100*time.Millisecond, cancel) }()
				}
				start := time.Now()
				_, err := s.Dialer(wsnet.Endpoint{URL: scheme + "://" + addr}).Dial(ctx, transport.DialOptions{})
				var refused *transport.RefusedError
				if !errors.Is(err, context.Canceled) && !errors.As(err, &refused) {
					t.Errorf("Dial: %v", err)
				}
				if took := time.Since(start); took > 10*time.Second {
					t.Errorf("Dial took %v", took)
				}
			}
		})
	}
	await(t, "the goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}

// The context reaches the dialling of the network connection.
func (s suite) testDialCancelledBeforeConnecting(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	d := wsnet.Endpoint{URL: "ws://localhost", NetDial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		defer close(ended)
		cancel()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(patience):
			return nil, errors.New("the context never ended")
		}
	}}
	start := time.Now()
	if _, err := s.Dialer(d).Dial(ctx, transport.DialOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Dial: %v", err)
	}
	<-ended
	if took := time.Since(start); took > patience/2 {
		t.Errorf("the dialling ended after %v", took)
	}
}

// An answer 101 that proves nothing is an error, and the connection is dropped.
func (s suite) testDialWrongKey(t *testing.T) {
	addr, sockets := rawAnswer(t, func(string) string {
		return "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: AAAA\r\n\r\n"
	})
	if _, err := s.Dialer(wsnet.Endpoint{URL: "ws://" + addr}).Dial(t.Context(), transport.DialOptions{}); err == nil {
		t.Error("Dial accepted the answer")
	}
	socket := <-sockets
	socket.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, socket); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is still open")
	}
}

// An upgraded connection costs the client no goroutine but those of the library.
func (s suite) testDialLeavesNoGoroutine(t *testing.T) {
	addr, sockets := rawServer(t, "")
	before := runtime.NumGoroutine()
	client, err := s.Dialer(wsnet.Endpoint{URL: "ws://" + addr}).Dial(t.Context(), transport.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Abort()
	<-sockets
	await(t, "the goroutines of net/http to end", func() bool { return runtime.NumGoroutine() <= before+s.Goroutines })
}

func (s suite) testProbe(t *testing.T) {
	for _, secure := range []bool{false, true} {
		host := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != "WEBWIRE" || r.URL.Path != "/chat" || r.Header.Get("Authorization") != "yes" || r.Host != "example.com" {
				http.Error(w, "what?", http.StatusBadRequest)
				return
			}
			io.WriteString(w, `{"protocol-version":"1.2"}`)
		}))
		d := wsnet.Endpoint{Header: http.Header{"Authorization": {"yes"}, "Host": {"example.com"}}}
		if secure {
			host.StartTLS()
			d.TLS = host.Client().Transport.(*http.Transport).TLSClientConfig
		} else {
			host.Start()
		}
		defer host.Close()
		d.URL = strings.Replace(host.URL, "http", "ws", 1) + "/chat"
		metadata, err := s.Dialer(d).Probe(t.Context(), transport.DialOptions{})
		if err != nil || string(metadata) != `{"protocol-version":"1.2"}` {
			t.Errorf("Probe: %q, %v", metadata, err)
		}
	}
}

func (s suite) testProbeTooMuch(t *testing.T) {
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write(make([]byte, 1<<20))
	}))
	defer host.Close()
	if metadata, err := s.Dialer(wsnet.Endpoint{URL: host.URL}).Probe(t.Context(), transport.DialOptions{}); err == nil {
		t.Errorf("Probe returned %d bytes", len(metadata))
	}
}

func (s suite) testDialUntrusted(t *testing.T) {
	host := httptest.NewUnstartedServer(nil)
	host.Config.ErrorLog = quiet
	host.StartTLS()
	defer host.Close()
	d := wsnet.Endpoint{URL: host.URL}
	_, dialErr := s.Dialer(d).Dial(t.Context(), transport.DialOptions{})
	_, probeErr := s.Dialer(d).Probe(t.Context(), transport.DialOptions{})
	for _, err := range []error{dialErr, probeErr} {
		var untrusted *tls.CertificateVerificationError
		if !errors.As(err, &untrusted) {
			t.Errorf("error %v, want a *tls.CertificateVerificationError", err)
		}
	}
}

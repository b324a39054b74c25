package e2e_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/websocket"
)

// A client gives up, at the first attempt mostly, where only a person can help, and says why.
func TestFinalFailures(t *testing.T) {
	srv := server.New(server.Options{Upgrader: &websocket.Upgrader{}, Logger: slog.New(slog.DiscardHandler)})
	defer srv.Close()
	plain := httptest.NewServer(srv)
	defer plain.Close()
	secure := httptest.NewUnstartedServer(srv)
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	secure.StartTLS()
	defer secure.Close()
	strict := httptest.NewUnstartedServer(srv)
	strict.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	strict.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	strict.StartTLS()
	defer strict.Close()
	redirect := httptest.NewServer(http.RedirectHandler("/elsewhere", http.StatusFound))
	defer redirect.Close()
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusProxyAuthRequired)
	}))
	defer stranger.Close()
	proxy, err := url.Parse(stranger.URL)
	if err != nil {
		t.Fatal(err)
	}

	roots := x509.NewCertPool()
	roots.AddCert(strict.Certificate())
	wss := func(s *httptest.Server) string { return "wss" + s.URL[strings.Index(s.URL, "://"):] }
	for name, test := range map[string]struct {
		dialer websocket.Dialer
		says   string
		after  uint64 // attempts
	}{
		"URL":                        {websocket.Dialer{URL: "ftp://example.com"}, "scheme", 1},
		"untrusted certificate":      {websocket.Dialer{URL: wss(secure)}, "certificate", 1},
		"TLS at a plain port":        {websocket.Dialer{URL: wss(plain)}, "HTTP", 1},
		"missing client certificate": {websocket.Dialer{URL: wss(strict), TLS: &tls.Config{RootCAs: roots}}, "certificate required", 1},
		"the same with TLS 1.2":      {websocket.Dialer{URL: wss(strict), TLS: &tls.Config{RootCAs: roots, MaxVersion: tls.VersionTLS12}}, "handshake failure", 2},
		"proxy wants a password":     {websocket.Dialer{URL: plain.URL, Proxy: http.ProxyURL(proxy)}, "407", 1},
		"redirect":                   {websocket.Dialer{URL: redirect.URL}, "302", 1},
	} {
		t.Run(name, func(t *testing.T) {
			failed := make(chan error, 1)
			c := client.New(test.dialer, client.Options{
				Logger: slog.New(slog.DiscardHandler), MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond,
				Hooks: client.Hooks{OnConnectFailed: func(_ context.Context, err error) { failed <- err }},
			})
			defer c.Close()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			err := c.Connect(ctx)
			if err == nil || !strings.Contains(err.Error(), test.says) || c.Stats().Attempts != test.after {
				t.Errorf("Connect: %v after %d attempts", err, c.Stats().Attempts)
			}
			select {
			case err := <-failed:
				t.Log(err)
			case <-ctx.Done():
				t.Error("OnConnectFailed was not called")
			}
		})
	}
}

// A gateway that answers as if there were nothing, while the server behind it is
// replaced, does not end a client.
func TestGatewayWithoutServer(t *testing.T) {
	for _, status := range []int{403, 404, 421, 499, 502, 503} {
		srv := server.New(server.Options{Upgrader: &websocket.Upgrader{}, Logger: slog.New(slog.DiscardHandler), Hooks: server.Hooks{
			OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) { return r.Payload, nil },
		}})
		defer srv.Close()
		var away atomic.Bool
		refused := make(chan error, 100)
		gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if away.Load() {
				http.Error(w, "default backend", status)
				return
			}
			srv.ServeHTTP(w, r)
		}))
		defer gateway.Close()
		c := client.New(websocket.Dialer{URL: gateway.URL}, client.Options{
			Logger: slog.New(slog.DiscardHandler), MinBackoff: time.Millisecond, MaxBackoff: 5 * time.Millisecond,
			Hooks: client.Hooks{OnConnectError: func(_ context.Context, err error) {
				select {
				case refused <- err:
				default:
				}
			}},
		})
		defer c.Close()
		// With a reply the connection is among those of the server.
		if _, err := c.Request(t.Context(), "echo", protocol.Text("x")); err != nil {
			t.Fatal(err)
		}
		away.Store(true)
		for conn := range srv.Conns() {
			conn.Abort()
		}
		<-refused
		<-refused
		away.Store(false)
		if _, err := c.Request(t.Context(), "echo", protocol.Text("x")); err != nil {
			t.Errorf("after %d: %v", status, err)
		}
	}
}

// Whoever waited in vain for a connection learns why there is none, also if the
// deadline was that of the context.
func TestCauseOfNoConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
		}
		lines := new(atomic.Int32)
		c := client.New(websocket.Dialer{URL: "ws://127.0.0.1:1", NetDial: refused}, client.Options{
			MinBackoff: 10 * time.Millisecond, MaxBackoff: 20 * time.Millisecond, Logger: slog.New(counting{slog.DiscardHandler, lines}),
		})
		defer c.Close()
		for name, call := range map[string]func(context.Context) error{
			"Connect": c.Connect,
			"Request": func(ctx context.Context) error {
				_, err := c.Request(ctx, "echo", protocol.Text("x"))
				return err
			},
			"RestoreSession": func(ctx context.Context) error { return c.RestoreSession(ctx, "key") },
			"Signal": func(ctx context.Context) error {
				_ = c.Signal(ctx, "hello", protocol.Text("x"))
				<-ctx.Done()
				return c.Signal(t.Context(), "hello", protocol.Text("x"))
			},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			err := call(ctx)
			cancel()
			if name != "Signal" && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v is no DeadlineExceeded", name, err)
			}
			if err == nil || !strings.Contains(err.Error(), "refused") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := lines.Load(); n != 1 {
			t.Errorf("%d lines were logged for %d attempts", n, c.Stats().Attempts)
		}
	})
}

// counting counts what is logged.
type counting struct {
	slog.Handler
	lines *atomic.Int32
}

func (c counting) Enabled(context.Context, slog.Level) bool { return true }

func (c counting) Handle(context.Context, slog.Record) error {
	c.lines.Add(1)
	return nil
}

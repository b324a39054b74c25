package websocket_test

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/websocket"
)

// heldStatus keeps the status until there is a body, as the writers of gin and of
// compressing middleware do.
type heldStatus struct {
	http.ResponseWriter
	status int
}

func (h *heldStatus) WriteHeader(status int) { h.status = status }

func (h *heldStatus) Write(p []byte) (int, error) {
	if h.status != 0 {
		h.ResponseWriter.WriteHeader(h.status)
		h.status = 0
	}
	return h.ResponseWriter.Write(p)
}

func (h *heldStatus) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.ResponseWriter.(http.Hijacker).Hijack()
}

// failingHijack has the method Hijack, which fails.
type failingHijack struct{ http.ResponseWriter }

func (failingHijack) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, errors.New("not here")
}

func dialThrough(t *testing.T, wrap func(http.ResponseWriter) http.ResponseWriter) (transport.Conn, error) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, err := (websocket.Upgrader{}).Upgrade(wrap(w), r, transport.UpgradeOptions{}); err == nil {
			conn.Abort()
		}
	}))
	t.Cleanup(srv.Close)
	return websocket.Dialer{URL: "ws" + strings.TrimPrefix(srv.URL, "http")}.Dial(t.Context(), transport.DialOptions{})
}

func TestUpgradeWithHeldStatus(t *testing.T) {
	conn, err := dialThrough(t, func(w http.ResponseWriter) http.ResponseWriter { return &heldStatus{ResponseWriter: w} })
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	conn.Abort()
}

func TestUpgradeWhereHijackFails(t *testing.T) {
	conn, err := dialThrough(t, func(w http.ResponseWriter) http.ResponseWriter { return failingHijack{w} })
	if err == nil {
		conn.Abort()
	}
	var refused *transport.RefusedError
	if !errors.As(err, &refused) || refused.StatusCode < 500 {
		t.Errorf("Dial: %v, want a refusal with a status of the 500s", err)
	}
}

package fire_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode"

	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/websocket"
)

// plain is a log handler that escapes nothing.
type plain struct{ strings.Builder }

func (h *plain) Enabled(context.Context, slog.Level) bool { return true }
func (h *plain) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h *plain) WithGroup(string) slog.Handler            { return h }
func (h *plain) Handle(_ context.Context, r slog.Record) error {
	h.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool { fmt.Fprintf(h, " %s=%v", a.Key, a.Value); return true })
	return nil
}

// Middleware that believes X-Forwarded-For makes the address a text of the client.
func TestRemoteAddrOfMiddlewareInLog(t *testing.T) {
	var log plain
	srv := server.New(server.Options{Upgrader: websocket.Upgrader{}, Logger: slog.New(&log)})
	defer srv.Close()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Forwarded-For", "1.2.3.4\u202e\t\xff"+strings.Repeat("x", 8000))
	proxied := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // as handlers.ProxyHeaders of gorilla does
		r.RemoteAddr = r.Header.Get("X-Forwarded-For")
		srv.ServeHTTP(w, r)
	})
	proxied.ServeHTTP(httptest.NewRecorder(), r)
	text := log.String()
	if text == "" {
		t.Fatal("nothing is logged")
	}
	if i := strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 || len(text) > 4000 {
		t.Errorf("%d bytes, not escaped at %d: %.100q", len(text), i, text)
	}
}

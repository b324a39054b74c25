package websocket_test

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/websocket"
)

// Errors are logged, so they contain neither the password of a URL nor its query. The rest
// of it is as it was written.
func TestDialErrorsNameTheURL(t *testing.T) {
	for _, url := range []string{"ws://user:s3cret@127.0.0.1:1/ws", "ws://127.0.0.1:1/ws?access_token=s3cret"} {
		_, err := websocket.Dialer{URL: url}.Dial(t.Context(), transport.DialOptions{})
		if err == nil || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "dial ws://127.0.0.1:1/ws: ") {
			t.Errorf("Dial: %v", err)
		}
	}
}

func TestDialHeaderWithNewline(t *testing.T) {
	d := websocket.Dialer{URL: "ws://127.0.0.1:1/", Header: http.Header{"X-Name": {"a\r\nb: c"}}}
	if _, err := d.Dial(t.Context(), transport.DialOptions{}); !errors.Is(err, transport.ErrConfig) {
		t.Errorf("Dial: %v, want ErrConfig", err)
	}
}

func TestDialTLSAtPlainPort(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	_, err := websocket.Dialer{URL: "wss" + strings.TrimPrefix(srv.URL, "http")}.Dial(t.Context(), transport.DialOptions{})
	var record tls.RecordHeaderError
	if !errors.Is(err, http.ErrSchemeMismatch) && !errors.As(err, &record) {
		t.Errorf("Dial: %v, want one that names the plain port", err)
	}
}

package websocket_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/webwire-go/webwire/transport/websocket"

	"github.com/webwire-go/webwire/transport"
)

// A handshake is accepted in every form that HTTP/1.1 permits.
func TestHandshakeForms(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, err := (websocket.Upgrader{}).Upgrade(w, r, transport.UpgradeOptions{Protocols: []string{"b"}}); err == nil {
			conn.Abort()
		}
	}))
	defer srv.Close()
	const upgrade, connection = "Upgrade: websocket\r\n", "Connection: Upgrade\r\n"
	for name, c := range map[string]struct{ headers, protocol string }{
		"plain":                     {connection + upgrade, ""},
		"connection list":           {"Connection: keep-alive, Upgrade\r\n" + upgrade, ""},
		"connection lines":          {"Connection: keep-alive\r\n" + connection + upgrade, ""},
		"connection lines, reverse": {connection + "Connection: keep-alive\r\n" + upgrade, ""},
		"empty elements":            {"Connection: ,, Upgrade ,\r\nUpgrade: ,websocket,\r\n", ""},
		"odd case":                  {"cOnNeCtIoN: uPGRADE\r\nUPGRADE: WebSocket\r\n", ""},
		"odd spacing":               {"Connection:\t keep-alive\t,\tUpgrade \t\r\nUpgrade:websocket\t\r\n", ""},
		"upgrade list":              {connection + "Upgrade: h2c, websocket\r\n", ""},
		"upgrade lines":             {connection + "Upgrade: h2c\r\n" + upgrade, ""},
		"no protocol":               {connection + upgrade + "Sec-WebSocket-Protocol:\r\n", ""},
		"no protocols":              {connection + upgrade + "Sec-WebSocket-Protocol: , ,\r\n", ""},
		"protocol list":             {connection + upgrade + "Sec-WebSocket-Protocol: a ,\tb,\r\n", "b"},
		"protocol lines":            {connection + upgrade + "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b\r\n", "b"},
		"extensions":                {connection + upgrade + "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			socket, err := net.Dial("tcp", srv.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer socket.Close()
			socket.SetDeadline(time.Now().Add(10 * time.Second))
			io.WriteString(socket, "GET / HTTP/1.1\r\nHost: example.com\r\n"+c.headers+
				"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
			resp, err := http.ReadResponse(bufio.NewReader(socket), nil)
			if err != nil {
				t.Fatal(err)
			}
			h := resp.Header
			if resp.StatusCode != 101 || h.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" ||
				h.Get("Sec-WebSocket-Protocol") != c.protocol || h.Get("Sec-WebSocket-Extensions") != "" {
				t.Errorf("%s %v", resp.Status, h)
			}
		})
	}
}

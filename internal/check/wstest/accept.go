package wstest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/webwire-go/webwire/transport"
)

// unwrapOnly is what much middleware puts in place of the ResponseWriter.
type unwrapOnly struct{ w http.ResponseWriter }

func (u unwrapOnly) Header() http.Header         { return u.w.Header() }
func (u unwrapOnly) Write(p []byte) (int, error) { return u.w.Write(p) }
func (u unwrapOnly) WriteHeader(status int)      { u.w.WriteHeader(status) }
func (u unwrapOnly) Unwrap() http.ResponseWriter { return u.w }

// opaque can not even be unwrapped.
type opaque struct{ http.ResponseWriter }

func (s suite) testUpgradeThroughMiddleware(t *testing.T) {
	h := s.listen(t, false, Upgrader{}, transport.UpgradeOptions{}, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(unwrapOnly{unwrapOnly{w}}, r)
		})
	})
	client, server := h.connect(t, transport.DialOptions{})
	defer client.Abort()
	defer server.Abort()
	wantEcho(t, client, server)
}

// What Upgrade refuses it answers, and the error says why.
func (s suite) testUpgradeRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		header http.Header
		wrap   func(http.ResponseWriter) http.ResponseWriter
		status []int // one of them
		text   string
	}{
		{name: "another origin", header: http.Header{"Origin": {"https://evil.com"}}, status: []int{403}, text: "origin"},
		{name: "null origin", header: http.Header{"Origin": {"null"}}, status: []int{403}, text: "origin"},
		{name: "version", header: http.Header{"Sec-Websocket-Version": {"8"}}, status: []int{400, 426}, text: "version"},
		{name: "no upgrade", header: http.Header{"Connection": {"close"}}, status: []int{426}, text: "connection"},
		{
			name: "no hijacking", status: []int{501}, text: "switch",
			wrap: func(w http.ResponseWriter) http.ResponseWriter { return opaque{w} },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			failed := make(chan error, 1)
			host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if c.wrap != nil {
					w = c.wrap(w)
				}
				_, err := s.Upgrader(Upgrader{}).Upgrade(w, r, transport.UpgradeOptions{})
				failed <- err
			}))
			defer host.Close()
			r, err := http.NewRequest("GET", host.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header = http.Header{
				"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
				"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="},
			}
			for k, v := range c.header {
				r.Header[k] = v
			}
			resp, err := host.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			if !slices.Contains(c.status, resp.StatusCode) || !strings.Contains(strings.ToLower(string(body)), c.text) {
				t.Errorf("answer %d %q, want %d with %q", resp.StatusCode, body, c.status, c.text)
			}
			if err := <-failed; err == nil || !strings.HasPrefix(err.Error(), "websocket: upgrade: ") {
				t.Errorf("Upgrade: %v", err)
			}
		})
	}
}

// Pages of the server itself may connect, over TLS too.
func (s suite) testUpgradeSameOrigin(t *testing.T) {
	for _, secure := range []bool{false, true} {
		h := s.listen(t, secure, Upgrader{}, transport.UpgradeOptions{}, nil)
		d := h.endpoint()
		d.Header = http.Header{"Origin": {h.URL}}
		client, err := s.Dialer(d).Dial(t.Context(), transport.DialOptions{})
		if err != nil {
			t.Fatalf("Dial: %v", err)
		}
		client.Abort()
		(<-h.conns).Abort()
	}
}

// A client may send frames right behind its request, in one packet with it.
func (s suite) testUpgradeKeepsEarlyFrames(t *testing.T) {
	h := s.listen(t, false, Upgrader{}, transport.UpgradeOptions{}, nil)
	msgs := [][]byte{[]byte("early"), bytes.Repeat([]byte("long"), 800), []byte("last")}
	var frames []byte
	for _, msg := range msgs {
		frames = append(frames, append(header(0x82, len(msg), true), msg...)...)
	}
	readAnswer(t, rawRequest(t, h.Listener.Addr().String(), string(frames)))
	server := <-h.conns
	defer server.Abort()
	for _, want := range msgs {
		if got, err := server.Read(nil); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("Read: %d bytes, %v; want %d", len(got), err, len(want))
		}
	}
}

// No extension is agreed on, whatever is offered.
func (s suite) testUpgradeNegotiatesNoCompression(t *testing.T) {
	h := s.listen(t, false, Upgrader{}, transport.UpgradeOptions{}, nil)
	socket, err := net.Dial("tcp", h.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	io.WriteString(socket, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(socket), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.Header.Get("Sec-WebSocket-Extensions"); resp.StatusCode != 101 || got != "" {
		t.Errorf("answer %d with the extensions %q", resp.StatusCode, got)
	}
	(<-h.conns).Abort()
}

func (s suite) testText(t *testing.T) {
	text := append(header(0x81, 4, true), "text"...)
	setText := func(c transport.Conn, accept bool) { c.(transport.TextAccepter).AcceptText(accept) }
	for _, c := range []struct {
		name     string
		upgrader Upgrader
		change   func(transport.Conn)
		want     bool
	}{
		{name: "refused"},
		{name: "accepted", upgrader: Upgrader{AcceptText: true}, want: true},
		{name: "accepted later", change: func(c transport.Conn) { setText(c, true) }, want: true},
		{name: "refused later", upgrader: Upgrader{AcceptText: true}, change: func(c transport.Conn) { setText(c, false) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := s.listen(t, false, c.upgrader, transport.UpgradeOptions{Limits: transport.Limits{CloseTimeout: shortClose}}, nil)
			socket := rawRequest(t, h.Listener.Addr().String(), string(text))
			readAnswer(t, socket)
			server := <-h.conns
			defer server.Abort()
			if c.change != nil {
				c.change(server)
			}
			msg, err := server.Read(nil)
			if c.want {
				if err != nil || string(msg) != "text" {
					t.Errorf("Read: %q, %v", msg, err)
				}
				return
			}
			var closed *transport.CloseError
			if !errors.As(err, &closed) || closed.Status != transport.StatusUnsupportedData || !closed.Local {
				t.Errorf("Read: %v", err)
			}
			wantFrames(t, socket, transport.StatusUnsupportedData)
		})
	}
}

// A text that is not accepted, or is no more, closes the connection, and a Read that
// does is not announced by a transport.Peeker as one that need not wait.
func (s suite) testTextIsNotBuffered(t *testing.T) {
	frames := slices.Concat(header(0x82, 0, true), header(0x81, 4, true), []byte("text"), header(0x82, 0, true))
	for _, accepted := range []bool{false, true} {
		h := s.listen(t, false, Upgrader{AcceptText: accepted}, transport.UpgradeOptions{}, nil)
		readAnswer(t, rawRequest(t, h.Listener.Addr().String(), string(frames)))
		server := <-h.conns
		defer server.Abort()
		if _, err := server.Read(nil); err != nil {
			t.Fatal(err)
		}
		server.(transport.TextAccepter).AcceptText(false)
		if p, ok := server.(transport.Peeker); ok && p.Buffered() {
			t.Errorf("Buffered before a text that is not accepted (accepted before: %t)", accepted)
		}
	}
}

func wantEcho(t *testing.T, a, b transport.Conn) {
	t.Helper()
	for _, ends := range [][2]transport.Conn{{a, b}, {b, a}} {
		if err := ends[0].Write([]byte("hello")); err != nil {
			t.Fatalf("Write: %v", err)
		}
		if msg, err := ends[1].Read(nil); err != nil || string(msg) != "hello" {
			t.Fatalf("Read: %q, %v", msg, err)
		}
	}
}

package interop_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport/websocket"
)

// The server agrees on a version that is offered, and on none otherwise, whatever
// the endpoint speaks.
func TestServerNegotiates(t *testing.T) {
	addr := start(t, protocol.V1_3)
	for offer, want := range map[string]string{
		"webwire-1.4":                           "webwire-1.4",
		"webwire-1.2, webwire-2.0":              "webwire-2.0",
		"chat, webwire-1.2":                     "webwire-1.2",
		"webwire-9.9,webwire-1.5":               "webwire-1.5",
		"webwire-9.9":                           "",
		"chat":                                  "",
		"webwire-1.20, WEBWIRE-1.2, webwire-01": "",
	} {
		req, err := http.NewRequest(http.MethodGet, "http://"+addr+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{
			"Connection": "keep-alive, Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
			"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Protocol": offer,
		} {
			req.Header.Set(name, value)
		}
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Values("Sec-WebSocket-Protocol"); strings.Join(got, "|") != want || resp.StatusCode != http.StatusSwitchingProtocols {
			t.Errorf("offered %q: %s with %q, want %q", offer, resp.Status, got, want)
		}
	}

	c := dialRaw(t, addr, "Sec-WebSocket-Protocol: webwire-2.0\r\n")
	c.expect("17 02 00 60ea0000 00000004") // before anything else; the size is that of a 1.x endpoint
	c.send("80", goID, "05", "'error", "'CODE")
	c.expect("00", goID, "04", "'CODE")
	c = dialRaw(t, addr, "Sec-WebSocket-Protocol: webwire-1.2\r\n")
	c.send("80", goID, "05", "'error", "'CODE")
	c.expect("00", goID, `'{"c":"CODE"}`)
}

// answering returns the metadata of a published server.
func answering(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintln(w, body)
	}
}

// refusing is a server or proxy that does not know the method WEBWIRE.
func refusing(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "Bad Request\nInternal Server Error", status)
	}
}

// echoing serves requests as any published server does: the same in all versions.
func echoing(f *frames) {
	for {
		first, msg, err := f.next()
		switch {
		case err != nil, first == fin|opClose:
			return
		case first == fin|opBinary && len(msg) > 10 && msg[0] == 0x80:
			reply := append([]byte{0xc0}, msg[1:9]...)
			if err := f.frame(fin|opBinary, append(reply, msg[10+msg[9]:]...)); err != nil {
				return
			}
		}
		// Pings are not answered either: servers of 1.4 to 2.0 did not.
	}
}

func opening(t *testing.T, conf string, then func(*frames)) func(*frames) {
	msg := message(t, []string{conf})
	return func(f *frames) {
		if f.frame(fin|opBinary, msg) == nil {
			then(f)
		}
	}
}

const defaultConf = "17 02 00 60ea0000 00200000"

func newClient(t *testing.T, addr string, opts client.Options) *client.Client {
	t.Helper()
	opts.Logger = slog.New(slog.DiscardHandler)
	c := client.New(&websocket.Dialer{URL: "ws://" + addr}, opts)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Our client speaks with servers that negotiate nothing in their version.
func TestClientOfPublishedServers(t *testing.T) {
	for name, test := range map[string]struct {
		metadata http.HandlerFunc
		serve    func(*frames)
		versions []protocol.Version
		sub      string // the sub-protocol that the client expects
	}{
		"1.2":                     {answering(`{"protocol-version":"1.2"}`), echoing, nil, ""},
		"1.2, the only one":       {answering(`{"protocol-version":"1.2"}`), echoing, []protocol.Version{protocol.V1_2}, ""},
		"1.3":                     {answering(`{"protocol-version":"1.3"}`), echoing, protocol.Versions(), ""},
		"1.4":                     {answering(`{"protocol-version":"1.4"}`), echoing, protocol.Versions(), ""},
		"1.5":                     {answering(`{"protocol-version":"1.5","read-timeout":60}`), echoing, protocol.Versions(), ""},
		"2.0":                     {refusing(http.StatusBadRequest), opening(t, defaultConf, echoing), nil, ""},
		"2.0, 405":                {refusing(http.StatusMethodNotAllowed), opening(t, defaultConf, echoing), nil, ""},
		"2.0 behind a proxy":      {refusing(http.StatusNotImplemented), opening(t, defaultConf, echoing), nil, ""},
		"2.0 behind another":      {refusing(http.StatusForbidden), opening(t, defaultConf, echoing), nil, ""},
		"2.1":                     {refusing(http.StatusBadRequest), opening(t, "17 02 01 60ea0000 00200000", echoing), nil, ""},
		"2.0 with a sub-protocol": {refusing(http.StatusBadRequest), opening(t, defaultConf+"6170 70", echoing), nil, "app"},
	} {
		t.Run(name, func(t *testing.T) {
			addr := rawServer(t, test.metadata, test.serve)
			c := newClient(t, addr, client.Options{Versions: test.versions, SubProtocol: test.sub})
			reply, err := c.Request(t.Context(), "name", protocol.Text("hé"))
			if err != nil || reply.Text() != "hé" || reply.Encoding != protocol.UTF8 {
				t.Errorf("got %q, %v", reply.Text(), err)
			}
			if name == "2.0" {
				_, err := c.Request(t.Context(), "name", protocol.Text(strings.Repeat("x", 8192-13)))
				if err == nil || errors.Is(err, client.ErrDisconnected) {
					t.Errorf("a message of 8193 bytes: %v", err)
				}
			}
		})
	}
}

// Where there is no common version the client says so, and sends no message.
func TestClientOfOtherVersions(t *testing.T) {
	for name, test := range map[string]struct {
		metadata http.HandlerFunc
		conf     string
		versions []protocol.Version
		server   []protocol.Version
	}{
		"1.3":          {answering(`{"protocol-version":"1.3"}`), "", nil, []protocol.Version{protocol.V1_3}},
		"1.2, not 1.3": {answering(`{"protocol-version":"1.2"}`), "", []protocol.Version{protocol.V1_3}, []protocol.Version{protocol.V1_2}},
		"9.9":          {answering(`{"protocol-version":"9.9"}`), "", protocol.Versions(), nil},
		"2.0, not 1.2": {refusing(http.StatusBadRequest), defaultConf, []protocol.Version{protocol.V1_2}, []protocol.Version{protocol.V2_0}},
		"3.0":          {refusing(http.StatusBadRequest), "17 03 00 60ea0000 00200000", nil, []protocol.Version{0x0300}},
	} {
		t.Run(name, func(t *testing.T) {
			var messages atomic.Int32
			done := make(chan struct{})
			serve := func(f *frames) {
				defer close(done)
				for {
					first, _, err := f.next()
					if err != nil || first == fin|opClose {
						return
					}
					if first&0xf < opClose {
						messages.Add(1)
					}
				}
			}
			if test.conf != "" {
				serve = opening(t, test.conf, serve)
			}
			addr := rawServer(t, test.metadata, serve)
			failed := make(chan error, 1)
			c := newClient(t, addr, client.Options{Versions: test.versions, Hooks: client.Hooks{
				OnConnectFailed: func(_ context.Context, err error) { failed <- err },
			}})
			_, err := c.Request(t.Context(), "name", protocol.Text("x"))
			var mismatch *client.VersionError
			if !errors.As(err, &mismatch) || !slices.Equal(mismatch.Server, test.server) {
				t.Errorf("request: %v, want a VersionError for a server of %v", err, test.server)
			}
			if !errors.As(soon(t, failed), &mismatch) {
				t.Error("OnConnectFailed got something else")
			}
			if err := c.Signal(t.Context(), "name", protocol.Text("x")); !errors.As(err, &mismatch) {
				t.Errorf("signal: %v, want a VersionError", err)
			}
			soon(t, done)
			if n := messages.Load(); n > 0 {
				t.Errorf("%d messages were sent", n)
			}
		})
	}
}

// A proxy that refuses WEBWIRE hides an old server's version, and the client takes it
// for one of 2.0. That it is none shows when it does not open the connection.
func TestClientOfHiddenServer(t *testing.T) {
	addr := rawServer(t, refusing(http.StatusNotImplemented), echoing)
	c := newClient(t, addr, client.Options{DialTimeout: 100 * time.Millisecond, DisableAutoconnect: true})
	if err := c.Connect(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want that the server did not open the connection in time", err)
	}
}

// A server that shuts down, or a proxy without it, is asked again.
func TestClientAsksAgain(t *testing.T) {
	for name, first := range map[string]http.HandlerFunc{
		"503": refusing(http.StatusServiceUnavailable),
		"502": refusing(http.StatusBadGateway),
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			addr := rawServer(t, func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1) < 3 {
					first(w, r)
					return
				}
				answering(`{"protocol-version":"1.2"}`)(w, r)
			}, echoing)
			c := newClient(t, addr, client.Options{MinBackoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond})
			if _, err := c.Request(t.Context(), "name", protocol.Text("x")); err != nil {
				t.Error(err)
			}
			if n := asked.Load(); n != 3 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

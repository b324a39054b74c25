package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

func ask(h http.Handler, method string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, "/", nil))
	return w
}

func TestOptions(t *testing.T) {
	w := ask(server.New(server.Options{}), http.MethodOptions)
	if w.Code != http.StatusOK {
		t.Errorf("status %d", w.Code)
	}
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin":  "*",
		"Access-Control-Allow-Methods": "WEBWIRE",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}

	hooked := server.New(server.Options{Hooks: server.Hooks{
		OnOptions: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) },
	}})
	w = ask(hooked, http.MethodOptions)
	if w.Code != http.StatusTeapot || len(w.Header()) != 0 {
		t.Errorf("status %d, header %v: not what the hook answered", w.Code, w.Header())
	}
}

func TestMetadata(t *testing.T) {
	srv := server.New(server.Options{Version: protocol.V1_4, ReadTimeout: 20 * time.Second})
	for name, test := range map[string]struct {
		handler http.Handler
		version protocol.Version
	}{
		"server":   {srv, protocol.V1_4},
		"endpoint": {srv.Endpoint(protocol.V2_0, 0), protocol.V2_0},
	} {
		w := ask(test.handler, "WEBWIRE")
		if got := w.Header().Get("Access-Control-Allow-Origin"); got != "*" {
			t.Errorf("%s: pages of other origins may not read it: %q", name, got)
		}
		if got := w.Header().Get("Content-Type"); got != "application/json" {
			t.Errorf("%s: content type %q", name, got)
		}
		var meta protocol.Metadata
		if err := json.Unmarshal(w.Body.Bytes(), &meta); err != nil {
			t.Fatalf("%s: %q: %v", name, w.Body, err)
		}
		if meta.Version != test.version || len(meta.Versions) != 5 || meta.ReadTimeout != 20*time.Second {
			t.Errorf("%s: got %+v", name, meta)
		}
	}
}

func TestNoUpgrader(t *testing.T) {
	if w := ask(server.New(server.Options{}), http.MethodGet); w.Code != http.StatusNotImplemented {
		t.Errorf("status %d, want 501", w.Code)
	}
}

func TestClosingAnswers503(t *testing.T) {
	srv := server.New(server.Options{Upgrader: refusing{t}, Hooks: server.Hooks{
		OnOptions: func(http.ResponseWriter, *http.Request) { t.Error("OnOptions was called") },
	}})
	if err := srv.Close(); err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{http.MethodGet, http.MethodOptions, "WEBWIRE"} {
		w := ask(srv, method)
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: status %d, header %v", method, w.Code, w.Header())
		}
	}
}

// refusing is an Upgrader that must not be asked.
type refusing struct{ t *testing.T }

func (u refusing) Upgrade(w http.ResponseWriter, _ *http.Request, _ ...string) (transport.Conn, error) {
	u.t.Error("Upgrade was called")
	w.WriteHeader(http.StatusForbidden)
	return nil, errors.New("refused")
}

// upgrading is an Upgrader that gives each request one end of a pipe.
type upgrading struct {
	peers  chan transport.Conn
	agreed string // protocol token
}

func (u upgrading) Upgrade(http.ResponseWriter, *http.Request, ...string) (transport.Conn, error) {
	ours, theirs := memory.Pipe()
	u.peers <- ours
	return agreed{theirs, u.agreed}, nil
}

// agreed is a connection whose ends agreed on a protocol.
type agreed struct {
	transport.Conn
	token string
}

func (c agreed) Protocol() string { return c.token }

type userKey struct{}

func TestUpgrade(t *testing.T) {
	bubble(t, func(t *testing.T) {
		up := upgrading{peers: make(chan transport.Conn, 1), agreed: "webwire-1.5"}
		gone := make(chan *server.Conn, 1)
		srv := server.New(server.Options{Upgrader: up, Hooks: server.Hooks{
			OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
				user, _ := ctx.Value(userKey{}).(string)
				return protocol.Text(user), ctx.Err()
			},
			OnClientDisconnected: func(c *server.Conn, _ error) { gone <- c },
		}})
		began := time.Now()

		// The handler returns, and net/http ends its context.
		ctx, cancel := context.WithCancel(context.WithValue(context.Background(), userKey{}, "gopher"))
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
		r.Header.Set("User-Agent", "test/1")
		srv.ServeHTTP(httptest.NewRecorder(), r)
		cancel()

		p := &peer{t: t, conn: <-up.peers, version: protocol.V1_5}
		p.listen()
		p.request(1, "who", "x")
		if m := p.reply(1, protocol.Reply); m.Payload.Text() != "gopher" {
			t.Errorf("the context of the handler lacks the values of the request's: %q", m.Payload.Text())
		}
		for c := range srv.Conns() {
			info := c.Info()
			if info.UserAgent != "test/1" || info.Version != protocol.V1_5 || info.RemoteAddr == nil || !info.Connected.Equal(began) {
				t.Errorf("got %+v", info)
			}
		}
		p.conn.Close(transport.StatusNormal, "")
		if c := <-gone; c.Info().UserAgent != "test/1" {
			t.Error("another connection is gone")
		}
	})
}

func TestBeforeUpgrade(t *testing.T) {
	bubble(t, func(t *testing.T) {
		up := upgrading{peers: make(chan transport.Conn, 1)}
		srv := server.New(server.Options{Upgrader: up, Hooks: server.Hooks{
			BeforeUpgrade: func(w http.ResponseWriter, r *http.Request) bool {
				if r.Header.Get("Authorization") == "" {
					http.Error(w, "who are you?", http.StatusUnauthorized)
					return false
				}
				return true
			},
		}})
		if w := ask(srv, http.MethodGet); w.Code != http.StatusUnauthorized || len(up.peers) != 0 {
			t.Errorf("status %d, %d connections: not what the hook answered", w.Code, len(up.peers))
		}
		if w := ask(srv, "WEBWIRE"); w.Code != http.StatusOK {
			t.Errorf("metadata: status %d", w.Code)
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "yes")
		srv.ServeHTTP(httptest.NewRecorder(), r)
		if len(up.peers) != 1 {
			t.Fatal("no connection was made")
		}
		(<-up.peers).Abort()
	})
}

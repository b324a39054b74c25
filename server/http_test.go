package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
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
		"endpoint": {srv.Endpoint(server.EndpointOptions{Version: protocol.V2_0}), protocol.V2_0},
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
		if meta.Version != test.version || len(meta.Versions) != 6 || meta.Versions[0] != protocol.V3_0 || meta.ReadTimeout != 20*time.Second {
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
	// A page of another origin that asks for the metadata learns that, and when to try again.
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Accept", "application/webwire+json")
	srv.ServeHTTP(w, r)
	if h := w.Header(); w.Code != http.StatusServiceUnavailable || h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Expose-Headers") != "Retry-After" {
		t.Errorf("metadata: status %d, header %v", w.Code, h)
	}
}

// refusing is an Upgrader that must not be asked.
type refusing struct{ t *testing.T }

func (u refusing) Upgrade(w http.ResponseWriter, _ *http.Request, _ transport.UpgradeOptions) (transport.Conn, error) {
	u.t.Error("Upgrade was called")
	w.WriteHeader(http.StatusForbidden)
	return nil, errors.New("refused")
}

// upgrading is an Upgrader that gives each request one end of a pipe.
type upgrading struct {
	peers  chan transport.Conn
	agreed string // protocol token
}

func (u upgrading) Upgrade(http.ResponseWriter, *http.Request, transport.UpgradeOptions) (transport.Conn, error) {
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

// route is what a router keeps in the context of a request, and uses again for another
// once the request is over.
type route struct{ room string }

type routeKey struct{}

func TestUpgrade(t *testing.T) {
	bubble(t, func(t *testing.T) {
		up := upgrading{peers: make(chan transport.Conn, 1), agreed: "webwire-1.5"}
		gone := make(chan *server.Conn, 1)
		connContext := func(ctx context.Context, r *http.Request) context.Context {
			room := r.Context().Value(routeKey{}).(*route).room
			return context.WithValue(ctx, userKey{}, "gopher in "+room)
		}
		srv := server.New(server.Options{Upgrader: up, ConnContext: connContext, Hooks: server.Hooks{
			OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
				if ctx.Value(routeKey{}) != nil {
					t.Error("the context of the handler has the values of a request that is over")
				}
				user, _ := ctx.Value(userKey{}).(string)
				return protocol.Text(user), ctx.Err()
			},
			OnClientDisconnected: func(c *server.Conn, _ error) { gone <- c },
		}})
		began := time.Now()

		// The handler returns, and net/http ends its context.
		values := &route{"red"}
		ctx, cancel := context.WithCancel(context.WithValue(context.Background(), routeKey{}, values))
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
		r.Header.Set("User-Agent", "test/1")
		srv.ServeHTTP(httptest.NewRecorder(), r)
		cancel()
		values.room = "blue"

		p := &peer{t: t, conn: <-up.peers, version: protocol.V1_5}
		p.listen()
		p.request(1, "who", "x")
		if m := p.reply(1, protocol.Reply); m.Payload.Text() != "gopher in red" {
			t.Errorf("the context of the handler lacks the values of ConnContext: %q", m.Payload.Text())
		}
		for c := range srv.Conns() {
			info := c.Info()
			if info.UserAgent != "test/1" || info.Version != protocol.V1_5 || info.RemoteAddr == nil || !info.Connected.Equal(began) {
				t.Errorf("got %+v", info)
			}
		}
		p.conn.Close(transport.StatusNormalClosure, "")
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

// A connection ends with the context of ConnContext, and without ConnContext it has
// nothing of the request's.
func TestConnContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		up := upgrading{peers: make(chan transport.Conn, 1)}
		conn := make(chan *server.Conn, 1)
		opts := server.Options{Upgrader: up, Hooks: server.Hooks{
			OnClientConnected: func(_ context.Context, c *server.Conn) error { conn <- c; return nil },
		}}
		ctx := context.WithValue(t.Context(), userKey{}, "gopher")
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
		r.Header.Set("User-Agent", strings.Repeat("ü", 1000))
		server.New(opts).ServeHTTP(httptest.NewRecorder(), r)
		c := <-conn
		if v := c.Context().Value(userKey{}); v != nil {
			t.Errorf("the connection has a value of the request: %v", v)
		}
		if agent := c.Info().UserAgent; agent != strings.Repeat("ü", 128) {
			t.Errorf("User-Agent is %d bytes: %q", len(agent), agent)
		}
		(<-up.peers).Abort()

		var cancel context.CancelFunc
		opts.ConnContext = func(ctx context.Context, _ *http.Request) context.Context {
			ctx, cancel = context.WithCancel(ctx)
			return ctx
		}
		server.New(opts).ServeHTTP(httptest.NewRecorder(), r)
		c = <-conn
		cancel()
		if <-c.Context().Done(); context.Cause(c.Context()) != context.Canceled {
			t.Errorf("the connection ended with %v", context.Cause(c.Context()))
		}
		(<-up.peers).Abort()
	})
}

// Clients that cannot send the method WEBWIRE ask for the metadata by GET.
func TestMetadataByGet(t *testing.T) {
	srv := server.New(server.Options{Hooks: server.Hooks{
		BeforeUpgrade: func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusForbidden)
			return false
		},
	}})
	want := ask(srv, "WEBWIRE").Body.String()
	for _, test := range []struct {
		method, accept, upgrade string
		metadata                bool
	}{
		{"GET", "application/webwire+json", "", true},
		{"GET", "text/html, Application/WebWire+JSON;q=0.5, */*", "", true},
		{"HEAD", "application/webwire+json", "", true},
		{"GET", "application/webwire+json", "websocket", false},
		{"POST", "application/webwire+json", "", false},
		{"GET", "application/json, */*", "", false},
		{"GET", "application/webwire+json-x", "", false},
		{"GET", "", "", false},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(test.method, "/", nil)
		r.Header.Set("Accept", test.accept)
		r.Header.Set("Upgrade", test.upgrade)
		srv.ServeHTTP(w, r)
		if !test.metadata {
			if w.Code != http.StatusForbidden {
				t.Errorf("%+v: status %d", test, w.Code)
			}
			continue
		}
		h := w.Header()
		if w.Code != http.StatusOK || w.Body.String() != want || h.Get("Access-Control-Allow-Origin") != "*" ||
			h.Get("Vary") != "Accept" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%+v: status %d, %v, %q", test, w.Code, h, w.Body)
		}
	}
}

// checked is an Upgrader that can tell that it is misconfigured.
type checked struct{ upgrading }

func (checked) Check() error { return errors.New("origin \"http:/example.org\" never matches") }

func TestUpgraderIsChecked(t *testing.T) {
	var log record
	server.New(server.Options{Upgrader: checked{}, Logger: log.logger()})
	if text := log.take(); strings.Count(text, "level=ERROR") != 1 || !strings.Contains(text, "never matches") {
		t.Errorf("log: %q", text)
	}
}

// originRefusing is an Upgrader that knows no origin.
type originRefusing struct{}

func (originRefusing) Upgrade(w http.ResponseWriter, r *http.Request, _ transport.UpgradeOptions) (transport.Conn, error) {
	w.WriteHeader(http.StatusForbidden)
	return nil, fmt.Errorf("%w: %q", transport.ErrOrigin, r.Header.Get("Origin"))
}

// A refused origin is named where people look, and not for each of its requests.
func TestRefusedOriginIsLogged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log record
		srv := server.New(server.Options{Upgrader: originRefusing{}, Logger: log.logger()})
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Origin", "https://example.org\n")
		for _, want := range []string{"", " suppressed=99"} {
			for range 100 {
				srv.ServeHTTP(httptest.NewRecorder(), r)
			}
			lines := log.lines(slog.LevelWarn)
			if len(lines) != 1 || !strings.Contains(lines[0], "https://example.org") || !strings.Contains(lines[0], want) {
				t.Errorf("logged: %q", lines)
			}
			time.Sleep(time.Minute)
		}
	})
}

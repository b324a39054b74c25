// Package frameworks tests that a server works behind the routers and middleware that
// people mount it in, docs/frameworks.md lists what is tried here.
package frameworks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/NYTimes/gziphandler"
	gingzip "github.com/gin-contrib/gzip"
	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	chimiddleware "github.com/go-chi/chi/v5/middleware"
	"github.com/gorilla/handlers"
	"github.com/klauspost/compress/gzhttp"
	"github.com/labstack/echo/v4"
	echomiddleware "github.com/labstack/echo/v4/middleware"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/websocket"
)

// roomKey is the key of the room in the context of a connection.
type roomKey struct{}

// mounts are ways to mount a server at /rooms/{room}. room tells ConnContext which room
// a request is for.
var mounts = []struct {
	name  string
	room  func(r *http.Request) string
	mount func(srv http.Handler) http.Handler
}{
	{"net/http", pathValue, func(srv http.Handler) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("/rooms/{room}", srv)
		return mux
	}},
	{"http.TimeoutHandler around other paths", pathValue, func(srv http.Handler) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("/rooms/{room}", srv)
		mux.Handle("/", http.TimeoutHandler(http.NotFoundHandler(), time.Second, ""))
		return mux
	}},
	{"gin", ginParam, func(srv http.Handler) http.Handler { return ginEngine(srv) }},
	{"gin with gzip", ginParam, func(srv http.Handler) http.Handler {
		return ginEngine(srv, gingzip.Gzip(gingzip.DefaultCompression))
	}},
	{"echo", echoParam, func(srv http.Handler) http.Handler { return echoServer(srv) }},
	{"echo with gzip, recover and logger", echoParam, func(srv http.Handler) http.Handler {
		return echoServer(srv, echomiddleware.Recover(), echomiddleware.Gzip(),
			echomiddleware.RequestLoggerWithConfig(echomiddleware.RequestLoggerConfig{
				LogStatus:     true,
				LogValuesFunc: func(echo.Context, echomiddleware.RequestLoggerValues) error { return nil },
			}))
	}},
	{"chi with compress, recoverer and logger", chiParam, func(srv http.Handler) http.Handler {
		r := chi.NewRouter()
		r.Use(chimiddleware.RequestID, chimiddleware.Recoverer, chimiddleware.Compress(5))
		r.Use(chimiddleware.RequestLogger(&chimiddleware.DefaultLogFormatter{Logger: log.New(io.Discard, "", 0)}))
		r.Handle("/rooms/{room}", srv)
		return r
	}},
	{"gziphandler", pathValue, func(srv http.Handler) http.Handler { return serveMux(gziphandler.GzipHandler(srv)) }},
	{"gzhttp", pathValue, func(srv http.Handler) http.Handler { return serveMux(gzhttp.GzipHandler(srv)) }},
	{"gorilla/handlers", pathValue, func(srv http.Handler) http.Handler {
		return serveMux(handlers.CombinedLoggingHandler(io.Discard, handlers.CompressHandler(srv)))
	}},
}

func serveMux(h http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/rooms/{room}", h)
	return mux
}

func pathValue(r *http.Request) string { return r.PathValue("room") }
func chiParam(r *http.Request) string  { return chi.URLParam(r, "room") }

// gin and echo keep parameters in a context of their own, which they reuse: their
// handlers put what is to be known into the request.
type paramKey struct{}

func ginParam(r *http.Request) string  { return fmt.Sprint(r.Context().Value(paramKey{})) }
func echoParam(r *http.Request) string { return fmt.Sprint(r.Context().Value(paramKey{})) }

func ginEngine(srv http.Handler, middleware ...gin.HandlerFunc) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.Use(gin.Recovery())
	engine.Use(middleware...)
	engine.Any("/rooms/:room", func(c *gin.Context) {
		ctx := context.WithValue(c.Request.Context(), paramKey{}, c.Param("room"))
		srv.ServeHTTP(c.Writer, c.Request.WithContext(ctx))
	})
	return engine
}

func echoServer(srv http.Handler, middleware ...echo.MiddlewareFunc) http.Handler {
	e := echo.New()
	e.Use(middleware...)
	e.Any("/rooms/:room", func(c echo.Context) error {
		ctx := context.WithValue(c.Request().Context(), paramKey{}, c.Param("room"))
		srv.ServeHTTP(c.Response(), c.Request().WithContext(ctx))
		return nil
	})
	return e
}

func TestFrameworks(t *testing.T) {
	for _, m := range mounts {
		t.Run(m.name, func(t *testing.T) {
			srv := server.New(server.Options{
				Upgrader: websocket.Upgrader{},
				Logger:   slog.New(slog.DiscardHandler),
				ConnContext: func(ctx context.Context, r *http.Request) context.Context {
					return context.WithValue(ctx, roomKey{}, m.room(r))
				},
				Hooks: server.Hooks{OnRequest: func(ctx context.Context, _ *server.Request) (protocol.Payload, error) {
					return protocol.Text(ctx.Value(roomKey{}).(string)), nil
				}},
			})
			defer srv.Close()
			host := httptest.NewUnstartedServer(m.mount(srv))
			host.Config.ErrorLog = log.New(io.Discard, "", 0)
			host.Start()
			defer host.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()

			// The connections of some rooms, which answer after the requests of all others
			// are over and what served them is reused.
			clients := make(map[string]*client.Client)
			for i := range 20 {
				room := fmt.Sprint("room-", i)
				c := client.New(websocket.Dialer{
					URL:    host.URL + "/rooms/" + room,
					Header: http.Header{"Accept-Encoding": {"gzip"}},
				}, client.Options{})
				defer c.Close()
				if err := c.Connect(ctx); err != nil {
					t.Fatalf("Connect: %v; the server believes in %d connections", err, srv.Stats().Open)
				}
				clients[room] = c
			}
			for room, c := range clients {
				if reply, err := c.Request(ctx, "room", protocol.Text("?")); err != nil || reply.Text() != room {
					t.Errorf("the connection of %s answers %q (%v)", room, reply.Text(), err)
				}
			}

			// Refusals arrive as well.
			_, err := websocket.Dialer{
				URL:    host.URL + "/rooms/x",
				Header: http.Header{"Origin": {"https://elsewhere.example"}},
			}.Dial(ctx, transport.DialOptions{})
			var refused *transport.RefusedError
			if !errors.As(err, &refused) || refused.StatusCode != http.StatusForbidden {
				t.Errorf("a page from elsewhere: %v", err)
			}
			resp, err := http.Get(host.URL + "/rooms/x")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusUpgradeRequired {
				t.Errorf("no WebSocket request: %v", resp.Status)
			}
		})
	}
}

// Where the connection cannot be taken the client is told, and is not left waiting.
func TestTimeoutHandler(t *testing.T) {
	srv := server.New(server.Options{Upgrader: websocket.Upgrader{}, Logger: slog.New(slog.DiscardHandler)})
	defer srv.Close()
	host := httptest.NewServer(http.TimeoutHandler(srv, time.Minute, ""))
	defer host.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := websocket.Dialer{URL: host.URL}.Dial(ctx, transport.DialOptions{})
	var refused *transport.RefusedError
	if !errors.As(err, &refused) || refused.StatusCode != http.StatusNotImplemented {
		t.Errorf("Dial: %v", err)
	}
}

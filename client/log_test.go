package client_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
)

// rawLogger keeps records as they are, one a line, without stacks.
type rawLogger struct {
	slog.Handler
	record
}

func (l *rawLogger) Enabled(context.Context, slog.Level) bool { return true }

func (l *rawLogger) Handle(_ context.Context, r slog.Record) error {
	line := r.Message
	r.Attrs(func(a slog.Attr) bool {
		if a.Key != "stack" {
			line += fmt.Sprintf(" %s=%v", a.Key, a.Value.Any())
		}
		return true
	})
	_, err := fmt.Fprintln(l, line)
	return err
}

// lines returns the records with this text since the last call.
func (l *rawLogger) lines(text string) (lines []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		if strings.Contains(line, text) {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	l.buf.Reset()
	return lines
}

// A server that makes handlers fail again and again, with whatever text, fills no log of
// the client.
func TestLogIsLimited(t *testing.T) {
	bubble(t, func(t *testing.T) {
		conns := make(chan *server.Conn, 1)
		_, ln := serve(t, server.Options{Logger: discard, Hooks: server.Hooks{
			OnClientConnected: func(_ context.Context, c *server.Conn) error { conns <- c; return nil },
		}})
		var mux client.Mux
		mux.Request("panic", func(_ context.Context, r *client.Request) (protocol.Payload, error) { panic(r.Payload.Text()) })
		mux.Request("*", func(_ context.Context, r *client.Request) (protocol.Payload, error) {
			return protocol.Payload{}, errors.New(r.Payload.Text())
		})
		mux.Signal("*", func(_ context.Context, s *client.Signal) { panic(s.Payload.Text()) })
		log := &rawLogger{}
		c := dial(t, ln, client.Options{Logger: slog.New(log), Handler: &mux})
		if err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		conn := <-conns
		evil := text(strings.Repeat("é\n\x1b\u202e", 1000))
		fails := func(n int, name string) {
			for range n {
				if _, err := conn.Request(t.Context(), name, evil); !errors.Is(err, protocol.ErrInternal) {
					t.Fatal(err)
				}
			}
		}
		signals := func(n int, _ string) {
			for range n {
				if err := conn.Signal(t.Context(), "s", evil); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Millisecond) // until they are handled
		}
		for _, test := range []struct {
			record, name string
			cause        func(n int, name string)
		}{
			{"webwire: request of the server failed", strings.Repeat("n", 200), fails},
			{"webwire: hook panicked", "panic", fails},
			{"webwire: hook panicked", "", signals},
		} {
			time.Sleep(time.Hour)
			test.cause(1, test.name)
			log.lines("")
			time.Sleep(time.Hour)
			test.cause(200, test.name)
			lines := log.lines("")
			if len(lines) != 10 {
				t.Errorf("%s: %d lines for the first 200", test.record, len(lines))
			}
			for _, line := range lines {
				if len(line) > 5000 || !utf8.ValidString(line) || strings.ContainsAny(line, "\x1b\u202e") || !strings.HasPrefix(line, test.record) {
					t.Errorf("%s: %d bytes: %.300q", test.record, len(line), line)
				}
			}
			time.Sleep(time.Second)
			test.cause(10, test.name)
			if lines := log.lines(test.record); len(lines) != 1 || !strings.HasSuffix(lines[0], "suppressed=190") {
				t.Errorf("%s: a second later: %.300q", test.record, lines)
			}
		}
	})
}

type angryLogger struct{ slog.Handler }

func (angryLogger) Enabled(context.Context, slog.Level) bool  { return true }
func (angryLogger) Handle(context.Context, slog.Record) error { panic("Handle") }

// angry panics when it is printed.
type angry struct{}

func (angry) Error() string { panic("Error") }

// What is called while a panic or an error is handled may panic itself.
func TestLoggersMayPanic(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, ln := serve(t, server.Options{Logger: discard, Hooks: server.Hooks{
			OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
				return r.Conn.Request(ctx, r.Name, r.Payload)
			},
		}})
		var mux client.Mux
		mux.Request("panic", func(context.Context, *client.Request) (protocol.Payload, error) { panic(angry{}) })
		mux.Request("error", func(context.Context, *client.Request) (protocol.Payload, error) {
			return protocol.Payload{}, angry{}
		})
		c := dial(t, ln, client.Options{Logger: slog.New(angryLogger{}), Handler: &mux})
		for _, name := range []string{"panic", "error", "panic"} {
			if _, err := c.Request(t.Context(), name, text("x")); !errors.Is(err, protocol.ErrInternal) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := c.Stats().Connects; n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

// Either end logs once, at DEBUG, who ended a connection and why.
func TestEndIsLogged(t *testing.T) {
	type ends struct {
		client  *client.Client
		conn    *server.Conn
		server  *server.Server
		network *network
	}
	const lost = "by=network reason="
	for name, test := range map[string]struct {
		end            func(*ends)
		server, client string // beginnings of records
		window         time.Duration
		refusal        error
	}{
		"the client": {
			end:    func(e *ends) { e.client.Close() },
			server: "by=client reason=transport: connection closed by the peer (1000 normal closure) status=1000 duration=1m0s remote=",
			client: "by=client reason=client: closed status=1000 duration=1m0s",
		},
		"the server": {
			end:    func(e *ends) { e.conn.Close(4501, "kicked\n") },
			server: "by=server reason=server: connection closed (4501): kicked\\n status=4501 duration=1m0s remote=",
			client: "by=server reason=transport: connection closed by the peer (4501): kicked\\n status=4501 duration=1m0s",
		},
		"the server at once": {
			end:    func(e *ends) { e.conn.Abort() },
			server: "by=server reason=server: connection closed duration=1m0s remote=",
			client: lost,
		},
		"shutdown, which asks the client to move": {
			end:    func(e *ends) { e.server.Shutdown(context.Background()) },
			server: "by=client reason=transport: connection closed by the peer (1012 service restart) status=1012 duration=1m0s remote=",
			client: "by=client reason=client: left the server: protocol: server is shutting down status=1012 duration=1m0s",
		},
		"the network": {
			end:    func(e *ends) { e.network.near().Cut() },
			server: lost, client: lost,
		},
		"the network, for too long": {
			end: func(e *ends) {
				e.network.away()
				e.network.near().Cut()
				time.Sleep(2 * time.Minute)
			},
			server: lost + "server: the client did not come back duration=2m0s remote=",
			client: lost + "client: the server was out of reach for longer than it waits for its clients: ",
			window: time.Minute,
		},
		"OnClientConnected": {
			end:     func(e *ends) {},
			server:  "by=server reason=server: connection refused: transport: connection closed by the peer (4502): banned status=4502 duration=0s remote=",
			refusal: &transport.CloseError{Status: 4502, Reason: "banned"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ours, theirs := &rawLogger{}, &rawLogger{}
				conns := make(chan *server.Conn, 10)
				n := newNetwork(t)
				srv := n.serve(server.Options{Logger: slog.New(theirs), ResumeWindow: test.window, Hooks: server.Hooks{
					OnClientConnected: func(_ context.Context, c *server.Conn) error { conns <- c; return test.refusal },
				}})
				c := n.client(client.Options{Logger: slog.New(ours)})
				if err := c.Connect(t.Context()); err != nil && test.refusal == nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				test.end(&ends{c, <-conns, srv, n})
				time.Sleep(10 * time.Millisecond)
				for want, log := range map[string]*rawLogger{test.server: theirs, test.client: ours} {
					lines := log.lines("webwire: connection ")
					if want == "" { // it may have ended before the client could use it
						continue
					}
					if test.window > 0 && len(lines) > 0 && strings.HasPrefix(lines[0], "webwire: connection lost its socket reason=") {
						lines = lines[1:]
					}
					if len(lines) != 1 || !strings.HasPrefix(lines[0], "webwire: connection ended "+want) {
						t.Errorf("got %q, want %q", lines, want)
					}
				}
			})
		})
	}
}

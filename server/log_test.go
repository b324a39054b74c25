package server_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport"
)

// lines returns what was logged since the last call at that level or above.
func (r *record) lines(level slog.Level) (lines []string) {
	for line := range strings.Lines(r.take()) {
		for _, l := range []slog.Level{slog.LevelWarn, slog.LevelError} {
			if l >= level && strings.Contains(line, "level="+l.String()) {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// A client that goes while its requests run is no error of anybody.
func TestDisconnectIsNotLogged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log record
		srv := server.New(server.Options{Logger: log.logger(), Hooks: server.Hooks{
			OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
				<-ctx.Done()
				switch r.Name {
				case "cause":
					return protocol.Payload{}, context.Cause(ctx)
				case "signal":
					return protocol.Payload{}, fmt.Errorf("cannot tell: %w", r.Conn.Signal(context.Background(), "s", r.Payload))
				}
				return protocol.Payload{}, fmt.Errorf("query: %w", ctx.Err())
			},
		}})
		p := connect(t, srv, protocol.V1_2)
		for i, name := range []string{"query", "cause", "signal", "query"} {
			p.request(uint64(i+1), name, "x")
		}
		synctest.Wait()
		p.conn.Abort()
		p.over()
		if lines := log.lines(slog.LevelWarn); len(lines) > 0 {
			t.Errorf("logged: %q", lines)
		}
	})
}

// A client that makes a handler fail again and again fills no log, and the log says how
// much it lacks. What goes wrong after that is logged.
func TestLogIsLimited(t *testing.T) {
	for what, fail := range map[string]func() error{
		"error": func() error { return errors.New("failed") },
		"panic": func() error { panic("failed") },
	} {
		bubble(t, func(t *testing.T) {
			var log record
			srv := server.New(server.Options{Logger: log.logger(), Hooks: server.Hooks{
				OnRequest: func(context.Context, *server.Request) (protocol.Payload, error) {
					return protocol.Payload{}, fail()
				},
			}})
			p := connect(t, srv, protocol.V1_2)
			id := uint64(0)
			fails := func(n int) {
				for range n {
					id++
					p.request(id, "r", "x")
					p.reply(id, protocol.ReplyInternalError)
				}
			}
			fails(1000)
			if n := len(log.lines(slog.LevelError)); n != 10 {
				t.Errorf("%s: %d of the first 1000 are logged", what, n)
			}
			time.Sleep(time.Second)
			fails(1000)
			lines := log.lines(slog.LevelError)
			if len(lines) != 1 || !strings.Contains(lines[0], "suppressed=990") {
				t.Errorf("%s: a second later: %q", what, lines)
			}
			time.Sleep(time.Hour)
			fails(1)
			lines = log.lines(slog.LevelError)
			if len(lines) != 1 || !strings.Contains(lines[0], "suppressed=999") {
				t.Errorf("%s: an hour later: %q", what, lines)
			}
			fails(5)
			if lines = log.lines(slog.LevelError); len(lines) != 5 || strings.Contains(lines[0], "suppressed") {
				t.Errorf("%s: then: %q", what, lines)
			}
		})
	}
}

// lineLogger writes records as they are, as some loggers do.
type lineLogger struct {
	slog.Handler
	record
}

func (l *lineLogger) Enabled(context.Context, slog.Level) bool { return true }

func (l *lineLogger) Handle(_ context.Context, r slog.Record) error {
	fmt.Fprint(&l.record, r.Message)
	r.Attrs(func(a slog.Attr) bool {
		if a.Key != "stack" {
			fmt.Fprint(&l.record, " ", a.Value.Any())
		}
		return true
	})
	return nil
}

// Whatever a client sends ends up in the log without line breaks, control characters
// and at moderate length.
func TestLogIsEscaped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		log := &lineLogger{}
		srv := server.New(server.Options{Logger: slog.New(log), Hooks: server.Hooks{
			OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
				text := r.Payload.Text()
				if strings.HasPrefix(r.Name, "panic") {
					panic(text)
				}
				return protocol.Payload{}, errors.New(text)
			},
		}})
		p := connect(t, srv, protocol.V1_2)
		for i, text := range []string{"\nlevel=INFO all is well", "\x1b[2J\u202e", "\xff", strings.Repeat("é\n", 100_000)} {
			for j, name := range []string{"x", "panic\n\x1b"} {
				id := uint64(2*i + j + 1)
				number := protocol.NewID(id)
				b := append([]byte{128}, number[:]...)
				p.sendRaw(append(append(append(b, byte(len(name))), name...), text...))
				p.reply(id, protocol.ReplyInternalError)
				got := log.take()
				if got == "" || len(got) > 5000 || !utf8.ValidString(got) || strings.ContainsAny(got, "\n\x1b\u202e") {
					t.Errorf("%.20q: logged %d bytes: %.200q", text, len(got), got)
				}
			}
		}
	})
}

// angry panics wherever it can.
type angry struct{}

func (angry) Error() string  { panic("Error") }
func (angry) String() string { panic("String") }

type angryLogger struct{ slog.Handler }

func (angryLogger) Enabled(context.Context, slog.Level) bool  { return true }
func (angryLogger) Handle(context.Context, slog.Record) error { panic("Handle") }
func (l angryLogger) WithAttrs([]slog.Attr) slog.Handler      { return l }
func (l angryLogger) WithGroup(string) slog.Handler           { return l }

type angryStore struct{ session.MemoryStore }

func (*angryStore) Touch(context.Context, string, time.Time) error { return angry{} }

// addressed is a connection with an address that the transport makes up.
type addressed struct {
	transport.Conn
	addr net.Addr
}

func (a addressed) RemoteAddr() net.Addr { return a.addr }

type angryAddr struct{}

func (angryAddr) Network() string { panic("Network") }
func (angryAddr) String() string  { panic("String") }

// What is called while a panic is handled may panic itself, and costs nobody more than
// the panic did.
func TestPanicsWhilePanicsAreHandled(t *testing.T) {
	for _, addr := range []net.Addr{nil, (*net.TCPAddr)(nil), angryAddr{}} {
		for _, log := range []*slog.Logger{slog.New(angryLogger{}), discard, (&record{}).logger()} {
			bubble(t, func(t *testing.T) {
				srv := server.New(server.Options{Logger: log, Sessions: &angryStore{}, Hooks: server.Hooks{
					OnClientDisconnected: func(*server.Conn, error) { panic(angry{}) },
					OnSignal:             func(context.Context, *server.Signal) { panic(angry{}) },
					OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
						switch r.Name {
						case "error":
							return protocol.Payload{}, angry{}
						case "panic":
							panic(angry{})
						case "login":
							_, err := r.Conn.CreateSession(ctx, nil)
							return protocol.Payload{}, err
						}
						return r.Payload, nil
					},
				}})
				p := attach(t, protocol.V1_2, transport.Limits{}, srv.AcceptOptions(), func(conn transport.Conn) error {
					return srv.ServeConn(context.Background(), addressed{conn, addr})
				})
				p.listen()
				if info := grab(t, srv).Info(); info.RemoteAddr == nil {
					t.Error("there is no address")
				}
				p.signal("s", "x")
				for i, name := range []string{"error", "panic"} {
					p.request(uint64(i), name, "x")
					p.reply(uint64(i), protocol.ReplyInternalError)
				}
				p.request(3, "login", "x")
				p.receive()
				p.reply(3, protocol.Reply)
				time.Sleep(time.Hour) // the use of the session is noted
				p.request(4, "echo", "x")
				p.reply(4, protocol.Reply)
				if err := srv.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				p.over()
			})
		}
	}
}

// Whoever wants to know why the application closed a connection learns it, at DEBUG.
func TestCloseSaysWhy(t *testing.T) {
	for level, records := range map[slog.Level]int{slog.LevelDebug: 1, slog.LevelInfo: 0} {
		bubble(t, func(t *testing.T) {
			var log record
			reasons := make(chan error, 1)
			srv := server.New(server.Options{
				Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: level})),
				Hooks:  server.Hooks{OnClientDisconnected: func(_ *server.Conn, reason error) { reasons <- reason }},
			})
			p := connect(t, srv, protocol.V1_2)
			grab(t, srv).Close(4001, "kicked")
			_, returned := p.over()
			const want = "server: connection closed (4001): kicked"
			for _, reason := range []error{returned, <-reasons} {
				if !errors.Is(reason, server.ErrConnClosed) || !errors.Is(reason, net.ErrClosed) || reason.Error() != want {
					t.Errorf("the reason is %v", reason)
				}
			}
			lines := log.take()
			if strings.Count(lines, "\n") != records || records == 1 && !strings.Contains(lines, `"webwire: connection ended" by=server reason="`+want+`" status=4001 duration=`) {
				t.Errorf("%v: logged %q", level, lines)
			}
		})
	}
}

func TestLogOfResumedConn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log record
		srv := server.New(server.Options{Version: protocol.V3_0, Logger: log.logger(), Hooks: server.Hooks{
			OnRequest: func(context.Context, *server.Request) (protocol.Payload, error) {
				return protocol.Payload{}, errors.New("failed")
			},
		}})
		from := func(ip string, hello protocol.HelloBody) (*peer, protocol.WelcomeBody) {
			hello.Requests = 16
			ours, theirs := pair(t, transport.Limits{}, srv.AcceptOptions())
			p := &peer{t: t, conn: ours, version: protocol.V3_0, ended: make(chan error, 1)}
			go func() {
				p.ended <- srv.ServeConn(context.Background(), addressed{theirs, &net.IPAddr{IP: net.ParseIP(ip)}})
			}()
			t.Cleanup(func() { _ = p.conn.Abort() })
			p.send(hello.Message())
			p.next(protocol.AcceptConf)
			w, err := p.next(protocol.Welcome).Welcome()
			if err != nil {
				t.Fatal(err)
			}
			p.listen()
			return p, w
		}
		p, w := from("192.0.2.1", protocol.HelloBody{})
		p.lose()
		r := claim(w, 1, 0)
		p, _ = from("192.0.2.2", protocol.HelloBody{Resume: &r})
		p.request(1, "x", "y")
		p.receive()
		if text := log.take(); !strings.Contains(text, "192.0.2.2") || strings.Contains(text, "192.0.2.1") {
			t.Errorf("logged is %s", text)
		}
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
}

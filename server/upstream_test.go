package server_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport/memory"
)

// upstream returns a client of a server that answers every request with err, but those
// of the name "never".
func upstream(t *testing.T, err error) *client.Client {
	y := server.New(server.Options{Logger: discard, Hooks: server.Hooks{
		OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
			if r.Name == "never" {
				<-ctx.Done()
			}
			return protocol.Payload{}, err
		},
	}})
	ln := memory.Listen()
	go y.Serve(ln)
	// Otherwise the client makes requests again that a server refused because it shuts down.
	c := client.New(ln, client.Options{DisableAutoconnect: true})
	t.Cleanup(func() {
		c.Close()
		y.Close()
	})
	if err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// What another server answered to a handler is not the handler's own answer. The
// client of X must not believe that X shuts down or that its session is gone
// because Y said so of its own.
func TestAnswerOfAnotherServer(t *testing.T) {
	for name, answer := range map[string]error{
		"shutdown":          protocol.ErrShutdown,
		"session not found": protocol.ErrSessionNotFound,
		"session full":      protocol.ErrSessionFull,
		"sessions disabled": protocol.ErrSessionsDisabled,
		"internal":          protocol.ErrInternal,
		"application":       &protocol.Error{Code: "NO_ROOM", Message: "of Y"},
	} {
		for _, v := range []protocol.Version{protocol.V1_4, protocol.V3_0} {
			t.Run(name+" "+v.String(), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					var log record
					y := upstream(t, answer)
					x := server.New(server.Options{Logger: log.logger(), Version: v, Hooks: server.Hooks{
						OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
							p, err := y.Request(ctx, r.Name, r.Payload)
							if !errors.Is(err, answer) {
								t.Errorf("Y answered %v, want %v", err, answer)
							}
							if r.Name == "wrapped" {
								err = fmt.Errorf("asking Y: %w", err)
							}
							return p, err
						},
					}})
					p := connect(t, x, v)
					for i, request := range []string{"bare", "wrapped"} {
						if i > 0 && answer == protocol.ErrShutdown { // the client of Y has left it
							break
						}
						p.request(uint64(i), request, "x")
						if m := p.receive(); string(inBytes(t, v, m)) != string(inBytes(t, v, v.Failure(m.ID, protocol.ErrInternal))) {
							t.Errorf("%s: answered with a %v %q", request, m.Kind, m.Payload.Data)
						}
						if text := log.take(); !strings.Contains(text, answer.Error()) {
							t.Errorf("%s: log: %q, want something with %q", request, text, answer)
						}
					}
					p.conn.Abort()
					p.wait()
				})
			})
		}
	}
}

// inBytes returns a message as it is sent.
func inBytes(t *testing.T, v protocol.Version, m protocol.Message) []byte {
	t.Helper()
	b, err := v.Append(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A request whose handler began was executed, as far as the client can know, unless the
// handler says otherwise in so many words. What the handler's own calls refuse, before
// anything is sent, is not its answer.
func TestHandlerBegan(t *testing.T) {
	for name, test := range map[string]struct {
		handler  func(ctx context.Context, c, old, busy *server.Conn) error
		code     protocol.FailureCode
		executed protocol.Executed
	}{
		"request to a busy client": {func(ctx context.Context, _, _, busy *server.Conn) error {
			_, err := busy.Request(ctx, "r", protocol.Payload{})
			if !errors.Is(err, protocol.ErrTooMany) {
				t.Errorf("the busy client: %v", err)
			}
			return err
		}, protocol.FailureInternal, protocol.ExecutedYes},
		"request to an old client": {func(ctx context.Context, _, old, _ *server.Conn) error {
			_, err := old.Request(ctx, "r", protocol.Payload{})
			if !errors.Is(err, protocol.ErrUnsupported) {
				t.Errorf("the old client: %v", err)
			}
			return fmt.Errorf("asking: %w", err)
		}, protocol.FailureInternal, protocol.ExecutedYes},
		"no sessions": {func(ctx context.Context, c, _, _ *server.Conn) error {
			_, err := c.CreateSession(ctx, nil)
			return err
		}, protocol.FailureSessionsDisabled, protocol.ExecutedYes},
		"no room": {func(context.Context, *server.Conn, *server.Conn, *server.Conn) error {
			return protocol.ErrTooMany
		}, protocol.FailureTooMany, protocol.ExecutedYes},
		"no room, not executed": {func(context.Context, *server.Conn, *server.Conn, *server.Conn) error {
			return protocol.FailureTooMany.Failure()
		}, protocol.FailureTooMany, protocol.ExecutedNo},
		"shutdown": {func(context.Context, *server.Conn, *server.Conn, *server.Conn) error {
			return protocol.ErrShutdown
		}, protocol.FailureShutdown, protocol.ExecutedNo},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				conns := make(chan *server.Conn, 3)
				var old, busy *server.Conn
				srv := server.New(server.Options{Version: protocol.V3_0, DisableSessions: true, Logger: discard, Hooks: server.Hooks{
					OnClientConnected: func(_ context.Context, c *server.Conn) error {
						conns <- c
						return nil
					},
					OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
						return protocol.Payload{}, test.handler(ctx, r.Conn, old, busy)
					},
				}})
				dialEndpoint(t, srv.Endpoint(server.EndpointOptions{Version: protocol.V2_0}), protocol.V2_0)
				old = <-conns
				p, _ := welcomed(t, context.Background(), srv, protocol.HelloBody{StreamCredit: 64 << 10}, protocol.OutcomeFresh)
				busy = <-conns // it takes no request
				p.request(1, "r", "x")
				f, err := p.reply(1, protocol.ReplyFailure).Failure()
				if err != nil || f.Code != test.code || f.Executed != test.executed {
					t.Errorf("answered with %+v, %v", f, err)
				}
				p.conn.Abort()
				p.wait()
			})
		})
	}
}

// A handler that makes an *Error of its own of another server's answer, or takes out
// the other server's, has chosen what its client gets.
func TestOwnErrorAfterAnswerOfAnotherServer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		y := upstream(t, &protocol.Error{Code: "NO_ROOM", Message: "of Y"})
		x := server.New(server.Options{Logger: discard, Hooks: server.Hooks{
			OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
				p, err := y.Request(ctx, r.Name, r.Payload)
				if r.Name == "own" {
					return p, &protocol.Error{Code: "OWN", Message: "of X: " + protocol.CodeOf(err)}
				}
				var told *protocol.Error
				if errors.As(err, &told) {
					return p, told
				}
				return p, err
			},
		}})
		p := connect(t, x, protocol.V1_2)
		for request, want := range map[string]string{"own": "OWN: of X: NO_ROOM", "taken out": "NO_ROOM: of Y"} {
			p.request(1, request, "x")
			if err := p.receive().Err(); err == nil || err.Error() != want {
				t.Errorf("%s: %v, want %s", request, err, want)
			}
		}
		p.conn.Abort()
		p.wait()
	})
}

// Another server's answer to a session hook does not make the client forget its
// session, and restoring it over and over is no trying of keys.
func TestAnswerOfAnotherServerToLookup(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log record
		y := upstream(t, protocol.ErrSessionNotFound)
		x := server.New(server.Options{Logger: log.logger(), Hooks: server.Hooks{
			OnSessionCreated: func(context.Context, *server.Conn, session.Session) error { return nil },
			OnSessionLookup: func(ctx context.Context, _ *server.Conn, s session.Session) (session.Session, error) {
				_, err := y.Request(ctx, "lookup", protocol.Text("x"))
				return s, err
			},
		}})
		p := connect(t, x, protocol.V1_2)
		for i := range uint64(20) { // more than the failed attempts that end a connection
			p.send(protocol.Message{Kind: protocol.RestoreSession, ID: protocol.NewID(i), Payload: protocol.Text("key")})
			if m := p.receive(); m.Kind != protocol.ReplyInternalError {
				t.Fatalf("attempt %d: answered with a %v", i, m.Kind)
			}
		}
		if text := log.take(); !strings.Contains(text, "session not found") {
			t.Errorf("log: %q", text)
		}
		p.conn.Abort()
		p.wait()
	})
}

// A client leaves a server that shuts down. A request that it cuts off by that may have
// been executed: a handler that returns its error does not answer that it was not.
func TestConnectionLostToAnotherServerThatShutsDown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		y := upstream(t, protocol.ErrShutdown)
		x := server.New(server.Options{Logger: discard, Hooks: server.Hooks{
			OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
				ctx, cancel := context.WithTimeout(ctx, time.Hour)
				defer cancel()
				p, err := y.Request(ctx, r.Name, r.Payload)
				if lost := (*client.DisconnectedError)(nil); r.Name == "never" && (!errors.As(err, &lost) || !errors.Is(err, protocol.ErrShutdown)) {
					t.Errorf("the request to Y ended with %v", err)
				}
				return p, err
			},
		}})
		p := connect(t, x, protocol.V1_2)
		p.request(1, "never", "x")
		synctest.Wait()
		p.request(2, "refused", "x")
		for range 2 {
			if m := p.receive(); m.Kind != protocol.ReplyInternalError {
				t.Errorf("request %d: answered with a %v", m.ID.Uint64(), m.Kind)
			}
		}
		p.conn.Abort()
		p.wait()
	})
}

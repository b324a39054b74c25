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
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var log record
				y := upstream(t, answer)
				x := server.New(server.Options{Logger: log.logger(), Version: protocol.V1_4, Hooks: server.Hooks{
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
				p := connect(t, x, protocol.V1_4)
				for i, request := range []string{"bare", "wrapped"} {
					if i > 0 && answer == protocol.ErrShutdown { // the client of Y has left it
						break
					}
					p.request(uint64(i), request, "x")
					if m := p.receive(); m.Kind != protocol.ReplyInternalError || len(m.Payload.Data) > 0 {
						t.Errorf("%s: answered with a %v %q", request, m.Kind, m.Payload.Text())
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

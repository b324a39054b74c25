package server_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/webwire-go/webwire/internal/manners"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

func TestNotFound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := connect(t, server.New(server.Options{}), protocol.V1_2)
		p.request(7, "nothing", "x")
		err := p.reply(7, protocol.ReplyError).Err()
		if !errors.Is(err, &protocol.Error{Code: protocol.CodeNotFound}) || !strings.Contains(err.Error(), `"nothing"`) {
			t.Errorf("got %v", err)
		}
	})
}

// Clients of 3.0 learn that nothing was executed.
func TestNotFoundIsNotExecuted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := connect(t, server.New(server.Options{Version: protocol.V3_0}), protocol.V3_0)
		p.request(7, "nothing", "x")
		m := p.reply(7, protocol.ReplyFailure)
		if f, err := m.Failure(); err != nil || f.Code != protocol.FailureNoHandler || f.Executed != protocol.ExecutedNo {
			t.Errorf("answered with %+v, %v", f, err)
		}
		if err := m.Err(); !errors.Is(err, protocol.ErrNoHandler) || protocol.CodeOf(err) != protocol.CodeNotFound || err.Error() != `NOT_FOUND: no handler for request "nothing"` {
			t.Errorf("got %v", err)
		}
	})
}

// What the application chose to say reaches the client, and nothing else does.
func TestHandlerErrors(t *testing.T) {
	app := &protocol.Error{Code: "NO_SUCH_ROOM", Message: "комната"}
	var typedNil *protocol.Error
	for name, test := range map[string]struct {
		err    error
		want   error // nil: an internal error
		logged string
	}{
		"application":  {err: app, want: app},
		"wrapped":      {err: fmt.Errorf("chat: %w", app), want: app},
		"joined":       {err: errors.Join(errors.New("a"), app), want: app},
		"session":      {err: protocol.ErrSessionNotFound, want: protocol.ErrSessionNotFound},
		"shutdown":     {err: protocol.ErrShutdown, want: protocol.ErrShutdown},
		"internal":     {err: protocol.ErrInternal},
		"other":        {err: errors.New("password is swordfish"), logged: "swordfish"},
		"context":      {err: context.DeadlineExceeded, logged: "deadline"},
		"typed nil":    {err: typedNil, logged: "nil"},
		"empty code":   {err: &protocol.Error{Message: "no code"}, logged: "no code"},
		"bad code":     {err: &protocol.Error{Code: "КОД"}, logged: "КОД"},
		"endless code": {err: &protocol.Error{Code: strings.Repeat("A", 256)}, logged: "AAAA"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var log record
				srv := server.New(server.Options{Logger: log.logger(), Hooks: server.Hooks{
					OnRequest: func(context.Context, *server.Request) (protocol.Payload, error) {
						return protocol.Text("not to be seen"), test.err
					},
				}})
				p := connect(t, srv, protocol.V1_2)
				p.request(1, "r", "x")
				m := p.receive()
				want := test.want
				if want == nil {
					want = protocol.ErrInternal
				}
				if err := m.Err(); !errors.Is(err, want) || m.ID.Uint64() != 1 {
					t.Errorf("got %v to %d, want %v", err, m.ID.Uint64(), want)
				}
				var got *protocol.Error
				if errors.As(m.Err(), &got) && got.Message != app.Message {
					t.Errorf("got the message %q", got.Message)
				}
				if want == protocol.ErrInternal && len(m.Payload.Data) > 0 {
					t.Errorf("the client learns %q", m.Payload.Text())
				}
				p.quiet()
				text := log.take()
				if !strings.Contains(text, test.logged) || (test.logged == "") != (text == "") {
					t.Errorf("log: %q, want something with %q", text, test.logged)
				}
			})
		})
	}
}

// A reply that cannot be sent is an error of the server, and of this request only.
func TestUnsendableReplies(t *testing.T) {
	for name, test := range map[string]struct {
		version protocol.Version
		reply   protocol.Payload
		limit   int
		told    protocol.Kind
	}{
		"odd UTF-16":       {protocol.V1_2, protocol.Payload{Encoding: protocol.UTF16, Data: []byte("abc")}, 1000, protocol.ReplyInternalError},
		"unknown encoding": {protocol.V1_2, protocol.Payload{Encoding: 77, Data: []byte("abc")}, 1000, protocol.ReplyInternalError},
		"too big for 2.0":  {protocol.V2_0, protocol.Bytes(make([]byte, 2000)), 2000, protocol.ReplyError},
		"too big for 3.0":  {protocol.V3_0, protocol.Bytes(make([]byte, 2000)), 2000, protocol.ReplyError},
		"odd in 3.0":       {protocol.V3_0, protocol.Payload{Encoding: protocol.UTF16, Data: []byte("abc")}, 2000, protocol.ReplyFailure},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var log record
				srv := server.New(server.Options{
					Logger: log.logger(), Version: test.version, MaxMessageSize: test.limit,
					Hooks: server.Hooks{OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
						if r.Name == "bad" {
							return test.reply, nil
						}
						return r.Payload, nil
					}},
				})
				p := connect(t, srv, test.version)
				if manners.Of(test.version).Conf {
					p.receive()
				}
				p.request(1, "bad", "x")
				m := p.reply(1, test.told)
				if told := (*protocol.Error)(nil); errors.As(m.Err(), &told) && (told.Code != protocol.CodeTooBig || !strings.Contains(told.Message, "at most 2000")) {
					t.Errorf("the client is told %v", told)
				}
				if text := log.take(); !strings.Contains(text, "reply cannot be sent") {
					t.Errorf("log: %q", text)
				}
				p.request(2, "good", "x")
				p.reply(2, protocol.Reply)
			})
		})
	}
}

// Whatever way a handler ends without returning, its client gets an answer, others
// go on, and nothing is left behind.
func TestPanics(t *testing.T) {
	ways := map[string]func(){
		"panic":   func() { panic("boom") },
		"nil":     func() { panic(error(nil)) },
		"runtime": func() { _ = []int(nil)[len(t.Name())] },
		"Goexit":  runtime.Goexit,
	}
	for name, end := range ways {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var log record
				signals := make(chan string, 100)
				gone := 0
				srv := server.New(server.Options{Logger: log.logger(), Concurrency: 2, Hooks: server.Hooks{
					OnSignal: func(_ context.Context, s *server.Signal) {
						if signals <- s.Name; s.Name == "bad" {
							end()
						}
					},
					OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
						if r.Name == "bad" {
							end()
						}
						return r.Payload, nil
					},
					OnClientDisconnected: func(*server.Conn, error) {
						gone++
						end()
					},
				}})
				p := connect(t, srv, protocol.V1_2)
				synctest.Wait()
				logged := func(what string) {
					t.Helper()
					text := log.take()
					if strings.Count(text, "level=ERROR") != 1 || !strings.Contains(text, what) || !strings.Contains(text, "handlers_test.go") {
						t.Errorf("log lacks %q or the stack: %q", what, text)
					}
				}

				for i := range uint64(5) { // more than Concurrency
					p.request(i, "bad", "x")
					p.reply(i, protocol.ReplyInternalError)
					logged(`handler of request \"bad\" panicked`)
				}
				p.request(10, "good", "x")
				p.reply(10, protocol.Reply)

				p.signal("bad", "x")
				p.signal("good", "x")
				if a, b := <-signals, <-signals; a != "bad" || b != "good" {
					t.Errorf("signals: %s, %s", a, b)
				}
				synctest.Wait()
				logged(`handler of signal \"bad\" panicked`)
				// Both kinds still run while one of the other kind ends badly.
				p.signal("bad", "x")
				p.request(11, "good", "x")
				p.reply(11, protocol.Reply)
				log.take()
				synctest.Wait()
				if n := srv.Stats().InFlight; n != 0 {
					t.Errorf("%d handlers are in flight", n)
				}

				p.conn.Close(transport.StatusNormalClosure, "")
				p.over()
				logged("OnClientDisconnected panicked")
				if st := srv.Stats(); st.Open != 0 || gone != 1 {
					t.Errorf("%d connections open, OnClientDisconnected called %d times", st.Open, gone)
				}
			})
		})
	}
}

// With Serve a hook that ends its goroutine ends neither the server nor Serve's wait.
func TestGoexitInServe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := server.New(server.Options{Logger: discard, Hooks: server.Hooks{
			OnClientDisconnected: func(*server.Conn, error) { runtime.Goexit() },
		}})
		ln := memory.Listen()
		served := make(chan error, 1)
		go func() { served <- srv.Serve(ln) }()
		for range 3 {
			conn, err := ln.Dial(t.Context(), transport.DialOptions{})
			if err != nil {
				t.Fatal(err)
			}
			conn.Abort()
		}
		synctest.Wait()
		if err := srv.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-served; err != server.ErrServerClosed {
			t.Error(err)
		}
	})
}

// The context of a handler ends with the connection, whichever side ended it.
func TestHandlerContext(t *testing.T) {
	for name, end := range map[string]func(*peer, *server.Conn){
		"lost":    func(p *peer, _ *server.Conn) { p.conn.Abort() },
		"closed":  func(p *peer, _ *server.Conn) { p.conn.Close(transport.StatusNormalClosure, "") },
		"aborted": func(_ *peer, c *server.Conn) { c.Abort() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				conns := make(chan *server.Conn, 1)
				ended := make(chan error, 1)
				srv := server.New(server.Options{Hooks: server.Hooks{
					OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
						conns <- r.Conn
						<-ctx.Done()
						ended <- context.Cause(ctx)
						return protocol.Payload{}, ctx.Err()
					},
				}, Logger: discard})
				p := connect(t, srv, protocol.V1_2)
				p.request(1, "r", "x")
				end(p, <-conns)
				if cause := <-ended; cause == nil || cause == context.Canceled {
					t.Errorf("cause %v does not say why", cause)
				}
				p.over()
			})
		})
	}
}

// A request and a signal belong to their handler, which may keep them.
func TestHandlersOwnWhatTheyGet(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var kept []*server.Request
		var signals []*server.Signal
		srv := server.New(server.Options{Hooks: server.Hooks{
			OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
				kept = append(kept, r)
				r.Payload.Data = append(r.Payload.Data, "appended"...) // must not reach the name or others
				return r.Payload, nil
			},
			OnSignal: func(_ context.Context, s *server.Signal) { signals = append(signals, s) },
		}})
		p := connect(t, srv, protocol.V1_2)
		for i, text := range []string{"short", "other", strings.Repeat("long", 1000), "z"} {
			p.request(uint64(i), "name-"+text[:1], text)
			if m := p.reply(uint64(i), protocol.Reply); m.Payload.Text() != text+"appended" {
				t.Errorf("got %q", m.Payload.Text())
			}
			p.signal("signal-"+text[:1], text)
		}
		synctest.Wait()
		for i, text := range []string{"short", "other", strings.Repeat("long", 1000), "z"} {
			if r := kept[i]; r.Name != "name-"+text[:1] || r.Payload.Text() != text+"appended" {
				t.Errorf("request %d became %q %q", i, r.Name, r.Payload.Text())
			}
			if s := signals[i]; s.Name != "signal-"+text[:1] || s.Payload.Text() != text {
				t.Errorf("signal %d became %q %q", i, s.Name, s.Payload.Text())
			}
		}
	})
}

func TestErrorThatPanics(t *testing.T) {
	for _, v := range []protocol.Version{protocol.V2_0, protocol.V3_0} {
		bubble(t, func(t *testing.T) {
			srv := server.New(server.Options{Version: v, Logger: discard, Hooks: server.Hooks{
				OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
					var typed *fs.PathError
					return r.Payload, typed
				},
			}})
			p := connect(t, srv, v)
			p.request(1, "x", "y")
			m := p.receive()
			if m.Kind == protocol.AcceptConf {
				m = p.receive()
			}
			if err := m.Err(); m.ID.Uint64() != 1 || !errors.Is(err, protocol.ErrInternal) {
				t.Errorf("got %v, %v", m.Kind, err)
			}
			if err := srv.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
)

// dial3 returns a client of 3.0 of a server of 3.0.
func dial3(t *testing.T, so server.Options, co client.Options) (*server.Server, *client.Client) {
	t.Helper()
	so.Version, so.Logger = protocol.V3_0, discard
	srv, ln := serve(t, so)
	co.Versions, co.Logger = []protocol.Version{protocol.V3_0}, discard
	return srv, dial(t, ln, co)
}

// Whatever works in 2.0 works in 3.0: requests, errors, signals, sessions that are restored.
func Test3_0(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mux server.Mux
		mux.Request("echo", func(_ context.Context, r *server.Request) (protocol.Payload, error) { return r.Payload, nil })
		mux.Request("no", func(context.Context, *server.Request) (protocol.Payload, error) {
			return protocol.Payload{}, &protocol.Error{Code: "NO"}
		})
		mux.Request("fails", func(context.Context, *server.Request) (protocol.Payload, error) {
			return protocol.Payload{}, errors.New("secret")
		})
		mux.Request("login", func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
			_, err := r.Conn.CreateSession(ctx, nil)
			return protocol.Payload{}, err
		})
		mux.Request("panics", func(context.Context, *server.Request) (protocol.Payload, error) { panic("x") })
		signals := make(chan string, 10)
		srv, c := dial3(t, server.Options{Handler: &mux}, client.Options{Hooks: client.Hooks{
			OnServerSignal: func(_ context.Context, s *client.Signal) { signals <- s.Name },
		}})
		if p, err := c.Request(t.Context(), "echo", protocol.Text("x")); err != nil || p.Text() != "x" {
			t.Fatal(p.Text(), err)
		}
		if _, err := c.Request(t.Context(), "no", protocol.Text("x")); protocol.CodeOf(err) != "NO" {
			t.Error(err)
		}
		for _, name := range []string{"fails", "panics"} {
			if _, err := c.Request(t.Context(), name, protocol.Text("x")); !errors.Is(err, protocol.ErrInternal) {
				t.Error(name, err)
			}
		}
		if _, err := c.Request(t.Context(), "login", protocol.Text("x")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		first, _ := c.Session()
		conn := slices.Collect(srv.Conns())[0]
		if v := conn.Info().Version; v != protocol.V3_0 {
			t.Errorf("they speak %v", v)
		}
		if err := conn.Signal(t.Context(), "hello", protocol.Text("x")); err != nil || <-signals != "hello" {
			t.Error(err)
		}
		time.Sleep(10 * time.Minute) // heartbeats keep it
		conn.Abort()
		synctest.Wait()
		if _, err := c.Request(t.Context(), "echo", protocol.Text("x")); err != nil {
			t.Error(err)
		}
		if second, ok := c.Session(); !ok || second.Key != first.Key {
			t.Errorf("the session is %q, not %q", second.Key, first.Key)
		}
		if err := c.CloseSession(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// The context of a handler ends with the caller's, at the caller's deadline, and with the
// connection.
func TestHandlersAreCancelled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		began, causes := make(chan struct{}, 10), make(chan error, 10)
		_, c := dial3(t, server.Options{Hooks: server.Hooks{
			OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
				began <- struct{}{}
				<-ctx.Done()
				causes <- context.Cause(ctx)
				return protocol.Payload{}, ctx.Err()
			},
		}}, client.Options{Timeout: time.Minute})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-began
			cancel()
		}()
		if _, err := c.Request(ctx, "x", protocol.Text("x")); !errors.Is(err, context.Canceled) || !client.MaybeExecuted(err) {
			t.Error(err)
		}
		if cause := <-causes; !errors.Is(cause, context.Canceled) {
			t.Errorf("cancel: the cause is %v", cause)
		}
		start := time.Now()
		if _, err := c.Request(t.Context(), "x", protocol.Text("x")); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		<-began
		if cause := <-causes; !errors.Is(cause, context.DeadlineExceeded) || time.Since(start) > 61*time.Second {
			t.Errorf("timeout: the cause is %v after %v", cause, time.Since(start))
		}
	})
}

// The server asks the client, whose handlers ask back.
func TestServerAsks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mux client.Mux
		mux.Request("twice", func(ctx context.Context, r *client.Request) (protocol.Payload, error) {
			return r.Client.Request(ctx, "echo", protocol.Text(r.Payload.Text()+r.Payload.Text()))
		})
		mux.Request("never", func(ctx context.Context, _ *client.Request) (protocol.Payload, error) {
			<-ctx.Done()
			return protocol.Payload{}, ctx.Err()
		})
		mux.Request("panics", func(context.Context, *client.Request) (protocol.Payload, error) { panic("x") })
		srv, c := dial3(t, server.Options{Hooks: server.Hooks{
			OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
				if r.Name == "ask" {
					return r.Conn.Request(ctx, "twice", r.Payload)
				}
				return r.Payload, nil
			},
		}}, client.Options{Handler: &mux})
		if p, err := c.Request(t.Context(), "ask", protocol.Text("x")); err != nil || p.Text() != "xx" {
			t.Fatal(p.Text(), err)
		}
		conn := slices.Collect(srv.Conns())[0]
		if _, err := conn.Request(t.Context(), "unknown", protocol.Text("x")); !errors.Is(err, protocol.ErrNoHandler) {
			t.Errorf("without a handler: %v", err)
		}
		if _, err := conn.Request(t.Context(), "panics", protocol.Text("x")); !errors.Is(err, protocol.ErrInternal) {
			t.Errorf("after a panic: %v", err)
		}
		start := time.Now()
		if _, err := conn.Request(t.Context(), "never", protocol.Text("x")); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 30*time.Second {
			t.Errorf("no answer: %v after %v", err, time.Since(start))
		}
		synctest.Wait()
		done := make(chan error, 17)
		ctx, cancel := context.WithCancel(t.Context())
		for range 17 {
			go func() {
				_, err := conn.Request(ctx, "never", protocol.Text("x"))
				done <- err
			}()
		}
		if err := <-done; !errors.Is(err, protocol.ErrTooMany) {
			t.Errorf("one too many: %v", err)
		}
		cancel()
		for range 16 {
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		time.Sleep(time.Second) // until they are answered they count
		type pair struct{ A, B int }
		mux.Request("json", func(_ context.Context, r *client.Request) (protocol.Payload, error) { return r.Payload, nil })
		if got, err := server.Call[pair](t.Context(), conn, "json", pair{1, 2}); err != nil || got != (pair{1, 2}) {
			t.Error(got, err)
		}
		c.Close()
		synctest.Wait()
		if _, err := conn.Request(t.Context(), "json", protocol.Text("x")); !errors.Is(err, server.ErrConnClosed) {
			t.Errorf("after the end: %v", err)
		}
	})
}

// Streams: all items, an error after some, and one that is left early.
func TestStreams(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mux server.Mux
		left := make(chan error, 1)
		mux.Stream("count", server.JSONStream(func(_ context.Context, _ *server.Request, n int) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				for i := range n {
					if !yield(i, nil) {
						return
					}
				}
				if n == 3 {
					yield(0, &protocol.Error{Code: "THREE"})
				}
			}
		}))
		mux.Stream("tail", func(ctx context.Context, _ *server.Request, send func(protocol.Payload) error) error {
			for i := 0; ; i++ {
				if err := send(protocol.Text(fmt.Sprint(i))); err != nil {
					left <- err
					return err
				}
			}
		})
		_, c := dial3(t, server.Options{Handler: &mux}, client.Options{})
		sum := 0
		for i, err := range client.CallStream[int](t.Context(), c, "count", 2000) {
			if err != nil {
				t.Fatal(err)
			}
			sum += i
		}
		if sum != 1999*1000 {
			t.Errorf("the sum is %d", sum)
		}
		var last error
		items := 0
		for _, err := range client.CallStream[int](t.Context(), c, "count", 3) {
			if last = err; err == nil {
				items++
			}
		}
		if items != 3 || protocol.CodeOf(last) != "THREE" {
			t.Errorf("%d items, then %v", items, last)
		}
		stream := c.Stream(t.Context(), "tail", protocol.Text("x"))
		for p, err := range stream {
			if err != nil {
				t.Fatal(err)
			}
			if p.Text() == "5000" {
				break
			}
		}
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("the handler was told %v", err)
		}
		for _, err := range stream {
			if last = err; err == nil {
				t.Error("it is iterated twice")
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for _, err := range c.Stream(ctx, "tail", protocol.Text("x")) {
			if last = err; err == nil {
				time.Sleep(10 * time.Millisecond)
			}
		}
		if !errors.Is(last, context.DeadlineExceeded) {
			t.Errorf("at the deadline: %v", last)
		}
		<-left
		if _, err := c.Request(t.Context(), "tail", protocol.Text("x")); !errors.Is(err, protocol.ErrUnsupported) || client.MaybeExecuted(err) {
			t.Errorf("without asking for a stream: %v", err)
		}
	})
}

// The server sees the credentials of each attempt before anything else, and refuses with a
// status that the client keeps to.
func TestCredentials(t *testing.T) {
	bubble(t, func(t *testing.T) {
		attempts := 0
		var seen []string
		var kept *server.Conn
		srv, c := dial3(t, server.Options{Hooks: server.Hooks{
			OnClientConnected: func(_ context.Context, conn *server.Conn) error {
				proof := string(conn.Credentials())
				seen = append(seen, proof)
				kept = conn
				switch proof {
				case "1":
					return &transport.CloseError{Status: 4000, Reason: "expired"}
				case "3":
					return &transport.CloseError{Status: 4500, Reason: "banned"}
				}
				return nil
			},
			OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) { return r.Payload, nil },
		}}, client.Options{Credentials: func(context.Context) ([]byte, error) {
			attempts++
			return fmt.Append(nil, attempts), nil
		}})
		if err := c.Connect(t.Context()); err != nil { // which is accepted before it is refused
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if _, err := c.Request(t.Context(), "x", protocol.Text("x")); err != nil {
			t.Fatal(err)
		}
		if kept.Credentials() != nil {
			t.Error("the credentials are kept")
		}
		slices.Collect(srv.Conns())[0].Abort()
		time.Sleep(time.Minute)
		var closed *transport.CloseError
		if _, err := c.Request(t.Context(), "x", protocol.Text("x")); !errors.As(err, &closed) || closed.Status != 4500 {
			t.Errorf("after a final refusal: %v", err)
		}
		if !slices.Equal(seen, []string{"1", "2", "3"}) {
			t.Errorf("the server saw %q", seen)
		}
	})
}

// What older versions cannot do says so.
func TestBefore3_0(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mux server.Mux
		mux.Stream("s", func(context.Context, *server.Request, func(protocol.Payload) error) error { return nil })
		mux.Request("x", func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
			_, err := r.Conn.Request(ctx, "x", r.Payload)
			if !errors.Is(err, protocol.ErrUnsupported) {
				t.Errorf("Conn.Request: %v", err)
			}
			return r.Payload, nil
		})
		_, ln := serve(t, server.Options{Handler: &mux, Version: protocol.V3_0, Logger: discard})
		c := dial(t, ln, client.Options{Versions: []protocol.Version{protocol.V2_0}})
		if _, err := c.Request(t.Context(), "x", protocol.Text("x")); err != nil {
			t.Error(err)
		}
		for _, err := range c.Stream(t.Context(), "s", protocol.Text("x")) {
			if !errors.Is(err, protocol.ErrUnsupported) || client.MaybeExecuted(err) {
				t.Errorf("Stream: %v", err)
			}
		}
		if _, err := c.Request(t.Context(), "s", protocol.Text("x")); protocol.CodeOf(err) != protocol.CodeBadRequest {
			t.Errorf("a request for a stream: %v", err)
		}
	})
}

// Metadata travels in both directions, with requests, streams and signals.
func TestMeta(t *testing.T) {
	bubble(t, func(t *testing.T) {
		all := func(h protocol.Head) (text string) {
			for key, value := range h.Metadata() {
				text += fmt.Sprintf("%s=%s ", key, value)
			}
			trace, _ := h.Trace()
			return text + trace.String()
		}
		trace, err := protocol.ParseTraceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
		if err != nil {
			t.Fatal(err)
		}
		head := protocol.Head{}.AppendTrace(trace).AppendMetadata("k", "v")
		want := all(head)
		var mux server.Mux
		mux.Request("r", func(_ context.Context, r *server.Request) (protocol.Payload, error) {
			return protocol.Text(all(r.Meta)), nil
		})
		mux.Stream("s", func(_ context.Context, r *server.Request, send func(protocol.Payload) error) error {
			return send(protocol.Text(all(r.Meta)))
		})
		signals := make(chan string, 1)
		mux.Signal("*", func(_ context.Context, s *server.Signal) { signals <- all(s.Meta) })
		var ofServer client.Mux
		ofServer.Request("r", func(_ context.Context, r *client.Request) (protocol.Payload, error) {
			return protocol.Text(all(r.Meta)), nil
		})
		ofServer.Signal("*", func(_ context.Context, s *client.Signal) { signals <- all(s.Meta) })
		srv, c := dial3(t, server.Options{Handler: &mux}, client.Options{Handler: &ofServer})
		ctx := client.WithMeta(t.Context(), head)
		if got := client.Meta(ctx); !slices.Equal(got, head) || client.Meta(t.Context()) != nil {
			t.Errorf("the metadata of the context is %v", got)
		}
		if p, err := c.Request(ctx, "r", protocol.Text("x")); err != nil || p.Text() != want {
			t.Errorf("request: %q, %v", p.Text(), err)
		}
		for p, err := range c.Stream(ctx, "s", protocol.Text("x")) {
			if err != nil || p.Text() != want {
				t.Errorf("stream: %q, %v", p.Text(), err)
			}
		}
		if err := c.Signal(ctx, "x", protocol.Text("x")); err != nil || <-signals != want {
			t.Errorf("signal: %v", err)
		}
		conn := slices.Collect(srv.Conns())[0]
		if p, err := conn.Request(server.WithMeta(t.Context(), head), "r", protocol.Text("x")); err != nil || p.Text() != want {
			t.Errorf("request of the server: %q, %v", p.Text(), err)
		}
		if err := conn.Signal(server.WithMeta(t.Context(), head), "x", protocol.Text("x")); err != nil || <-signals != want {
			t.Errorf("signal of the server: %v", err)
		}
	})
}

// Middleware is around all requests of the server, and knows the pattern that matches.
func TestMiddlewareOfRequests(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mux client.Mux
		mux.Request("ask.*", func(_ context.Context, r *client.Request) (protocol.Payload, error) { return r.Payload, nil })
		var log []string
		mux.Use(func(next client.RequestHandler) client.RequestHandler {
			return func(ctx context.Context, r *client.Request) (protocol.Payload, error) {
				pattern, ok := mux.RequestPattern(r.Name)
				p, err := next(ctx, r)
				log = append(log, fmt.Sprint(r.Name, " ", pattern, " ", ok, " ", err == nil))
				return p, err
			}
		})
		srv, c := dial3(t, server.Options{}, client.Options{Handler: &mux})
		connect(t, c)
		synctest.Wait()
		conn := slices.Collect(srv.Conns())[0]
		if _, err := conn.Request(t.Context(), "ask.me", protocol.Text("x")); err != nil {
			t.Error(err)
		}
		if _, err := conn.Request(t.Context(), "tell", protocol.Text("x")); !errors.Is(err, protocol.ErrNoHandler) {
			t.Error(err)
		}
		if want := []string{"ask.me ask.* true true", "tell  false false"}; !slices.Equal(log, want) {
			t.Errorf("%q, want %q", log, want)
		}
		if pattern, ok := mux.SignalPattern("ask.me"); ok {
			t.Errorf("a signal matches %q", pattern)
		}
	})
}

// A request without a handler was not executed, at either end, and is nothing to log. Before
// 3.0 the client cannot tell it from an answer of a handler.
func TestNoHandlerIsNotExecuted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&log, nil))
		srv, ln := serve(t, server.Options{Handler: new(server.Mux), Logger: logger})
		c := dial(t, ln, client.Options{Handler: new(client.Mux), Logger: logger})
		_, err := c.Request(t.Context(), "nothing", protocol.Payload{})
		if protocol.CodeOf(err) != protocol.CodeNotFound || !errors.Is(err, protocol.ErrNoHandler) || client.MaybeExecuted(err) {
			t.Errorf("%v, maybe executed: %v", err, client.MaybeExecuted(err))
		}
		_, err = slices.Collect(srv.Conns())[0].Request(t.Context(), "nothing", protocol.Payload{})
		var failure *protocol.FailureError
		if !errors.Is(err, protocol.ErrNoHandler) || !errors.As(err, &failure) || failure.Executed != protocol.ExecutedNo {
			t.Errorf("the client answered %v", err)
		}
		synctest.Wait()
		if log.Len() > 0 {
			t.Errorf("logged %s", &log)
		}
		before := dial(t, ln, client.Options{Versions: []protocol.Version{protocol.V2_0}, Logger: logger})
		if _, err := before.Request(t.Context(), "nothing", protocol.Text("x")); !errors.Is(err, protocol.ErrNoHandler) || !client.MaybeExecuted(err) {
			t.Errorf("2.0: %v, maybe executed: %v", err, client.MaybeExecuted(err))
		}
	})
}

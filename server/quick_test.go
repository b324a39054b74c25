package server_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
)

// soon is how long a handler that is not as quick as all before it may hold up what
// comes behind it.
const soon = 2 * time.Millisecond

// rapid returns a connection to a server whose handlers were quick many times in a
// row, so that they are called by whoever reads the connection. Those of handlers do
// something else.
func rapid(t *testing.T, opts server.Options, handlers map[string]server.RequestHandler, signals map[string]func()) (*server.Server, *peer) {
	t.Helper()
	opts.Logger = discard
	opts.Hooks.OnRequest = func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
		if h := handlers[r.Name]; h != nil {
			return h(ctx, r)
		}
		return echo(ctx, r)
	}
	opts.Hooks.OnSignal = func(ctx context.Context, s *server.Signal) {
		if f := signals[s.Name]; f != nil {
			f()
		}
	}
	srv := server.New(opts)
	p := connect(t, srv, protocol.V1_2)
	for id := range uint64(3000) {
		p.request(id, "echo", "x")
		p.reply(id, protocol.Reply)
	}
	return srv, p
}

// after returns a handler that answers as echo does, once it receives from release.
func after(release <-chan struct{}) server.RequestHandler {
	return func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
		<-release
		return echo(ctx, r)
	}
}

// A handler that blocks holds up what comes behind it for a moment only, and gets its
// own reply.
func TestSlowAmongQuickHandlers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		_, p := rapid(t, server.Options{}, map[string]server.RequestHandler{"slow": after(release)}, nil)
		for range 3 {
			began := time.Now()
			p.request(1, "slow", "x")
			p.request(2, "echo", "y")
			p.reply(2, protocol.Reply)
			if took := time.Since(began); took > soon {
				t.Errorf("a request behind the slow one took %v", took)
			}
			p.quiet()
			release <- struct{}{}
			p.reply(1, protocol.Reply)
			for id := range uint64(3000) {
				p.request(id, "echo", "x")
				p.reply(id, protocol.Reply)
			}
		}
	})
}

// A handler may wait for a later message of its own connection.
func TestQuickHandlerAwaitsSignal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		came := make(chan struct{}, 1)
		_, p := rapid(t, server.Options{}, map[string]server.RequestHandler{
			"await": func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
				select {
				case <-came:
					return r.Payload, nil
				case <-ctx.Done():
					return r.Payload, ctx.Err()
				}
			},
		}, map[string]func(){"go": func() { came <- struct{}{} }})
		p.request(1, "await", "x")
		p.signal("go", "x")
		p.reply(1, protocol.Reply)
	})
}

// Signals keep their order and their turn, whoever calls the handler.
func TestQuickSignalsKeepOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var order []string // guarded by their order, or the race detector tells
		note := func(what string) func() { return func() { order = append(order, what) } }
		slow := func() { time.Sleep(time.Second); order = append(order, "slow") }
		_, p := rapid(t, server.Options{}, map[string]server.RequestHandler{
			"order": func(context.Context, *server.Request) (protocol.Payload, error) {
				return protocol.Text(strings.Join(order, " ")), nil
			},
		}, map[string]func(){"a": note("a"), "slow": slow, "b": note("b")})
		for range 2 {
			p.signal("a", "x")
			p.signal("slow", "x")
			p.signal("b", "x")
			p.request(1, "order", "x")
			if got := p.reply(1, protocol.Reply).Payload.Text(); got != "a slow b" {
				t.Errorf("handled in this order: %s", got)
			}
			order = nil
		}
	})
}

// Shutdown waits for a handler that the reader runs, and refuses what comes meanwhile.
func TestShutdownWithQuickHandler(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		srv, p := rapid(t, server.Options{}, map[string]server.RequestHandler{"slow": after(release)}, nil)
		p.request(1, "slow", "x")
		synctest.Wait()
		down := make(chan error, 1)
		go func() { down <- srv.Shutdown(context.Background()) }()
		synctest.Wait()
		p.request(2, "echo", "y")
		p.reply(2, protocol.ReplyShutdown)
		close(release)
		p.reply(1, protocol.Reply)
		if err := <-down; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if _, err := p.over(); !errors.Is(err, server.ErrServerClosed) {
			t.Errorf("ServeConn returned %v", err)
		}
	})
}

// Handlers that end badly cost their client an error, and the connection nothing.
func TestQuickHandlersEndBadly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		end := func(f func()) server.RequestHandler {
			return func(context.Context, *server.Request) (protocol.Payload, error) { f(); panic("unreachable") }
		}
		_, p := rapid(t, server.Options{}, map[string]server.RequestHandler{
			"panic": end(func() { panic("boom") }), "goexit": end(runtime.Goexit),
			"late goexit": end(func() { time.Sleep(time.Second); runtime.Goexit() }),
		}, map[string]func(){"panic": func() { panic("boom") }, "goexit": runtime.Goexit})
		for _, name := range []string{"panic", "goexit", "late goexit", "goexit", "panic"} {
			p.signal("panic", "x")
			p.signal("goexit", "x")
			p.request(1, name, "x")
			p.reply(1, protocol.ReplyInternalError)
			p.request(2, "echo", "y")
			p.reply(2, protocol.Reply)
		}
		p.conn.Close(transport.StatusNormalClosure, "")
		if _, err := p.over(); err == nil {
			t.Error("ServeConn returned nil")
		}
	})
}

// What the server answers to many requests that arrive at once leaves in order of
// their handlers, and nothing is held back when they are over.
func TestQuickBatch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, p := rapid(t, server.Options{}, nil, nil)
		var batch [][]byte
		for id := range uint64(1000) {
			b, err := p.version.Append(nil, protocol.Message{Kind: protocol.Request, ID: protocol.NewID(id), Name: "echo", Payload: protocol.Text("x")})
			if err != nil {
				t.Fatal(err)
			}
			batch = append(batch, b)
		}
		for range 5 {
			began := time.Now()
			if err := p.conn.Write(batch...); err != nil {
				t.Fatal(err)
			}
			for id := range uint64(1000) {
				p.reply(id, protocol.Reply)
			}
			if took := time.Since(began); took > soon {
				t.Errorf("replies to a batch took %v", took)
			}
			p.quiet()
		}
	})
}

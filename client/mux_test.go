package client_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// note is a SignalHandler that notes what it is called for.
func note(log *[]string, who string) client.SignalHandler {
	return func(_ context.Context, s *client.Signal) { *log = append(*log, who+" "+s.Name+" "+s.Payload.Text()) }
}

// sendAll sends a signal of each name to all clients of the server.
func sendAll(t *testing.T, srv *server.Server, names ...string) {
	t.Helper()
	synctest.Wait()
	for conn := range srv.Conns() {
		for _, name := range names {
			if err := conn.Signal(context.Background(), name, text("x")); err != nil {
				t.Error(err)
			}
		}
	}
	synctest.Wait()
}

func TestMux(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log []string
		var mux client.Mux
		mux.Signal("a", note(&log, "exact"))
		mux.Signal("a*", note(&log, "prefix"))
		mux.UseSignal(func(next client.SignalHandler) client.SignalHandler {
			return func(ctx context.Context, s *client.Signal) {
				log = append(log, "around "+s.Name)
				next(ctx, s)
			}
		})
		srv, ln := serve(t, server.Options{})
		c := dial(t, ln, client.Options{Handler: &mux})
		connect(t, c)
		sendAll(t, srv, "a", "ab", "b")
		if want := []string{"around a", "exact a x", "around ab", "prefix ab x", "around b"}; !slices.Equal(log, want) {
			t.Errorf("%q, want %q", log, want)
		}
		if n := c.Stats().Dropped; n != 1 {
			t.Errorf("%d signals were dropped, want the one without a handler", n)
		}
		defer func() {
			if recover() == nil {
				t.Error("two handlers for one pattern")
			}
		}()
		mux.Signal("a", note(&log, "again"))
	})
}

// Options.Handler serves what OnServerSignal leaves nil, and nothing else.
func TestHandler(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, ln := serve(t, server.Options{})
		for name, c := range map[string]struct{ hook, handler bool }{
			"hook": {hook: true}, "handler": {handler: true}, "both": {true, true}, "none": {},
		} {
			var log []string
			var mux client.Mux
			mux.Signal("*", note(&log, "handler"))
			var opts client.Options
			if c.hook {
				opts.Hooks.OnServerSignal = note(&log, "hook")
			}
			if c.handler {
				opts.Handler = &mux
			}
			cl := dial(t, ln, opts)
			connect(t, cl)
			sendAll(t, srv, "s")
			var want []string
			switch {
			case c.hook:
				want = []string{"hook s x"}
			case c.handler:
				want = []string{"handler s x"}
			}
			if !slices.Equal(log, want) {
				t.Errorf("%s: %q, want %q", name, log, want)
			}
			if dropped := cl.Stats().Dropped; dropped != 0 && want != nil || want == nil && dropped != 1 {
				t.Errorf("%s: %d signals were dropped", name, dropped)
			}
			cl.Close()
			synctest.Wait()
		}
	})
}

// What a signal holds is its handler's, for as long as the handler wants, and its client
// is the one that received it.
func TestSignalIsTheHandlers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var kept []*client.Signal
		srv, ln := serve(t, server.Options{})
		c := dial(t, ln, client.Options{Hooks: client.Hooks{
			OnServerSignal: func(_ context.Context, s *client.Signal) { kept = append(kept, s) },
		}})
		connect(t, c)
		synctest.Wait()
		for conn := range srv.Conns() {
			for i := range 100 {
				p := protocol.Text(string(make([]byte, i)) + "x")
				if err := conn.Signal(t.Context(), "n", p); err != nil {
					t.Fatal(err)
				}
			}
		}
		synctest.Wait()
		for i, s := range kept {
			if s.Client != c || s.Name != "n" || s.Payload.Text() != string(make([]byte, i))+"x" {
				t.Errorf("signal %d is %q %q", i, s.Name, s.Payload.Text())
			}
		}
		if len(kept) != 100 {
			t.Errorf("%d signals", len(kept))
		}
	})
}

// The context of hooks ends with Close, and not with a connection.
func TestContextOfHooks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		n.serve(server.Options{})
		contexts := make(chan context.Context, 10)
		ended := make(chan error, 1)
		c := n.client(client.Options{Hooks: client.Hooks{
			OnConnected:    func(ctx context.Context) { contexts <- ctx },
			OnDisconnected: func(ctx context.Context, _ error) { contexts <- ctx; <-ctx.Done(); ended <- ctx.Err() },
		}})
		connect(t, c)
		n.near().Cut()
		for range 2 {
			if ctx := <-contexts; ctx.Err() != nil {
				t.Error("it ended with the connection")
			}
		}
		synctest.Wait()
		c.Close()
		if err := <-ended; err != context.Canceled {
			t.Errorf("it ended with %v", err)
		}
		synctest.Wait()
	})
}

package e2e_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
	"github.com/webwire-go/webwire/transport/websocket"
)

// eachTransport runs a test over the ways to connect, that inside the process included.
func eachTransport(t *testing.T, opts server.Options, test func(t *testing.T, d transport.Dialer)) {
	opts.Upgrader, opts.Logger = websocket.Upgrader{}, slog.New(slog.DiscardHandler)
	inside := way{"memory", func(t *testing.T, srv *server.Server) transport.Dialer {
		ln := memory.Listen()
		served := make(chan error, 1)
		go func() { served <- srv.Serve(ln) }()
		t.Cleanup(func() { srv.Close(); <-served })
		return ln
	}}
	for _, w := range append([]way{inside}, ways...) {
		t.Run(w.name, func(t *testing.T) {
			srv := server.New(opts)
			defer srv.Close()
			test(t, w.open(t, srv))
		})
	}
}

// With default options a payload of any length, the empty one included, means the same on
// every transport.
func TestPayloadsAreAlike(t *testing.T) {
	eachTransport(t, server.Options{Hooks: server.Hooks{
		OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) { return r.Payload, nil },
	}}, func(t *testing.T, d transport.Dialer) {
		c := client.New(d, client.Options{Logger: slog.New(slog.DiscardHandler)})
		defer c.Close()
		for _, p := range []protocol.Payload{{}, protocol.Text(""), protocol.Bytes([]byte{}), protocol.Text("x")} {
			reply, err := c.Request(t.Context(), "ping", p)
			if err != nil || string(reply.Data) != string(p.Data) {
				t.Errorf("%v %q: got %q, %v", p.Encoding, p.Data, reply.Data, err)
			}
		}
	})
}

// The version that a server speaks to peers that negotiate nothing has no meaning for
// clients that do: they understand its errors.
func TestServersVersionIsNoMismatch(t *testing.T) {
	for _, v := range protocol.Versions() {
		eachTransport(t, server.Options{Version: v, Hooks: server.Hooks{
			OnRequest: func(context.Context, *server.Request) (protocol.Payload, error) {
				return protocol.Payload{}, &protocol.Error{Code: "NO", Message: "no"}
			},
		}}, func(t *testing.T, d transport.Dialer) {
			c := client.New(d, client.Options{Logger: slog.New(slog.DiscardHandler)})
			defer c.Close()
			if _, err := c.Request(t.Context(), "x", protocol.Text("x")); !errors.Is(err, &protocol.Error{Code: "NO"}) {
				t.Errorf("server of %v: %v", v, err)
			}
		})
	}
}

// Without a version in common Connect fails at once, and names the versions of both ends.
func TestNoVersionInCommon(t *testing.T) {
	eachTransport(t, server.Options{}, func(t *testing.T, d transport.Dialer) {
		const unknown = protocol.Version(0x0900)
		c := client.New(d, client.Options{Versions: []protocol.Version{unknown}, Logger: slog.New(slog.DiscardHandler)})
		defer c.Close()
		var mismatch *client.VersionError
		if err := c.Connect(t.Context()); !errors.As(err, &mismatch) {
			t.Fatalf("Connect: %v", err)
		}
		if len(mismatch.Server) == 0 || len(mismatch.Client) != 1 || mismatch.Client[0] != unknown {
			t.Errorf("the error names %v and %v", mismatch.Server, mismatch.Client)
		}
	})
}

package client_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// What docs/topics.md says about subscriptions of a session that is closed: they go on until
// the connection ends; on the next one OnSubscribe is asked again. The hook that ends the
// connections lets the handler answer.
func TestSubscriptionOfClosedSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		opts := topical(logged)
		var mux server.Mux
		mux.Request("sign in", func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
			s, err := r.Conn.CreateSession(ctx, "ann")
			return protocol.Text(s.Key), err
		})
		mux.Request("sign out", func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
			return protocol.Text("bye"), r.Conn.CloseSession(ctx)
		})
		opts.Handler = &mux
		opts.Hooks.OnSubscribe = func(_ context.Context, c *server.Conn, _ string) (any, error) {
			if _, ok := c.Session(); !ok {
				return nil, &protocol.Error{Code: "LOGIN_FIRST"}
			}
			return nil, nil
		}
		var srv *server.Server
		closes := false
		opts.Hooks.OnSessionClosed = func(_ context.Context, key string) error {
			for c := range srv.SessionConns(key) {
				if closes {
					c.Close(4001, "signed out")
				}
			}
			return nil
		}
		srv, ln := serve(t, opts)
		c := dial(t, ln, client.Options{})
		signedIn := func() *client.Subscription {
			t.Helper()
			if _, err := c.Request(t.Context(), "sign in", protocol.Payload{}); err != nil {
				t.Fatal(err)
			}
			return subscribe(t, c, client.SubscribeOptions{})
		}
		signOut := func() {
			t.Helper()
			if p, err := c.Request(t.Context(), "sign out", protocol.Payload{}); err != nil || p.Text() != "bye" {
				t.Fatal(p.Text(), err)
			}
			synctest.Wait()
		}
		next := func(s *client.Subscription) (string, error) {
			for m, err := range s.Messages(t.Context()) {
				return m.Name, err
			}
			return "", nil
		}

		s := signedIn()
		signOut()
		publish(t, srv, 1, 1)
		if name, err := next(s); name != "1" || err != nil {
			t.Errorf("after the session was closed: %q, %v", name, err)
		}
		s.Close()

		closes = true
		s = signedIn()
		signOut()
		publish(t, srv, 2, 2)
		var refused *protocol.Error
		if name, err := next(s); !errors.As(err, &refused) || refused.Code != "LOGIN_FIRST" {
			t.Errorf("after the connection was closed: %q, %v", name, err)
		}
	})
}

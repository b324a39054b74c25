package client_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

// Whoever's request failed because the connection was lost connects again, and is
// connected then.
func TestConnectAfterLoss(t *testing.T) {
	const rounds = 500
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		n.serve(server.Options{Hooks: server.Hooks{OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
			if r.Name == "hang" {
				<-ctx.Done()
			}
			return r.Payload, nil
		}}})
		c := n.client(client.Options{DisableAutoconnect: true})
		lied := 0
		for range rounds {
			connect(t, c)
			done := make(chan error, 1)
			go func() {
				_, err := c.Request(context.Background(), "hang", text("x"))
				if !errors.Is(err, client.ErrDisconnected) {
					t.Errorf("hang: %v", err)
				}
				if err = c.Connect(context.Background()); err == nil {
					_, err = c.Request(context.Background(), "echo", text("x"))
				}
				done <- err
			}()
			n.near().Cut()
			if err := <-done; errors.Is(err, client.ErrDisconnected) {
				lied++
			} else if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if lied > 0 {
			t.Errorf("%d of %d times Connect returned nil and there was no connection", lied, rounds)
		}
	})
}

// RestoreSession waits for a connection as Request does.
func TestRestoreAfterLoss(t *testing.T) {
	const rounds = 500
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		n.serve(server.Options{Sessions: &session.MemoryStore{}, Hooks: server.Hooks{OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
			if r.Name == "hang" {
				<-ctx.Done()
			}
			return r.Payload, nil
		}}})
		c := n.client(client.Options{MinBackoff: 1, MaxBackoff: 1})
		failed, again := 0, 0
		for range rounds {
			connect(t, c)
			restored, requested := make(chan error, 1), make(chan error, 1)
			go func() {
				c.Request(context.Background(), "hang", text("x"))
				restored <- c.RestoreSession(context.Background(), "unknown")
			}()
			go func() {
				c.Request(context.Background(), "hang", text("x"))
				_, err := c.Request(context.Background(), "echo", text("x"))
				requested <- err
			}()
			n.near().Cut()
			if err := <-restored; !errors.Is(err, protocol.ErrSessionNotFound) {
				failed++
			}
			if err := <-requested; err != nil {
				again++
			}
			synctest.Wait()
		}
		if failed+again > 0 {
			t.Errorf("of %d times RestoreSession did not wait %d times, Request %d times", rounds, failed, again)
		}
	})
}

// A connection that is being closed is none any more, even if the peer does not answer
// the close for a while.
func TestWhileClosing(t *testing.T) {
	connects := func(t *testing.T, c *client.Client) {
		connect(t, c)
		request(t, c)
	}
	for name, test := range map[string]struct {
		manual bool
		call   func(*testing.T, *client.Client)
	}{
		"Connect":        {false, connects},
		"Connect, alone": {true, connects},
		"Request":        {false, func(t *testing.T, c *client.Client) { request(t, c) }},
		"RestoreSession": {false, func(t *testing.T, c *client.Client) {
			if err := c.RestoreSession(t.Context(), "unknown"); !errors.Is(err, protocol.ErrSessionNotFound) {
				t.Errorf("RestoreSession: %v", err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				_, ln := serve(t, server.Options{Logger: discard, Hooks: server.Hooks{OnRequest: echo}, Sessions: slowStore{&session.MemoryStore{}}})
				c := dial(t, slowCloser(ln), client.Options{Timeout: time.Minute, DisableAutoconnect: test.manual})
				connect(t, c)
				if err := c.RestoreSession(t.Context(), "slow"); !errors.Is(err, context.DeadlineExceeded) {
					t.Fatal(err)
				}
				synctest.Wait() // for lack of an answer the connection is being given up
				test.call(t, c)
			})
		})
	}
}

// slowClose is a connection whose peer does not answer the close frame.
type slowClose struct{ transport.Conn }

func (c slowClose) Close(s transport.Status, reason string) error {
	time.Sleep(transport.DefaultCloseTimeout)
	return c.Conn.Close(s, reason)
}

func slowCloser(ln *memory.Listener) transport.Dialer {
	return dialerFunc(func(ctx context.Context, opts transport.DialOptions) (transport.Conn, error) {
		conn, err := ln.Dial(ctx, opts)
		if err != nil {
			return nil, err
		}
		return slowClose{conn}, nil
	})
}

// slowStore does not answer for the key "slow".
type slowStore struct{ session.Store }

func (s slowStore) Load(ctx context.Context, key string) (session.Session, error) {
	if key == "slow" {
		<-ctx.Done()
	}
	return s.Store.Load(ctx, key)
}

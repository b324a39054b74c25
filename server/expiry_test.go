package server_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
)

// A connection ends when its credentials expire, with a status after which the client
// comes back; a handler that goes on delays that by five seconds.
func TestExpiresAt(t *testing.T) {
	for name, test := range map[string]struct {
		expire func(c *server.Conn)
		stuck  bool // a handler waits for its context
		after  time.Duration
	}{
		"once":        {func(c *server.Conn) { c.ExpiresAt(time.Now().Add(time.Minute)) }, false, time.Minute},
		"wall clock":  {func(c *server.Conn) { c.ExpiresAt(time.Now().Add(time.Minute).Round(0)) }, false, time.Minute},
		"in the past": {func(c *server.Conn) { c.ExpiresAt(time.Now().Add(-time.Minute)) }, false, 0},
		"extended": {func(c *server.Conn) {
			c.ExpiresAt(time.Now().Add(time.Minute))
			c.ExpiresAt(time.Now().Add(time.Hour))
		}, false, time.Hour},
		"never": {func(c *server.Conn) {
			c.ExpiresAt(time.Now().Add(time.Minute))
			c.ExpiresAt(time.Time{})
		}, false, -1},
		"while a handler runs": {func(c *server.Conn) { c.ExpiresAt(time.Now().Add(time.Minute)) }, true, time.Minute + 5*time.Second},
		"extended too late": {func(c *server.Conn) {
			c.ExpiresAt(time.Now().Add(time.Minute))
			time.AfterFunc(time.Minute+time.Second, func() { c.ExpiresAt(time.Now().Add(time.Hour)) })
		}, true, time.Minute + 5*time.Second},
		"after a graceful close": {func(c *server.Conn) {
			c.ExpiresAt(time.Now().Add(time.Minute))
			time.AfterFunc(time.Second, func() { c.Close(transport.StatusNormalClosure, "") })
		}, true, time.Minute + 5*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				reasons := make(chan error, 1)
				srv := server.New(server.Options{ReadTimeout: 24 * time.Hour, Hooks: server.Hooks{
					OnClientConnected: func(_ context.Context, c *server.Conn) error {
						test.expire(c)
						return nil
					},
					OnClientDisconnected: func(_ *server.Conn, reason error) { reasons <- reason },
					OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
						<-ctx.Done()
						return protocol.Payload{}, ctx.Err()
					},
				}})
				began := time.Now()
				p := connectWith(t, t.Context(), srv, protocol.V1_2, transport.Limits{ReadTimeout: 24 * time.Hour})
				p.listen()
				if test.stuck {
					p.request(1, "r", "x")
				}
				if test.after < 0 {
					time.Sleep(2 * time.Hour)
					p.conn.Abort()
					if reason := <-reasons; errors.Is(reason, server.ErrCredentialsExpired) {
						t.Error(reason)
					}
					return
				}
				reason := <-reasons
				if took := time.Since(began); !errors.Is(reason, server.ErrCredentialsExpired) || took != test.after {
					t.Errorf("after %v: %v", took, reason)
				}
				for range p.got {
				}
				ours, _ := p.over()
				var closed *transport.CloseError
				if !errors.As(ours, &closed) || closed.Status != transport.StatusCredentialsExpired || closed.Status.Final() {
					t.Errorf("the client reads %v", ours)
				}
			})
		})
	}
}

func TestExpiresWhileComingBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := resuming(server.Hooks{
			OnClientConnected: func(_ context.Context, c *server.Conn) error {
				c.ExpiresAt(time.Now().Add(time.Minute))
				return nil
			},
			OnClientBack: func(_ context.Context, c *server.Conn) error {
				time.Sleep(2 * time.Second) // the credentials are looked up somewhere
				c.ExpiresAt(time.Now().Add(time.Minute))
				return nil
			},
		})
		p, w := first(t, srv)
		time.Sleep(59 * time.Second)
		p.lose()
		p, _ = back(t, srv, claim(w, 1, 0)) // the first minute is over meanwhile
		began := time.Now()
		select {
		case err := <-p.ended:
			if took := time.Since(began); took > 2*time.Minute {
				t.Errorf("after %v: %v", took, err)
			}
		case <-time.After(time.Hour):
			t.Error("the credentials never expire")
		}
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestExpiredWhenComingBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := resuming(server.Hooks{
			OnClientBack: func(_ context.Context, c *server.Conn) error {
				c.ExpiresAt(time.Now().Add(-time.Second))
				time.Sleep(time.Second)
				return nil
			},
		})
		p, w := first(t, srv)
		p.lose()
		hello := withProof(claim(w, 1, 0), "old")
		p, _, err := sayHello(t, context.Background(), srv, hello)
		if err == nil {
			p.listen()
			select {
			case <-p.ended:
				_, err = p.conn.Read(nil)
			case <-time.After(time.Hour):
			}
		}
		var closed *transport.CloseError
		if !errors.As(err, &closed) || closed.Status != transport.StatusCredentialsExpired {
			t.Errorf("the client reads %v", err)
		}
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
}

package e2e_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
	"github.com/webwire-go/webwire/transport/websocket"
)

// OnClientConnected knows the HTTP request, and a client that it refuses for good reads
// why and stays away.
func TestRefusedByHeader(t *testing.T) {
	var asked atomic.Int64
	srv := server.New(server.Options{Upgrader: &websocket.Upgrader{}, Hooks: server.Hooks{
		OnClientConnected: func(_ context.Context, c *server.Conn) error {
			asked.Add(1)
			r := c.Info().Request
			if r.Header.Get("Authorization") != "Bearer good" || r.URL.Path != "/ws" || c.Info().LocalAddr == nil {
				return &transport.CloseError{Status: 4501, Reason: "unknown token"}
			}
			c.SetValue(r.URL.Query().Get("room"))
			return nil
		},
		OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
			return protocol.Text(r.Conn.Value().(string)), nil
		},
	}})
	defer srv.Close()
	web := httptest.NewServer(srv)
	defer web.Close()
	dial := func(token string) *client.Client {
		return client.New(&websocket.Dialer{
			URL:    "ws" + strings.TrimPrefix(web.URL, "http") + "/ws?room=tea",
			Header: http.Header{"Authorization": {"Bearer " + token}},
		}, client.Options{MinBackoff: time.Millisecond})
	}
	good := dial("good")
	defer good.Close()
	if p, err := good.Request(t.Context(), "room", protocol.Text("?")); err != nil || p.Text() != "tea" {
		t.Errorf("got %q, %v", p.Text(), err)
	}
	bad := dial("bad")
	defer bad.Close()
	for range 3 {
		_, err := bad.Request(t.Context(), "room", protocol.Text("?"))
		var closed *transport.CloseError
		if !errors.As(err, &closed) || closed.Status != 4501 || closed.Reason != "unknown token" {
			t.Errorf("got %v", err)
		}
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("the clients connected %d times", n)
	}
}

// A client that is told to come later does, and gets the place of one that has left.
func TestComesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := server.New(server.Options{MaxConns: 1, Hooks: server.Hooks{
			OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) { return r.Payload, nil },
		}})
		ln := memory.Listen()
		served := make(chan error, 1)
		go func() { served <- srv.Serve(ln) }()
		first, second := client.New(ln, client.Options{}), client.New(ln, client.Options{})
		defer second.Close()
		if err := first.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(20*time.Second, func() { first.Close() })
		began := time.Now()
		for {
			_, err := second.Request(t.Context(), "echo", protocol.Text("x"))
			if err == nil {
				break
			}
			if time.Since(began) > time.Minute {
				t.Fatalf("not admitted: %v", err)
			}
		}
		if waited := time.Since(began); waited < 20*time.Second {
			t.Errorf("admitted after %v", waited)
		}
		if st := srv.Stats(); st.Open != 1 || st.Accepted != 2 {
			t.Errorf("%+v", st)
		}
		srv.Close()
		<-served
	})
}

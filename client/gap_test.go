package client_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/memory"
)

// OnGap is called if a connection ended while it was away, or with signals that the server
// may not have received, however it ended and whatever it went through before.
func TestGapAtTheEnd(t *testing.T) {
	type place struct {
		n    *network
		c    *client.Client
		conn *server.Conn
	}
	send := func(t *testing.T, p place) {
		if err := p.c.Signal(t.Context(), "s", text("x")); err != nil {
			t.Error(err)
		}
		synctest.Wait()
	}
	offline := func(p place) {
		p.n.away()
		p.n.near().Cut()
		synctest.Wait()
	}
	refuse := func(p place) { p.conn.Close(4000, "enough") }
	for _, c := range []struct {
		name string
		end  func(t *testing.T, p place)
		want []string
	}{
		{"shut down while away", func(t *testing.T, p place) {
			offline(p)
			send(t, p)
			if err := p.c.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		}, []string{"c: away", "c: disconnected", "c: gap 0 1"}},
		{"closed while away", func(t *testing.T, p place) {
			send(t, p) // not acknowledged yet
			offline(p)
			send(t, p)
			p.c.Close()
		}, []string{"c: away", "c: disconnected", "c: gap 0 2"}},
		{"closed while away, nothing was sent", func(_ *testing.T, p place) {
			offline(p)
			p.c.Close()
		}, []string{"c: away", "c: disconnected"}},
		{"away for too long", func(_ *testing.T, p place) {
			offline(p)
			time.Sleep(window)
		}, []string{"c: away", "c: disconnected", "c: gap 0 0"}},
		{"closed", func(t *testing.T, p place) {
			send(t, p)
			p.c.Close()
		}, []string{"c: disconnected"}},
		{"closed by the server", func(t *testing.T, p place) {
			send(t, p)
			refuse(p)
		}, []string{"c: disconnected", "c: gap 0 1"}},
		{"closed by the server after an acknowledgement", func(t *testing.T, p place) {
			send(t, p)
			time.Sleep(2 * time.Second)
			refuse(p)
		}, []string{"c: disconnected"}},
		{"closed by the server, resumed before", func(_ *testing.T, p place) {
			p.n.near().Cut()
			time.Sleep(time.Hour)
			refuse(p)
		}, []string{"c: away", "c: back", "c: disconnected"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				d := new(diary)
				conns := make(chan *server.Conn, 2)
				p := place{n: newNetwork(t)}
				p.n.serve(server.Options{ResumeWindow: window, Hooks: server.Hooks{
					OnClientConnected: func(_ context.Context, c *server.Conn) error { conns <- c; return nil },
				}})
				p.c = p.n.client(client.Options{Hooks: d.client()})
				connect(t, p.c)
				p.conn = <-conns
				d.want(t, "c: connected")
				c.end(t, p)
				d.want(t, c.want...)
			})
		})
	}
}

// Close counts what it cannot write because the server does not read.
func TestGapOfASlowServer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ln, d := memory.Listen(), new(diary)
		c := dial(t, ln, client.Options{Logger: discard, Hooks: d.client()})
		go c.Connect(t.Context())
		p, _ := acceptHello(t, ln)
		p.send(protocol.WelcomeBody{Window: window, From: 1}.Message())
		d.want(t, "c: connected")
		for range 3 { // one fits into the buffer of the connection
			if err := c.Signal(t.Context(), "s", text(strings.Repeat("x", 40<<10))); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		c.Close()
		d.want(t, "c: disconnected", "c: gap 0 2")
	})
}

package client_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/server"
)

// Options.GiveUp that ends its goroutine does not end the attempts to connect.
func TestGiveUpEndsBadly(t *testing.T) {
	for name, way := range map[string]func(){"panic": func() { panic("no") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				n := newNetwork(t)
				n.serve(server.Options{ResumeWindow: -1, Hooks: server.Hooks{OnRequest: echo}})
				calls := 0
				c := n.client(client.Options{GiveUp: func(error) bool {
					if calls++; calls == 1 {
						way()
					}
					return false
				}})
				connect(t, c)
				n.near().Cut()
				time.Sleep(time.Minute)
				if s := c.Status(); s != client.Connected {
					t.Errorf("a minute later the client is %v", s)
				}
				if _, err := c.Request(t.Context(), "echo", text("x")); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

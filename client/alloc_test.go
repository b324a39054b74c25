//go:build !race

package client_test

import (
	"context"
	"testing"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// A request and its reply cost three allocations, both ends together: the request
// and its worker on the server, the payload of the reply on the client.
func TestAllocations(t *testing.T) {
	_, ln := serve(t, server.Options{Hooks: server.Hooks{OnRequest: echo}})
	c := dial(t, ln, client.Options{})
	p := protocol.Bytes(make([]byte, 32))
	got := testing.AllocsPerRun(2000, func() {
		if _, err := c.Request(context.Background(), "echo", p); err != nil {
			t.Fatal(err)
		}
	})
	if got > 3 {
		t.Errorf("%v allocations per request", got)
	}
}

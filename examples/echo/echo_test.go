package main

import (
	"testing"
	"testing/synctest"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/webwiretest"
)

// The handlers alone, in virtual time.
func TestHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var signals webwiretest.Signals
		srv := server.New(server.Options{Handler: handlers(t.Output())})
		c := webwiretest.Serve(t, srv).Client(client.Options{Handler: &signals})
		reply, err := c.Request(t.Context(), "anything", protocol.Bytes([]byte{1, 2}))
		if err != nil || string(reply.Data) != "\x01\x02" {
			t.Errorf("%v, %v", reply, err)
		}
		if err := c.Signal(t.Context(), "ping", protocol.Text("x")); err != nil {
			t.Fatal(err)
		}
		if s, err := signals.Next(t.Context()); err != nil || s.Name != "ping" || s.Payload.Text() != "x" {
			t.Errorf("%+v, %v", s, err)
		}
		// This client answers no requests.
		if _, err := c.Request(t.Context(), "greet me", protocol.Payload{}); err == nil {
			t.Error("greeted without a name")
		}
	})
}

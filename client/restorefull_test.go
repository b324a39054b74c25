package client_test

import (
	"context"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

// An attempt to restore the session that is not sent, because the server takes no more requests
// at once, is made again, and does not cost the connection.
func TestRestoreBesideTooManyRequests(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ln := memory.Listen()
		c := closeAtEnd(t, client.New(ln, client.Options{
			Logger: discard, Timeout: time.Hour, MinBackoff: time.Second, Keys: &keptKey{key: "key"},
		}))
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		done := begin(ctx, c, "r", "x")
		conn, err := ln.Accept(transport.AcceptOptions{Protocols: []string{protocol.V3_0.Token()}})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Abort()
		p := &peer{t, conn, protocol.V3_0}
		p.send(protocol.Conf{Version: protocol.V3_0, StreamCredit: 64 << 10, Requests: 1}.Message())
		p.receive() // hello
		p.send(protocol.WelcomeBody{Window: window, Ring: 1 << 18, From: 1}.Message())
		restore := p.next()
		if restore.Kind != protocol.RestoreSession {
			t.Fatalf("%v", restore.Kind)
		}
		p.send((&protocol.FailureError{Code: protocol.FailureSessionFull}).Message(restore.ID))
		asked := p.next()
		if asked.Kind != protocol.Request {
			t.Fatalf("%v", asked.Kind)
		}
		time.Sleep(20 * time.Second) // meanwhile it is due
		if s := c.Status(); s != client.Connected {
			t.Errorf("the client is %v", s)
		}
		p.reply(asked.ID, "y")
		if o := <-done; o.err != nil || o.reply.Text() != "y" {
			t.Errorf("the request in flight: %q, %v", o.reply.Text(), o.err)
		}
		if m := p.next(); m.Kind != protocol.RestoreSession {
			t.Errorf("%v, want another attempt", m.Kind)
		}
	})
}

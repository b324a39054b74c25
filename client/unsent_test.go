package client_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/memory"
	"github.com/webwire-go/webwire/webwiretest"
)

func TestOutcomesWhileAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := webwiretest.Serve(t, server.New(server.Options{Logger: discard, Handler: new(server.Mux)}))
		l := n.Link()
		c := l.Client(client.Options{Logger: discard, Timeout: 10 * time.Second})
		connect(t, c)
		l.Offline()
		synctest.Wait()
		_, err := c.Subscribe(context.Background(), "t", client.SubscribeOptions{})
		t.Log(c.Status(), err, client.MaybeExecuted(err))
		var late *client.TimeoutError
		if !errors.As(err, &late) || late.Sent || strings.Contains(err.Error(), "reads too slowly") {
			t.Errorf("Subscribe: %v", err)
		}
	})
}

func TestSessionRequestThatWasNotSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mux server.Mux
		mux.Request("slow", func(context.Context, *server.Request) (protocol.Payload, error) {
			time.Sleep(40 * time.Second)
			return protocol.Text("done"), nil
		})
		n := webwiretest.Serve(t, server.New(server.Options{Logger: discard, Handler: &mux}))
		l := n.Link()
		c := l.Client(client.Options{Logger: discard, Timeout: 10 * time.Second})
		connect(t, c)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		done := begin(ctx, c, "slow", "x")
		synctest.Wait()
		l.Offline()
		synctest.Wait()
		err := c.RestoreSession(context.Background(), "key")
		t.Log(c.Status(), err)
		synctest.Wait()
		t.Log(c.Status())
		l.Online()
		o := <-done
		if o.err != nil || o.reply.Text() != "done" {
			t.Errorf("the request in flight: %q, %v", o.reply.Text(), o.err)
		}
	})
}

func TestRestoreThatWasNotSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ln := memory.Listen()
		c := closeAtEnd(t, client.New(ln, client.Options{
			Logger: discard, Timeout: 10 * time.Second, Keys: &keptKey{key: "key"},
		}))
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		done := begin(ctx, c, "r", "x")
		first, _ := acceptHello(t, ln)
		first.send(protocol.WelcomeBody{Window: 2 * time.Minute, Ring: 1 << 18, From: 1}.Message())
		restore := first.receive()
		if restore.Kind != protocol.RestoreSession {
			t.Fatalf("%v", restore.Kind)
		}
		first.send((&protocol.FailureError{Code: protocol.FailureSessionFull}).Message(restore.ID))
		asked := first.receive()
		if asked.Kind != protocol.Request {
			t.Fatalf("%v", asked.Kind)
		}
		p := resumedLate(t, ln, c, first, 2)
		p.reply(asked.ID, "y")
		if o := <-done; o.err != nil || o.reply.Text() != "y" {
			t.Errorf("the request in flight: %q, %v", o.reply.Text(), o.err)
		}
		for m := p.receive(); m.Kind != protocol.RestoreSession; m = p.receive() {
		}
	})
}

func TestRestoreThatIsLostWithItsSocket(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ln := memory.Listen()
		c := closeAtEnd(t, client.New(ln, client.Options{Logger: discard, Timeout: 10 * time.Second, Keys: &keptKey{key: "key"}}))
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		done := begin(ctx, c, "r", "x")
		first, _ := acceptHello(t, ln)
		first.send(protocol.WelcomeBody{Window: 2 * time.Minute, Ring: 1 << 18, From: 1}.Message())
		restore := first.receive()
		first.send((&protocol.FailureError{Code: protocol.FailureSessionFull}).Message(restore.ID))
		asked := first.receive()
		for m := first.receive(); m.Kind != protocol.RestoreSession; m = first.receive() {
		}
		p := resumedLate(t, ln, c, first, 3)
		p.reply(asked.ID, "y")
		if o := <-done; o.err != nil || o.reply.Text() != "y" {
			t.Errorf("the request in flight: %q, %v", o.reply.Text(), o.err)
		}
	})
}

// resumedLate cuts the connection off for 30 s of the 2 min that it lasts without a socket, and
// resumes it: the server has received a number of messages.
func resumedLate(t *testing.T, ln *memory.Listener, c *client.Client, first *peer, received uint64) *peer {
	t.Helper()
	_ = first.conn.Abort()
	time.Sleep(30 * time.Second)
	if s := c.Status(); s != client.Resuming {
		t.Errorf("after 30 s of 2 min the client is %v", s)
	}
	p, hello := acceptHello(t, ln)
	if hello.Resume == nil {
		t.Error("the client does not ask for its connection")
	}
	p.send(protocol.WelcomeBody{Outcome: protocol.OutcomeResumed, Window: 2 * time.Minute, Received: received, From: 2}.Message())
	return p
}

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
)

// While a request holds the client up that is to leave, signals go to the old server as long
// as it handles them. Then Signal says that they cannot.
func TestSignalsOfAClientThatLeaves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n, d := newNetwork(t), new(diary)
		start := time.Now()
		hooks := server.Hooks{
			OnSignal: func(_ context.Context, s *server.Signal) { d.note("s: %s", s.Name) },
			OnRequest: func(context.Context, *server.Request) (protocol.Payload, error) {
				time.Sleep(time.Minute)
				return protocol.Payload{}, nil
			},
		}
		srv := n.serve(server.Options{ResumeWindow: window, DrainSpread: 10 * time.Second, Hooks: hooks})
		c := n.client(client.Options{Timeout: 2 * time.Minute, Hooks: client.Hooks{OnGap: d.client().OnGap}})
		connect(t, c)
		begin(t.Context(), c, "slow", "x")
		synctest.Wait()
		srv.BeginShutdown()
		n.away()
		for _, at := range []struct {
			after time.Duration
			name  string
			err   error
		}{
			{0, "before it leaves", nil},
			{11 * time.Second, "while it leaves", nil},
			{13 * time.Second, "as long as it can", nil},
			{20 * time.Second, "too late", client.ErrDisconnected},
			{59 * time.Second, "too late", client.ErrDisconnected},
		} {
			time.Sleep(at.after - time.Since(start))
			if err := c.Signal(t.Context(), at.name, text("x")); !errors.Is(err, at.err) {
				t.Errorf("%s: %v", at.name, err)
			}
		}
		d.want(t, "s: before it leaves", "s: while it leaves", "s: as long as it can")
	})
}

// A client that has left its server is away as one is that has lost its socket: signals wait,
// and OnGap counts them if the connection does not go on.
func TestSignalsOfAClientThatHasLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n, d := newNetwork(t), new(diary)
		srv := n.serve(server.Options{ResumeWindow: window})
		c := n.client(client.Options{Hooks: d.client()})
		connect(t, c)
		synctest.Wait() // the server, too, has opened the connection
		n.away()
		srv.BeginShutdown()
		time.Sleep(30 * time.Second)
		if err := c.Signal(t.Context(), "s", text("x")); err != nil || c.Status() != client.Resuming {
			t.Errorf("Signal: %v, the client is %v", err, c.Status())
		}
		n.serve(server.Options{ResumeWindow: window})
		connect(t, c)
		d.want(t, "c: connected", "c: away", "c: disconnected", "c: gap 0 1", "c: connected")
	})
}

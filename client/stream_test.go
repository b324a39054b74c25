package client_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

// next returns the next message that is not about the connection itself.
func (p *peer) next() protocol.Message {
	p.t.Helper()
	for {
		if m := p.receive(); heard(m.Kind) {
			return m
		}
	}
}

// streamed is what an iteration over a stream gave.
type streamed struct {
	items string
	err   error
}

func beginStream(ctx context.Context, c *client.Client, name string) <-chan streamed {
	done := make(chan streamed, 1)
	go func() {
		var s streamed
		for p, err := range c.Stream(ctx, name, protocol.Text("x")) {
			s.items, s.err = s.items+p.Text(), err
		}
		done <- s
	}()
	return done
}

// A streamed request that is refused because the server shuts down is made again on another
// connection, as a plain one is: the client leaves the server that refused it.
func TestRefusedStream(t *testing.T) {
	refused := protocol.FailureShutdown.Failure()
	for _, test := range []struct {
		name  string
		after string // items before the refusal
		opts  client.Options
		again bool
	}{
		{name: "made again", again: true},
		{name: "not after an item", after: "1"},
		{name: "not without autoconnect", opts: client.Options{DisableAutoconnect: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ln := memory.Listen()
				opts := test.opts
				opts.Versions, opts.Logger = []protocol.Version{protocol.V3_0}, discard
				c := dial(t, ln, opts)
				connected := make(chan error, 1)
				go func() { connected <- c.Connect(t.Context()) }()
				old := accept(t, ln, protocol.V3_0, protocol.Conf{})
				if err := <-connected; err != nil {
					t.Fatal(err)
				}
				done := beginStream(t.Context(), c, "s")
				r := old.next()
				if test.after != "" {
					old.send(protocol.Message{Kind: protocol.Item, ID: r.ID, Payload: protocol.Text(test.after)})
				}
				old.send(refused.Message(r.ID))
				synctest.Wait()

				// The client leaves this connection, although the server does not close it.
				began := time.Now()
				for {
					if _, err := old.conn.Read(nil); err != nil {
						var closed *transport.CloseError
						if !errors.As(err, &closed) || closed.Status != transport.StatusNormalClosure {
							t.Errorf("the client ended the connection: %v", err)
						}
						break
					}
				}
				if d := time.Since(began); d > 2*time.Second {
					t.Errorf("the client left after %v", d)
				}
				if !test.again {
					if s := <-done; s.items != test.after || !errors.Is(s.err, protocol.ErrShutdown) {
						t.Errorf("the stream gave %q, then %v", s.items, s.err)
					}
					return
				}
				next := accept(t, ln, protocol.V3_0, protocol.Conf{})
				r = next.next()
				if r.Kind != protocol.Request || r.Name != "s" || !r.Head.Stream() {
					t.Errorf("the next connection got %v", r)
				}
				next.send(protocol.Message{Kind: protocol.Item, ID: r.ID, Payload: protocol.Text("1")})
				next.send(protocol.Message{Kind: protocol.Reply, ID: r.ID})
				if s := <-done; s.items != "1" || s.err != nil {
					t.Errorf("the stream gave %q, then %v", s.items, s.err)
				}
			})
		})
	}
}

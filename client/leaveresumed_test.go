package client_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport/memory"
)

// refusing opens a connection of 3.0 with a request in flight and another one that the server
// answers with the failure that it shuts down.
func refusing(t *testing.T, ctx context.Context, opts client.Options) (ln *memory.Listener, c *client.Client, p *peer, waits protocol.ID, done, again <-chan outcome) {
	t.Helper()
	ln = memory.Listen()
	c = dial(t, ln, opts)
	go c.Connect(ctx)
	p, _ = acceptHello(t, ln)
	p.send(protocol.WelcomeBody{Window: window, Ring: 1 << 18, From: 1}.Message())
	synctest.Wait()
	done = begin(ctx, c, "waits", "x")
	waits = p.next().ID
	again = begin(ctx, c, "refused", "x")
	p.send(p.version.Failure(p.next().ID, protocol.ErrShutdown))
	synctest.Wait()
	return ln, c, p, waits, done, again
}

// A client that is about to leave a server stays if the connection goes on with another socket
// meanwhile.
func TestResumedWhileLeaving(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		var mux client.Mux
		mux.Request("ask", func(_ context.Context, r *client.Request) (protocol.Payload, error) { return r.Payload, nil })
		ln, c, p, waits, done, again := refusing(t, ctx, client.Options{Logger: discard, Timeout: 5 * time.Second, Handler: &mux})
		_ = p.conn.Abort()
		p, _ = acceptHello(t, ln)
		p.send(protocol.WelcomeBody{Outcome: protocol.OutcomeResumed, Window: window, Ring: 1 << 18, Received: 2, From: 2}.Message())
		p.reply(p.next().ID, "again")
		p.reply(waits, "waited")
		last := begin(ctx, c, "last", "x")
		id := p.next().ID
		time.Sleep(10 * time.Second)
		asked := p.ask(1, "ask", nil)
		if m := p.next(); m.Kind != protocol.Reply || m.ID != asked {
			t.Errorf("the answer to a request of the server is %v", m.Kind)
		}
		p.reply(id, "last")
		for want, done := range map[string]<-chan outcome{"waited": done, "again": again, "last": last} {
			if out := <-done; out.err != nil || out.reply.Text() != want {
				t.Errorf("the outcome is %q, %v, want %q", out.reply.Text(), out.err, want)
			}
		}
	})
}

// A client that leaves a server of 3.0 answers its requests until then.
func TestRequestOfTheServerWhileLeaving(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mux client.Mux
		mux.Request("ask", func(_ context.Context, r *client.Request) (protocol.Payload, error) { return r.Payload, nil })
		ln, _, p, waits, done, _ := refusing(t, t.Context(), client.Options{Logger: discard, Handler: &mux})
		asked := p.ask(1, "ask", nil)
		if m := p.next(); m.Kind != protocol.Reply || m.ID != asked {
			t.Errorf("the answer is %v", m.Kind)
		}
		synctest.Wait() // until the handler is over
		start := time.Now()
		p.reply(waits, "waited")
		if out := <-done; out.err != nil || out.reply.Text() != "waited" {
			t.Errorf("the outcome is %q, %v", out.reply.Text(), out.err)
		}
		for {
			if _, err := p.conn.Read(nil); err != nil {
				break
			}
		}
		took(t, "leaving", start, time.Second, time.Second)
		_ = ln.Close()
	})
}

// A handler of a request of the server that runs while the client leaves finishes, and its reply
// arrives.
func TestHandlerWhileLeaving(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mux client.Mux
		mux.Request("ask", func(ctx context.Context, r *client.Request) (protocol.Payload, error) {
			select {
			case <-time.After(5 * time.Second):
			case <-ctx.Done():
			}
			return r.Payload, ctx.Err()
		})
		ln, _, p, waits, done, _ := refusing(t, t.Context(), client.Options{Logger: discard, Handler: &mux})
		start := time.Now()
		asked := p.ask(1, "ask", nil)
		p.reply(waits, "waited")
		if out := <-done; out.err != nil || out.reply.Text() != "waited" {
			t.Errorf("the outcome is %q, %v", out.reply.Text(), out.err)
		}
		if m := p.next(); m.Kind != protocol.Reply || m.ID != asked {
			t.Errorf("the answer is %v", m.Kind)
		}
		took(t, "the reply", start, 5*time.Second, 5*time.Second)
		for {
			if _, err := p.conn.Read(nil); err != nil {
				break
			}
		}
		took(t, "leaving", start, 6*time.Second, 6*time.Second+leaveLook)
		_ = ln.Close()
	})
}

const leaveLook = 50 * time.Millisecond // as in leave.go

package client_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport/memory"
)

// A session that the server creates while an attempt to restore the kept one waits for room is
// the client's when the attempt could not be sent, and hooks go on.
func TestSessionCreatedDuringARestoreThatIsNotSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ln, d := memory.Listen(), new(diary)
		hooks := d.client()
		hooks.OnSessionCreated = func(_ context.Context, s session.Session) { d.note("c: session %s", s.Key) }
		c := dial(t, ln, client.Options{
			Logger: discard, Timeout: 10 * time.Second, OutboxSize: 16 << 10,
			MinBackoff: 10 * time.Second, MaxBackoff: 10 * time.Second,
			Keys: &keptKey{key: "old"}, Hooks: hooks,
		})
		go c.Connect(t.Context())
		p, _ := acceptHello(t, ln)
		const window = 10 * time.Second
		p.send(protocol.WelcomeBody{Window: window, Ring: 1 << 18, From: 1}.Message())
		p.send((&protocol.FailureError{Code: protocol.FailureSessionFull}).Message(p.next().ID))
		go func() { // it reads, and acknowledges nothing
			for b, err := p.conn.Read(nil); err == nil; b, err = p.conn.Read(b[:0]) {
			}
		}()
		stop := make(chan struct{})
		defer close(stop)
		go func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(5 * time.Second):
					b, _ := p.version.Append(nil, protocol.Message{Kind: protocol.Ack})
					_ = p.conn.Write(b)
				}
			}
		}()
		synctest.Wait()
		for _, text := range []string{strings.Repeat("x", 1000), ""} { // until there is no room for anything
			for err := error(nil); err == nil; {
				ctx, cancel := context.WithTimeout(context.Background(), time.Microsecond)
				err = c.Signal(ctx, "s", protocol.Text(text))
				cancel()
			}
		}
		d.want(t, "c: connected")
		time.Sleep(11 * time.Second) // meanwhile the next attempt is due
		p.sendSession("new")
		p.send(protocol.Message{Kind: protocol.Signal, Name: "s"})
		time.Sleep(10*time.Second + window) // as long as it lasts
		d.want(t, "c: session new", "c: got s")
		if s, _ := c.Session(); s.Key != "new" || c.Status() != client.Connected {
			t.Errorf("the session is %q, the client is %v", s.Key, c.Status())
		}
	})
}

// An attempt to restore the session that is refused because the server shuts down is made again
// if the connection goes on with another socket, and not before. A session that the server
// creates during the attempt is the client's.
func TestRestoreAfterLeavingWasGivenUp(t *testing.T) {
	for name, created := range map[string]bool{"nothing else": false, "a session is created": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ln := memory.Listen()
				c := dial(t, ln, client.Options{Logger: discard, Timeout: time.Hour, MinBackoff: time.Second, Keys: &keptKey{key: "old"}})
				go c.Connect(t.Context())
				p, _ := acceptHello(t, ln)
				welcome := protocol.WelcomeBody{Window: window, Ring: 1 << 18, From: 1}
				p.send(welcome.Message())
				p.send((&protocol.FailureError{Code: protocol.FailureSessionFull}).Message(p.next().ID))
				synctest.Wait()
				waits := begin(t.Context(), c, "r", "x") // keeps the client from leaving
				id := p.next().ID
				restore := p.next()
				welcome.Outcome, welcome.From, welcome.Received = protocol.OutcomeResumed, 3, 3
				if created {
					p.sendSession("new")
					welcome.From++
				}
				p.send(p.version.Failure(restore.ID, protocol.ErrShutdown))
				left := p.conn
				time.AfterFunc(20*time.Second, func() { _ = left.Abort() })
				for b, err := left.Read(nil); err == nil; b, err = left.Read(b[:0]) {
					if m, err := p.version.Parse(b); err == nil && m.Kind == protocol.RestoreSession {
						t.Error("another attempt at a server that shuts down")
					}
				}
				p, _ = acceptHello(t, ln)
				p.send(welcome.Message())
				p.reply(id, "y")
				if out := <-waits; out.err != nil || out.reply.Text() != "y" {
					t.Errorf("the request in flight: %q, %v", out.reply.Text(), out.err)
				}
				if created {
					synctest.Wait()
					if s, _ := c.Session(); s.Key != "new" {
						t.Errorf("the session is %q", s.Key)
					}
					return
				}
				time.AfterFunc(time.Minute, func() { _ = p.conn.Abort() })
				if m := p.next(); m.Kind != protocol.RestoreSession {
					t.Errorf("%v, want another attempt", m.Kind)
				}
			})
		})
	}
}

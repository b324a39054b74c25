package client_test

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

// The reason that OnDisconnected gets is found by the values that its comment names.
func TestReasons(t *testing.T) {
	for name, c := range map[string]struct {
		version protocol.Version // zero: 1.2
		end     func(c *client.Client, p *peer)
		is      error
	}{
		"Close":    {end: func(c *client.Client, _ *peer) { go c.Close() }, is: client.ErrClosed},
		"Shutdown": {end: func(c *client.Client, _ *peer) { go c.Shutdown(context.Background()) }, is: client.ErrClosed},
		"silence":  {end: func(*client.Client, *peer) { time.Sleep(time.Minute) }, is: os.ErrDeadlineExceeded},
		"network":  {end: func(_ *client.Client, p *peer) { p.conn.Abort() }, is: io.ErrUnexpectedEOF},
		"shutdown": {end: func(c *client.Client, p *peer) {
			begin(context.Background(), c, "r", "x")
			p.send(protocol.Message{Kind: protocol.ReplyShutdown, ID: p.receive().ID})
		}, is: protocol.ErrShutdown},
		"no session": {end: func(_ *client.Client, p *peer) {
			p.send(protocol.Message{Kind: protocol.SessionCreated, Payload: protocol.Text("no session")})
		}, is: client.ErrProtocolViolation},
		"restored no session": {end: func(c *client.Client, p *peer) {
			go c.RestoreSession(context.Background(), "K")
			p.reply(p.receive().ID, "no session")
		}, is: client.ErrProtocolViolation},
		"no answer about a session": {end: func(c *client.Client, p *peer) {
			p.conn.(transport.SilenceAllower).AllowSilence()
			go func() {
				for {
					if _, err := p.conn.Read(nil); err != nil {
						return
					}
				}
			}()
			_ = c.RestoreSession(context.Background(), "K")
		}, is: context.DeadlineExceeded},
		"session given up": {end: func(c *client.Client, p *peer) {
			ctx, cancel := context.WithCancel(context.Background())
			go c.RestoreSession(ctx, "K")
			m := p.receive()
			cancel()
			_ = c.CloseSession(context.Background())
			data, _ := protocol.V1_2.AppendSession(nil, protocol.Session{Key: "K", Created: time.Now()})
			p.reply(m.ID, string(data))
		}, is: client.ErrSessionDoubtful},
		"session mistaken": {version: protocol.V2_0, end: func(c *client.Client, p *peer) {
			p.sendSession("K")
			synctest.Wait()
			go c.CloseSession(context.Background())
			m := p.receive()
			p.send(protocol.Message{Kind: protocol.SessionClosed})
			p.sendSession("NEW")
			p.send(protocol.Message{Kind: protocol.Reply, ID: m.ID})
		}, is: client.ErrSessionDoubtful},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				v := c.version
				if v == 0 {
					v = protocol.V1_2
				}
				ln, reasons := memory.Listen(), make(chan error, 1)
				cl := dial(t, ln, client.Options{Logger: discard, DisableAutoconnect: true, Hooks: client.Hooks{
					OnDisconnected: func(_ context.Context, reason error) { reasons <- reason },
				}})
				go cl.Connect(t.Context())
				p := accept(t, ln, v, protocol.Conf{})
				synctest.Wait()
				c.end(cl, p)
				if reason := <-reasons; !errors.Is(reason, c.is) {
					t.Errorf("%v is not %v", reason, c.is)
				}
			})
		})
	}
	bubble(t, func(t *testing.T) {
		ln, reasons := memory.Listen(), make(chan error, 1)
		cl := dial(t, ln, client.Options{Hooks: client.Hooks{
			OnDisconnected: func(_ context.Context, reason error) { reasons <- reason },
		}})
		go cl.Connect(t.Context())
		p := accept(t, ln, protocol.V1_2, protocol.Conf{})
		synctest.Wait()
		p.conn.Close(transport.StatusPolicyViolation, "no")
		var closed *transport.CloseError
		if reason := <-reasons; !errors.As(reason, &closed) || closed.Status != transport.StatusPolicyViolation {
			t.Errorf("closed by the server: %v", reason)
		}
	})
}

// sendSession says that a session was created.
func (p *peer) sendSession(key string) {
	p.t.Helper()
	data, err := p.version.AppendSession(nil, protocol.Session{Key: key, Created: time.Now()})
	if err != nil {
		p.t.Fatal(err)
	}
	p.send(protocol.Message{Kind: protocol.SessionCreated, Payload: protocol.Payload{Encoding: protocol.UTF8, Data: data}})
}

package client_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

// flood writes messages until the connection ends.
func (p *peer) flood(msg func(i int) protocol.Message) {
	go func() {
		for i := 0; ; i++ {
			b, err := p.version.Append(nil, msg(i))
			if err == nil {
				err = p.conn.Write(b)
			}
			if err != nil {
				return
			}
		}
	}()
}

// A server that sends sessions while no hook returns is slowed down, and left in the
// end, like one that sends signals.
func TestSessionFloodIsBounded(t *testing.T) {
	for name, kind := range map[string]func(t *testing.T, i int) protocol.Message{
		"created": func(t *testing.T, i int) protocol.Message { return created(t, session.NewKey()) },
		"created and closed": func(t *testing.T, i int) protocol.Message {
			if i%2 == 0 {
				return created(t, session.NewKey())
			}
			return protocol.Message{Kind: protocol.SessionClosed}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				stuck := make(chan struct{})
				defer close(stuck)
				ln := memory.Listen()
				c := dial(t, ln, client.Options{
					Logger: discard, InboxSize: 64 << 10, DisableAutoconnect: true,
					Hooks: client.Hooks{OnSessionCreated: func(context.Context, session.Session) { <-stuck }, OnSessionClosed: func(context.Context) {}},
				})
				go c.Connect(t.Context())
				p := accept(t, ln, protocol.V1_2, protocol.Conf{})
				synctest.Wait()
				p.flood(func(i int) protocol.Message { return kind(t, i) })
				time.Sleep(transport.DefaultReadTimeout / 8) // before the client reads on to find out whether the server is there
				if n := c.Stats().Received; c.Status() != client.Connected || n < 100 || n > 256 {
					t.Errorf("%d messages wait, the client is %v", n, c.Status())
				}
				time.Sleep(9 * transport.DefaultReadTimeout)
				if n := c.Stats().Received; c.Status() != client.Connected || n > 4*256+1 {
					t.Errorf("%d messages wait, the client is %v", n, c.Status())
				}
				time.Sleep(2 * transport.DefaultReadTimeout)
				if s := c.Status(); s != client.Disconnected {
					t.Errorf("the client is %v", s)
				}
			})
		})
	}
}

// What comes before the outcome of restoring waits within the same limits.
func TestEarlySignalsAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ln := memory.Listen()
		var told atomic.Int32
		c := dial(t, ln, client.Options{
			Logger: discard, InboxSize: 64 << 10, DialTimeout: time.Minute, DisableAutoconnect: true,
			Keys:  &keptKey{key: "key"},
			Hooks: client.Hooks{OnServerSignal: func(context.Context, *client.Signal) { told.Add(1) }},
		})
		failed := make(chan error, 1)
		go func() { failed <- c.Connect(context.Background()) }()
		p := accept(t, ln, protocol.V1_2, protocol.Conf{})
		p.receive() // which is not answered
		p.flood(func(int) protocol.Message {
			return protocol.Message{Kind: protocol.Signal, Name: "s", Payload: protocol.Text("x")}
		})
		start := time.Now()
		if err := <-failed; err == nil {
			t.Error("connected")
		}
		took(t, "giving up", start, time.Minute, time.Minute)
		if n := c.Stats().Received; n > 4*256+1 || told.Load() > 4*256 {
			t.Errorf("%d messages were received, %d told", n, told.Load())
		}
	})
}

// slowKeys takes a minute for each key.
type slowKeys struct{ saved []string }

func (k *slowKeys) LoadKey() (string, error) { return "", nil }

func (k *slowKeys) SaveKey(key string) error {
	time.Sleep(time.Minute)
	k.saved = append(k.saved, key)
	return nil
}

// Keys that come faster than they are saved do not wait in line: the last one counts.
func TestKeysAreNotQueued(t *testing.T) {
	bubble(t, func(t *testing.T) {
		keys := &slowKeys{}
		ln := memory.Listen()
		c := dial(t, ln, client.Options{Logger: discard, Keys: keys})
		go c.Connect(t.Context())
		p := accept(t, ln, protocol.V1_2, protocol.Conf{})
		synctest.Wait()
		for range 100 {
			p.send(created(t, session.NewKey()))
		}
		p.send(created(t, "last"))
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := len(keys.saved); n > 3 || keys.saved[n-1] != "last" {
			t.Errorf("%d keys were saved: %q", n, keys.saved)
		}
	})
}

// A hook that does not return keeps OnConnected from being called, and requests that
// wait from being sent, for the write timeout only.
func TestStuckHookBeforeOnConnected(t *testing.T) {
	bubble(t, func(t *testing.T) {
		stuck := make(chan struct{})
		defer close(stuck)
		ln := memory.Listen()
		c := dial(t, ln, client.Options{Logger: discard, WriteTimeout: 4 * time.Second, MinBackoff: 1, MaxBackoff: 1, Hooks: client.Hooks{
			OnConnected:    func(context.Context) {},
			OnDisconnected: func(context.Context, error) { <-stuck },
		}})
		waiting := begin(context.Background(), c, "first", "x")
		p := accept(t, ln, protocol.V1_2, protocol.Conf{})
		p.reply(p.receive().ID, "x")
		if out := <-waiting; out.err != nil {
			t.Fatal(out.err)
		}
		p.conn.Abort()
		synctest.Wait()
		waiting = begin(context.Background(), c, "second", "x")
		p = accept(t, ln, protocol.V1_2, protocol.Conf{})
		p.reply(p.receive().ID, "x")
		if out := <-waiting; out.err != nil || out.took > 5*time.Second {
			t.Errorf("%v after %v", out.err, out.took)
		}
	})
}

// Nothing is sent for a caller whose context has ended.
func TestSignalWithEndedContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ln := memory.Listen()
		c := dial(t, ln, client.Options{Logger: discard})
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("gone"))
		if err := c.Signal(ctx, "s", text("x")); err != context.Canceled || c.Status() != client.Disconnected {
			t.Errorf("Signal: %v, the client is %v", err, c.Status())
		}
		go c.Connect(t.Context())
		accept(t, ln, protocol.V1_2, protocol.Conf{})
		synctest.Wait()
		if err := c.Signal(ctx, "s", text("x")); err != context.Canceled || c.Stats().Sent != 0 {
			t.Errorf("Signal: %v, %d messages were sent", err, c.Stats().Sent)
		}
	})
}

// Whoever tries again in OnConnectFailed asks no more often than the backoff allows.
func TestConnectInOnConnectFailed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		n.serve(server.Options{})
		for range 10_000 {
			n.faults.Refuse(refusedForGood)
		}
		var c *client.Client
		c = n.client(client.Options{Hooks: client.Hooks{OnConnectFailed: func(context.Context, error) {
			_ = c.Connect(context.Background()) // OnConnectFailed tells
		}}})
		go c.Connect(t.Context())
		time.Sleep(time.Hour)
		if n := c.Stats().Attempts; n < 100 || n > 2000 {
			t.Errorf("%d attempts in an hour", n)
		}
	})
}

package client_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

// A hook that is slower than the server slows the server down. Nothing is lost, and both
// ends know that the other one lives.
func TestSlowHookLosesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const n = 20_000
		srv, ln := serve(t, server.Options{})
		done := make(chan struct{})
		next := 0
		c := dial(t, ln, client.Options{Hooks: client.Hooks{
			OnServerSignal: func(_ context.Context, s *client.Signal) {
				time.Sleep(10 * time.Millisecond)
				if want := fmt.Sprint(next); s.Payload.Text() != want {
					t.Errorf("got %s, want %s", s.Payload.Text(), want)
				}
				if next++; next == n {
					close(done)
				}
			},
			OnDisconnected: func(_ context.Context, reason error) {
				if !errors.Is(reason, client.ErrClosed) {
					t.Errorf("disconnected: %v", reason)
				}
			},
		}})
		if err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		start := time.Now()
		for conn := range srv.Conns() {
			for i := range n {
				if err := conn.Signal(context.Background(), "s", text(fmt.Sprint(i))); err != nil {
					t.Fatal(i, err)
				}
			}
		}
		if d := time.Since(start); d < n/2*10*time.Millisecond {
			t.Errorf("the server was not slowed down: it took %v", d)
		}
		<-done
		if s := c.Stats(); s.Connects != 1 || s.Dropped != 0 {
			t.Errorf("%+v", s)
		}
		c.Close()
		synctest.Wait()
	})
}

// A hook that waits for a reply behind more signals than there is room for gets it.
func TestReplyBehindAFullInbox(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, ln := serve(t, server.Options{Hooks: server.Hooks{OnRequest: signals(200)}})
		replied := make(chan error, 1)
		var called atomic.Int32
		c := dial(t, ln, client.Options{InboxSize: 20 << 10, Hooks: client.Hooks{
			OnServerSignal: func(ctx context.Context, s *client.Signal) {
				if called.Add(1) == 1 {
					_, err := s.Client.Request(ctx, "echo", text("x"))
					replied <- err
				}
			},
		}})
		if _, err := c.Request(t.Context(), "signals", text("x")); err != nil {
			t.Error(err)
		}
		if err := <-replied; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := called.Load(); n != 200 || c.Stats().Connects != 1 {
			t.Errorf("%d signals were handled, %+v", n, c.Stats())
		}
	})
}

// A hook that never returns ends the connection at last. The next one can be used, and
// what waits does not grow with each connection.
func TestStuckHook(t *testing.T) {
	bubble(t, func(t *testing.T) {
		stuck, reasons := make(chan struct{}), make(chan error, 10_000)
		ln := memory.Listen()
		const size = 64 << 10
		c := dial(t, ln, client.Options{Logger: discard, InboxSize: size, Hooks: client.Hooks{
			OnServerSignal: func(context.Context, *client.Signal) { <-stuck },
			OnDisconnected: func(_ context.Context, reason error) { reasons <- reason },
		}})
		serving := make(chan struct{})
		go func() {
			defer close(serving)
			for {
				conn, err := ln.Accept(transport.AcceptOptions{Protocols: []string{protocol.V1_2.Token()}})
				if err != nil {
					return
				}
				p := &peer{t, conn, protocol.V1_2}
				conn.(transport.SilenceAllower).AllowSilence()
				p.flood(func(int) protocol.Message {
					return protocol.Message{Kind: protocol.Signal, Name: "s", Payload: protocol.Text("x")}
				})
				go func() {
					for {
						b, err := conn.Read(nil)
						if err != nil {
							conn.Abort()
							return
						}
						if m, _ := p.version.Parse(b); m.Kind == protocol.Request {
							p.reply(m.ID, "x")
						}
					}
				}()
			}
		}()
		start := time.Now()
		connect(t, c)
		for c.Stats().Connects == 1 {
			time.Sleep(time.Second)
		}
		took(t, "giving up", start, 10*transport.DefaultReadTimeout, 11*transport.DefaultReadTimeout)
		time.Sleep(20 * time.Minute)
		if st := c.Stats(); st.Received > st.Connects+5*size/256 {
			t.Errorf("%d messages wait after %d connections", st.Received, st.Connects)
		}
		close(stuck)
		for range 10 {
			if err := <-reasons; !errors.Is(err, client.ErrSlowHooks) {
				t.Errorf("disconnected: %v", err)
			}
		}
		ln.Close()
		<-serving
		c.Close()
		synctest.Wait()
	})
}

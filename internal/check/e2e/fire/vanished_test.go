package fire_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/internal/check/e2e/load"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/memory"
	"github.com/webwire-go/webwire/transport/transporttest"
)

// A peer that vanishes while the inbox is full, and handlers wait for the end of their
// context, is noticed, and the contexts end. The times are virtual.
func TestVanishedBehindAFullInbox(t *testing.T) {
	const timeout = 30 * time.Second
	for _, c := range []struct {
		name        string
		inbox, size int
		requests    int
		closes      bool
	}{
		{"room for all", 64 << 20, 1, 100, false},
		{"short requests", 1 << 10, 1, 100, false},
		{"long requests", 1 << 20, 64 << 10, 60, false},
		{"short requests, closed", 1 << 10, 1, 100, true},
		{"long requests, closed", 1 << 20, 64 << 10, 60, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				faults := transporttest.NewFaults(1)
				defer faults.Close()
				ended := make(chan error, 1)
				srv := server.New(server.Options{
					InboxSize:    c.inbox,
					ReadTimeout:  timeout,
					ResumeWindow: -1,
					Logger:       slog.New(slog.DiscardHandler),
					Hooks: server.Hooks{
						OnRequest: func(ctx context.Context, _ *server.Request) (protocol.Payload, error) {
							<-ctx.Done()
							return protocol.Payload{}, ctx.Err()
						},
						OnClientDisconnected: func(_ *server.Conn, reason error) { ended <- reason }, // after the last handler
					},
				})
				defer srv.Close()
				ln := memory.Listen()
				go srv.Serve(faults.Listener(ln))
				cl := client.New(faults.Dialer(ln), client.Options{DisableAutoconnect: true})
				defer cl.Close()
				if err := cl.Connect(t.Context()); err != nil {
					t.Fatal(err)
				}
				payload := protocol.Bytes(make([]byte, c.size))
				for range c.requests {
					go cl.Request(t.Context(), "poll", payload)
				}
				synctest.Wait()
				began := time.Now()
				if c.closes {
					_ = cl.Close()
				} else {
					faults.Conns()[0].Vanish(true, true)
				}
				select {
				case <-ended:
				case <-time.After(24 * time.Hour):
					t.Fatal("not noticed within a day")
				}
				took := time.Since(began)
				load.Figure("full inbox, "+c.name, "the read timeout", "noticed after %v (read timeout %v)", took, timeout)
				if took > timeout+time.Second {
					t.Error(fmt.Sprint("noticed after ", took))
				}
			})
		})
	}
}

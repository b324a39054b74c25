package e2e_test

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
	"github.com/webwire-go/webwire/transport/transporttest"
)

// poll is a handler that waits for the end of its context.
func poll(ctx context.Context, _ *server.Request) (protocol.Payload, error) {
	<-ctx.Done()
	return protocol.Payload{}, ctx.Err()
}

// A peer that falls silent while the server's inbox is full, and handlers wait for the
// end of their context, is noticed within the read timeout; how much it had sent makes no
// difference.
func TestSilenceBehindAFullInbox(t *testing.T) {
	for _, c := range []struct {
		name        string
		inbox, size int
	}{
		{"room for all", 64 << 20, 1},
		{"many short requests", 1 << 10, 1},
		{"long requests", 1 << 20, 64 << 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				faults := transporttest.NewFaults(1)
				defer faults.Close()
				ended := make(chan error, 1)
				srv := server.New(server.Options{
					InboxSize:    c.inbox,
					ResumeWindow: -1, // the connection ends with its socket
					Logger:       slog.New(slog.DiscardHandler),
					Hooks: server.Hooks{
						OnRequest:            poll,
						OnClientDisconnected: func(_ *server.Conn, reason error) { ended <- reason },
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
				for range 100 {
					go cl.Request(t.Context(), "poll", payload)
				}
				synctest.Wait()
				began := time.Now()
				faults.Conns()[0].Vanish(true, true)
				select {
				case <-ended: // after the last handler returned
				case <-time.After(24 * time.Hour):
					t.Fatal("not noticed within a day")
				}
				if d := time.Since(began); d > transport.DefaultReadTimeout+time.Second {
					t.Errorf("noticed after %v", d)
				}
			})
		})
	}
}

// The same for a peer that is gone, over real sockets: its end is behind more than the
// server has room for.
func TestEndBehindAFullInbox(t *testing.T) {
	leakFree(t)
	eachWayAtOnce(t, func(t *testing.T, w way) {
		ended := make(chan error, 1)
		srv := server.New(withUpgrader(server.Options{
			InboxSize:   64 << 10,
			ReadTimeout: 1500 * time.Millisecond,
			Version:     protocol.V1_2,
			Logger:      slog.New(slog.NewTextHandler(io.Discard, nil)),
			Hooks: server.Hooks{
				OnRequest:            poll,
				OnClientDisconnected: func(_ *server.Conn, reason error) { ended <- reason },
			},
		}))
		conn, err := w.open(t, srv).Dial(t.Context(), transport.DialOptions{
			Protocols: []string{protocol.V1_2.Token()},
			Limits:    transport.Limits{WriteTimeout: time.Second},
		})
		if err != nil {
			t.Fatal(err)
		}
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			msg := protocol.Message{Kind: protocol.Request, Name: "poll", Payload: protocol.Bytes(make([]byte, 16<<10))}
			for id := uint64(1); ; id++ {
				msg.ID = protocol.NewID(id)
				b, err := protocol.V1_2.Append(nil, msg)
				if err != nil {
					t.Error(err)
					return
				}
				if conn.Write(b) != nil { // the server takes no more
					return
				}
			}
		}()
		<-sent
		began := time.Now()
		conn.Abort()
		select {
		case <-ended:
		case <-time.After(patience):
			t.Fatal("not noticed")
		}
		if d := time.Since(began); d > transport.DefaultReadTimeout*4/5 { // which is not that of this server
			t.Errorf("noticed after %v", d)
		}
	})
}

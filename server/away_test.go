package server_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// A stream does not go on while its client is away, however much the client allows.
func TestStreamWaitsForItsClient(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mux server.Mux
		var items atomic.Int64
		mux.Stream("tail", func(_ context.Context, _ *server.Request, send func(protocol.Payload) error) error {
			for {
				if err := send(protocol.Text("x")); err != nil {
					return err
				}
				items.Add(1)
			}
		})
		srv := server.New(server.Options{Version: protocol.V3_0, Handler: &mux})
		p := connectDeaf(t, context.Background(), srv, protocol.V3_0)
		id := protocol.NewID(1)
		p.send(protocol.Message{Kind: protocol.Request, ID: id, Head: protocol.Head(nil).AppendStream(), Name: "tail", Payload: protocol.Text("x")})
		p.send(protocol.Message{Kind: protocol.Credit, ID: id, Number: 1 << 26})
		synctest.Wait() // until the outbox is full
		before := items.Load()
		p.conn.Abort()
		time.Sleep(time.Second)
		// One item was waiting for room, which the outbox has without a socket.
		if n := items.Load(); before == 0 || n > before+1 {
			t.Errorf("%d items while the client was there, and %d more", before, n-before)
		}
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
}

package server_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
)

func TestStats(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		srv := server.New(server.Options{Hooks: server.Hooks{
			OnSignal: func(context.Context, *server.Signal) { <-release },
			OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
				if r.Name == "slow" {
					<-release
				}
				return r.Payload, nil
			},
		}})
		expect := func(want server.Stats) {
			t.Helper()
			synctest.Wait()
			if got := srv.Stats(); got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		}
		expect(server.Stats{})
		p, q := connect(t, srv, protocol.V1_2), connect(t, srv, protocol.V1_2)
		expect(server.Stats{Open: 2, Accepted: 2})

		p.request(1, "", "four") // 10 bytes and the payload; the reply has 9
		p.reply(1, protocol.Reply)
		want := server.Stats{Open: 2, Accepted: 2, Received: 1, BytesReceived: 14, Sent: 1, BytesSent: 13}
		expect(want)

		q.request(1, "slow", "four")
		q.signal("s", "x") // 2 bytes, the name and the payload
		want.InFlight, want.Received, want.BytesReceived = 2, 3, 14+18+4
		expect(want)
		close(release)
		q.reply(1, protocol.Reply)
		want.InFlight, want.Sent, want.BytesSent = 0, 2, 13+13
		expect(want)

		p.sendRaw([]byte{255, 1, 2}) // no message of 1.2: its connection ends
		p.over()
		want.Open, want.Received, want.BytesReceived = 1, 4, want.BytesReceived+3
		expect(want)

		q.send(protocol.Message{Kind: protocol.Reply, ID: protocol.NewID(1)}) // not a client's to send
		want.Received, want.BytesReceived, want.Dropped = 5, want.BytesReceived+9, 1
		expect(want)

		// What happened is not forgotten with the connections.
		q.conn.Close(transport.StatusNormalClosure, "")
		q.over()
		want.Open = 0
		expect(want)
	})
}

package server_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/internal/check/messages"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// Whatever messages a client of any version sends, one after the other, the server does not
// panic, sends messages of the version only, and has nothing left when the client is gone.
func FuzzClientMessages(f *testing.F) {
	id := protocol.NewID(1)
	stream := protocol.Head(nil).AppendStream()
	for i, v := range protocol.Versions() {
		var all [][]byte
		for _, m := range []protocol.Message{
			{Kind: protocol.Request, ID: id, Name: "r", Payload: protocol.Text("x")},
			{Kind: protocol.Request, ID: protocol.NewID(2), Name: "stream", Payload: protocol.Text("x"), Head: stream},
			{Kind: protocol.Request, ID: protocol.NewID(3), Name: "wait", Payload: protocol.Text("x"), Head: protocol.Head(nil).AppendDeadline(time.Second)},
			{Kind: protocol.Signal, Name: "s", Payload: protocol.Text("x")},
			{Kind: protocol.Credit, ID: protocol.NewID(2), Number: 1000},
			protocol.CancelBody{ID: id}.Message(),
			protocol.SubscribeBody{ID: protocol.NewID(4), Ref: 1, Topic: "t", Since: &protocol.Position{}, Presence: true}.Message(),
			{Kind: protocol.Unsubscribe, Ref: 1},
			{Kind: protocol.Reply, ID: id, Payload: protocol.Text("x")},
			{Kind: protocol.Item, ID: id, Payload: protocol.Text("x")},
			{Kind: protocol.Ack, Number: 1},
			{Kind: protocol.RestoreSession, ID: id, Payload: protocol.Text("key")},
			{Kind: protocol.CloseSession, ID: id},
			{Kind: protocol.Heartbeat},
		} {
			b, err := v.Append(nil, m)
			if err == nil {
				all = append(all, b)
				f.Add(byte(i), messages.Join(b))
			}
		}
		f.Add(byte(i), messages.Join(all...))
	}
	f.Fuzz(func(t *testing.T, version byte, data []byte) {
		all := protocol.Versions()
		v := all[int(version)%len(all)]
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			var mux server.Mux
			mux.Request("*", echo)
			mux.Request("wait", func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
				<-ctx.Done()
				return r.Payload, ctx.Err()
			})
			mux.Stream("stream", func(_ context.Context, r *server.Request, send func(protocol.Payload) error) error {
				for range 3 {
					if err := send(r.Payload); err != nil {
						return err
					}
				}
				return nil
			})
			srv := server.New(server.Options{
				Version: v, ResumeWindow: -1, Handler: &mux, Logger: slog.New(slog.NewTextHandler(&log, nil)),
				Hooks: server.Hooks{OnSubscribe: func(context.Context, *server.Conn, string) (any, error) { return nil, nil }},
			})
			p := connect(t, srv, v)
			for _, m := range messages.Split(data) {
				if p.conn.Write(m) != nil {
					break
				}
			}
			synctest.Wait()
			p.conn.Abort()
			<-p.ended
			_ = srv.Close() // an error is that of a listener, and there is none
			if n := srv.Stats(); n.Open != 0 || n.InFlight != 0 {
				t.Errorf("%d connections and %d handlers are left", n.Open, n.InFlight)
			}
			if strings.Contains(log.String(), "panicked") {
				t.Error(log.String())
			}
		})
	})
}

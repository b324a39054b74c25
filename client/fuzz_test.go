package client_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/internal/check/messages"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport/memory"
)

// Whatever messages a server of any version sends, one after the other, the client does not
// panic, and every call ends with the client.
func FuzzServerMessages(f *testing.F) {
	versions := []protocol.Version{protocol.V1_2, protocol.V2_0, protocol.V3_0}
	for i, v := range versions {
		var all [][]byte
		for n := range uint64(4) {
			id := protocol.NewID(n)
			for _, m := range []protocol.Message{
				{Kind: protocol.Item, ID: id, Payload: protocol.Text("x")},
				{Kind: protocol.Reply, ID: id, Payload: protocol.Text("x")},
				{Kind: protocol.Request, ID: id, Name: "r", Payload: protocol.Text("x")},
				protocol.CancelBody{ID: id}.Message(),
				{Kind: protocol.Credit, ID: id, Number: 1000},
				{Kind: protocol.Publication, Ref: uint32(n), Number: n, Name: "t", Payload: protocol.Text("x")},
				protocol.GapBody{Ref: uint32(n)}.Message(),
				protocol.PresenceBody{Ref: uint32(n)}.Message(),
				{Kind: protocol.Signal, Name: "s", Payload: protocol.Text("x")},
				{Kind: protocol.Ack, Number: n},
				protocol.DrainBody{Reason: protocol.DrainShutdown, Spread: time.Second}.Message(),
				{Kind: protocol.SessionClosed},
				{Kind: protocol.SessionCreated, Payload: protocol.Text(`{"k":"key","c":"2026-01-01T00:00:00Z","i":{"a":1}}`)},
			} {
				b, err := v.Append(nil, m)
				if err == nil {
					all = append(all, b)
					f.Add(byte(i), messages.Join(b))
				}
			}
		}
		f.Add(byte(i), messages.Join(all...))
	}
	f.Fuzz(func(t *testing.T, version byte, data []byte) {
		v := versions[int(version)%len(versions)]
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			var mux client.Mux
			mux.Request("*", func(_ context.Context, r *client.Request) (protocol.Payload, error) { return r.Payload, nil })
			mux.Signal("*", func(context.Context, *client.Signal) {})
			ln := memory.Listen()
			c := dial(t, ln, client.Options{
				Versions: []protocol.Version{v}, DisableAutoconnect: true, Handler: &mux, Logger: slog.New(slog.NewTextHandler(&log, nil)),
			})
			connected := make(chan error, 1)
			go func() { connected <- c.Connect(t.Context()) }()
			p := accept(t, ln, v, protocol.Conf{})
			if err := <-connected; err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{}, 3)
			for _, call := range []func(){
				func() { _, _ = c.Request(t.Context(), "r", protocol.Text("x")) }, // the outcome is the peer's
				func() {
					for range c.Stream(t.Context(), "stream", protocol.Text("x")) {
					}
				},
				func() {
					sub, err := c.Subscribe(t.Context(), "topic", client.SubscribeOptions{})
					if err == nil {
						for range sub.Messages(t.Context()) {
						}
					}
				},
			} {
				go func() {
					call()
					ended <- struct{}{}
				}()
				synctest.Wait() // in this order
			}
			for _, m := range messages.Split(data) {
				if p.conn.Write(m) != nil {
					break
				}
			}
			synctest.Wait()
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			for range 3 {
				select {
				case <-ended:
				case <-time.After(time.Hour):
					t.Fatal("a call has not ended an hour after Close")
				}
			}
			p.conn.Abort()
			if strings.Contains(log.String(), "panicked") {
				t.Error(log.String())
			}
		})
	})
}

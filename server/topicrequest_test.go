package server_test

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// A member answers a request, on whichever node it is.
func TestTopicRequest(t *testing.T) {
	for _, presence := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			var memory engine.Memory
			topics := func(string) server.TopicOptions { return server.TopicOptions{Presence: presence} }
			a := newTopical(t, server.Options{Engine: memory.Node(), Topics: topics})
			b := newTopical(t, server.Options{Engine: memory.Node(), Topics: topics})
			if _, err := a.Topic("device").Request(t.Context(), "reboot", protocol.Payload{}); err != server.ErrNobody {
				t.Errorf("got %v", err)
			}
			device := connect(t, b, protocol.V3_0)
			device.subscribed(1, 1, "device", nil)
			time.Sleep(time.Second) // the record of who is present
			type outcome struct {
				p   protocol.Payload
				err error
			}
			for _, srv := range []*server.Server{a, b} {
				for _, refused := range []bool{false, true} {
					done := make(chan outcome, 1)
					go func() {
						p, err := srv.Topic("device").Request(t.Context(), "reboot", protocol.Text("now"))
						done <- outcome{p, err}
					}()
					m := device.receive()
					if m.Kind != protocol.Request || m.Name != "reboot" || m.Payload.Text() != "now" {
						t.Fatalf("got %+v", m)
					}
					if refused {
						device.send(protocol.Message{Kind: protocol.ReplyError, ID: m.ID, Name: "BUSY", Payload: protocol.Text("later")})
						if out := <-done; protocol.CodeOf(out.err) != "BUSY" {
							t.Errorf("got %v", out.err)
						}
						continue
					}
					device.send(protocol.Message{Kind: protocol.Reply, ID: m.ID, Payload: protocol.Text("done")})
					if out := <-done; out.err != nil || out.p.Text() != "done" {
						t.Errorf("got %q, %v", out.p.Text(), out.err)
					}
				}
			}
			// The other node is gone.
			b.Close()
			if _, err := a.Topic("device").Request(t.Context(), "reboot", protocol.Payload{}); !errors.Is(err, server.ErrNobody) {
				t.Errorf("got %v", err)
			}
			synctest.Wait()
		})
	}
}

// A request to a member carries its metadata to whichever node the member is on.
func TestTopicRequestMeta(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var memory engine.Memory
		a := newTopical(t, server.Options{Engine: memory.Node()})
		b := newTopical(t, server.Options{Engine: memory.Node()})
		device := connect(t, b, protocol.V3_0)
		device.subscribed(1, 1, "device", nil)
		for _, srv := range []*server.Server{b, a} {
			done := make(chan error, 1)
			go func() {
				_, err := srv.Topic("device").Request(describe(t), "reboot", protocol.Text("now"))
				done <- err
			}()
			m := device.receive()
			if !bytes.HasPrefix(m.Head, described) { // the deadline follows
				t.Errorf("the head is %q", m.Head)
			}
			device.send(protocol.Message{Kind: protocol.Reply, ID: m.ID, Payload: protocol.Text("done")})
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}

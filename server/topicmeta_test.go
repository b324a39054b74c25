package server_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// described is metadata as a publisher adds it.
var described = protocol.Head{}.AppendMetadata("tenant", "7").AppendBaggage("a=b")

func describe(t *testing.T) context.Context { return server.WithMeta(t.Context(), described) }

func wantMeta(t *testing.T, got protocol.Head) {
	t.Helper()
	if !bytes.Equal(got, described) {
		t.Errorf("the metadata is %q, want %q", got, described)
	}
}

func publishDescribed(t *testing.T, srv *server.Server, topic, text string) {
	t.Helper()
	if _, err := srv.Topic(topic).Publish(describe(t), "m", protocol.Text(text)); err != nil {
		t.Fatal(err)
	}
}

// Members of 3.0 get the metadata of a publication, on every node, whether they are told at
// once or later. Members of older versions get the publication without it.
func TestTopicMeta(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var memory engine.Memory
		a := newTopical(t, server.Options{Engine: memory.Node(), Topics: history})
		b := newTopical(t, server.Options{Engine: memory.Node(), Topics: history})
		var joined []*peer
		for _, v := range protocol.Versions() {
			joined = append(joined, connectEndpoint(t, b, v))
		}
		for c := range b.Conns() {
			if err := b.Topic("room").Join(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		live := connect(t, b, protocol.V3_0)
		begin := live.subscribed(1, 7, "room", nil)
		publishDescribed(t, a, "room", "x")
		publish(t, a, "room", "y")
		wantMeta(t, live.published(7, "x").Head)
		for _, p := range joined {
			m := p.receive()
			if m.Kind != protocol.Signal || m.Payload.Text() != "x" {
				t.Errorf("%v: got %+v", p.version, m)
			}
			if p.version == protocol.V3_0 {
				wantMeta(t, m.Head)
			}
			if m := p.receive(); m.Payload.Text() != "y" || len(m.Head) > 0 {
				t.Errorf("%v: got %+v", p.version, m)
			}
		}
		for _, srv := range []*server.Server{a, b} {
			for m, err := range srv.Topic("room").History(t.Context(), engine.Position{}, 1) {
				if err != nil {
					t.Fatal(err)
				}
				wantMeta(t, m.Meta)
			}
		}
		for _, node := range []*server.Server{a, b} { // which read the log, and keep the latest
			late := connect(t, node, protocol.V3_0)
			late.subscribed(1, 9, "room", &begin)
			wantMeta(t, late.published(9, "x").Head)
			if m := late.published(9, "y"); len(m.Head) > 0 {
				t.Errorf("got %+v", m)
			}
		}
	})
}

// A member that has fallen behind gets the metadata too.
func TestTopicMetaOfSlowMembers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := newTopical(t, server.Options{OutboxSize: 20_000, WriteTimeout: time.Hour, ReadTimeout: 24 * time.Hour, ResumeWindow: -1,
			Topics: func(string) server.TopicOptions { return server.TopicOptions{Overflow: server.DropOldest} }})
		joined := connectDeaf(t, t.Context(), srv, protocol.V3_0)
		synctest.Wait()
		for c := range srv.Conns() {
			if err := srv.Topic("room").Join(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		subscriber := connectDeaf(t, t.Context(), srv, protocol.V3_0)
		subscriber.subscribe(1, 1, "room", nil)
		synctest.Wait()
		const n = 40 // more than the outbox takes, no more than is kept
		text := strings.Repeat("x", 1000)
		for range n {
			publishDescribed(t, srv, "room", text)
		}
		joined.listen()
		subscriber.listen()
		subscriber.reply(1, protocol.Reply)
		for range n {
			wantMeta(t, subscriber.published(1, text).Head)
			if m := joined.receive(); m.Kind != protocol.Signal || m.Payload.Text() != text {
				t.Fatalf("got %+v", m)
			} else {
				wantMeta(t, m.Head)
			}
		}
	})
}

// Metadata that is too long is an error before anything is published.
func TestTopicMetaTooLong(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := newTopical(t, server.Options{Topics: history})
		p := connect(t, srv, protocol.V3_0)
		p.subscribed(1, 1, "room", nil)
		long := protocol.Head{}.AppendMetadata("k", strings.Repeat("v", 8<<10))
		if _, err := srv.Topic("room").Publish(server.WithMeta(t.Context(), long), "m", protocol.Text("x")); !errors.Is(err, protocol.ErrMalformed) {
			t.Errorf("got %v", err)
		}
		p.quiet()
		if at := publish(t, srv, "room", "y"); at.Offset != 1 {
			t.Errorf("the first publication is at %v", at)
		}
		p.published(1, "y")
	})
}

package server_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// A client that takes the ref of a subscription that it has ended before OnSubscribe has
// returned leaves no member behind when its connection ends.
func TestRefAgain(t *testing.T) {
	for name, first := range map[string]error{"both are allowed": nil, "the first is refused": errors.New("no")} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				release := make(chan struct{})
				srv := newTopical(t, server.Options{Topics: everything, Hooks: server.Hooks{
					OnSubscribe: func(ctx context.Context, c *server.Conn, topic string) (any, error) {
						if topic == "first" {
							<-release
							return nil, first
						}
						return nil, nil
					},
				}})
				p := connect(t, srv, protocol.V3_0)
				p.subscribe(1, 7, "first", nil)
				synctest.Wait()
				p.send(protocol.Message{Kind: protocol.Unsubscribe, Ref: 7})
				p.subscribe(2, 7, "second", nil)
				synctest.Wait()
				close(release)
				synctest.Wait()
				p.conn.Close(1000, "")
				p.over()
				synctest.Wait()
				for _, topic := range []string{"first", "second"} {
					if n := len(slices.Collect(srv.Topic(topic).Conns())); n != 0 {
						t.Errorf("%s has %d members on this node after the connection has ended", topic, n)
					}
					if n, err := srv.Topic(topic).Count(t.Context()); n != 0 || err != nil {
						t.Errorf("%s: Count is %d, %v", topic, n, err)
					}
				}
			})
		})
	}
}

func TestCancelledSubscriptions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		srv := server.New(server.Options{Version: protocol.V3_0, Logger: discard, Concurrency: 1, Hooks: server.Hooks{
			OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
				<-release
				return r.Payload, nil
			},
			OnSubscribe: func(context.Context, *server.Conn, string) (any, error) { return nil, nil },
		}})
		p, _ := first(t, srv)
		p.request(1, "x", "y")
		p.request(2, "x", "y") // it waits for the place of the first, and cannot be taken out
		synctest.Wait()
		for id := uint64(3); id < 4200; id++ {
			body := protocol.SubscribeBody{ID: protocol.NewID(id), Ref: uint32(id), Topic: "t"}
			p.send(body.Message())
			p.send(protocol.CancelBody{ID: protocol.NewID(id)}.Message())
			m := p.reply(id, protocol.ReplyFailure)
			if f, err := m.Failure(); err != nil || f.Code != protocol.FailureCancelled {
				t.Fatalf("subscription %d: %v, %v", id, f, err)
			}
		}
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A client may end a subscription before it has the reply. That is not an error of the server.
func TestUnsubscribedBeforeReply(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		var log record
		srv := newTopical(t, server.Options{Topics: everything, Logger: log.logger(), Hooks: server.Hooks{
			OnSubscribe: func(context.Context, *server.Conn, string) (any, error) {
				<-release
				return nil, nil
			},
		}})
		p := connect(t, srv, protocol.V3_0)
		p.subscribe(1, 7, "room", nil)
		synctest.Wait()
		p.send(protocol.Message{Kind: protocol.Unsubscribe, Ref: 7})
		synctest.Wait()
		close(release)
		if f, err := p.reply(1, protocol.ReplyFailure).Failure(); err != nil || f.Code != protocol.FailureCancelled {
			t.Errorf("got %v, %v", f, err)
		}
		p.subscribed(2, 7, "room", nil) // the ref is free
		if text := log.take(); text != "" {
			t.Errorf("logged %s", text)
		}
	})
}

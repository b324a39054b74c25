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

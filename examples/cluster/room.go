package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/websocket"
)

const (
	prefix  = "room." // and the name of the room: its topic
	maxText = 1000    // bytes
)

// said is a message for a room.
type said struct{ Room, Name, Text string }

// newChat returns a server whose clients subscribe to rooms and say something in them. Node
// is its name, which its messages bear.
func newChat(node string, e engine.Engine) *server.Server {
	var mux server.Mux
	srv := server.New(server.Options{
		Upgrader: &websocket.Upgrader{},
		Engine:   e,
		Handler:  &mux,
		Topics:   func(string) server.TopicOptions { return server.TopicOptions{History: true, Presence: true} },
		Hooks: server.Hooks{
			OnSubscribe: func(_ context.Context, _ *server.Conn, topic string) (any, error) {
				if !strings.HasPrefix(topic, prefix) {
					return nil, &protocol.Error{Code: "NO_SUCH_ROOM"}
				}
				return node, nil
			},
		},
	})
	mux.Request("say", server.JSON(func(ctx context.Context, _ *server.Request, m said) (string, error) {
		if m.Room == "" || m.Text == "" || len(m.Room)+len(m.Name)+len(m.Text) > maxText {
			return "", &protocol.Error{Code: "NOT_SAID", Message: "a message needs a room and a text, and has at most 1000 bytes"}
		}
		p, err := protocol.JSON(m)
		if err != nil {
			return "", err
		}
		_, err = srv.Topic(prefix+m.Room).Publish(ctx, "said", p)
		return node, err
	}))
	mux.Request("who", server.JSON(func(ctx context.Context, _ *server.Request, room string) (string, error) {
		on := make(map[string]int)
		for m, err := range srv.Topic(prefix + room).Members(ctx) {
			if err != nil {
				return "", err
			}
			on[strings.Trim(string(m.Info), `"`)]++
		}
		return fmt.Sprint(on), nil // by node, sorted
	}))
	return srv
}

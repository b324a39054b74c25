package main

import (
	"context"
	"strings"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// Clients subscribe to a topic with Client.Subscribe. To publish on the topic T, they send a
// request named "publish/T", whose payload is published.
const (
	publishing = "publish/"
	message    = "message" // the name of what is published
	maxName    = 64
)

var errBadTopic = &protocol.Error{Code: "BAD_TOPIC", Message: "topics have 1 to 64 letters, digits, dots, dashes and slashes"}

// broker says who may publish and subscribe. The rest is done by the topics of its server.
type broker struct {
	srv *server.Server
}

func (b *broker) mux() *server.Mux {
	var mux server.Mux
	mux.Request(publishing+"*", b.publish)
	return &mux
}

// topicOptions has every topic keep its latest messages, for subscribers that were slow, away
// or late, and count its members.
func topicOptions(string) server.TopicOptions {
	return server.TopicOptions{History: true, Presence: true}
}

// maySubscribe lets anyone subscribe to any topic.
func maySubscribe(_ context.Context, _ *server.Conn, topic string) (member any, err error) {
	if badTopic(topic) {
		return nil, errBadTopic
	}
	return nil, nil
}

func badTopic(name string) bool {
	return name == "" || len(name) > maxName || strings.ContainsFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".-/", r))
	})
}

// published is the reply to a publisher.
type published struct {
	Subscribers int `json:"subscribers"`
}

// publish publishes a payload. It does not wait for subscribers: a slow one reads later what
// the topic has kept.
func (b *broker) publish(ctx context.Context, r *server.Request) (protocol.Payload, error) {
	name := strings.TrimPrefix(r.Name, publishing)
	if badTopic(name) {
		return protocol.Payload{}, errBadTopic
	}
	topic := b.srv.Topic(name)
	if _, err := topic.Publish(ctx, message, r.Payload); err != nil {
		return protocol.Payload{}, err
	}
	n, err := topic.Count(ctx)
	if err != nil {
		return protocol.Payload{}, err
	}
	return protocol.JSON(published{n})
}

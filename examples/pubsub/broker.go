package main

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// To publish on the topic T, a client sends a request named "publish/T". The
// subscribers of T receive its payload as a signal named "topic/T".
const (
	publishing = "publish/"
	topic      = "topic/"
	maxTopics  = 100 // of a subscriber
	maxName    = 64
)

// broker forwards what is published. The Value of a subscriber's connection is its topics.
type broker struct {
	srv  *server.Server
	left func(reason error) // called when a subscriber has disconnected; may be nil
}

func (b *broker) mux() *server.Mux {
	var mux server.Mux
	mux.Request("subscribe", server.JSON(b.subscribe))
	mux.Request(publishing+"*", b.publish)
	return &mux
}

// subscribe replaces the topics of a connection.
func (b *broker) subscribe(_ context.Context, r *server.Request, topics []string) (struct{}, error) {
	if len(topics) > maxTopics || slices.ContainsFunc(topics, badTopic) {
		return struct{}{}, &protocol.Error{Code: "BAD_TOPIC", Message: "topics have 1 to 64 letters, digits, dots, dashes and slashes"}
	}
	r.Conn.SetValue(topics)
	return struct{}{}, nil
}

func badTopic(name string) bool {
	return name == "" || len(name) > maxName || strings.ContainsFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".-/", r))
	})
}

// published is the reply to a publisher.
type published struct {
	Subscribers int `json:"subscribers"` // that the message was queued for
}

// publish forwards a payload. It does not wait: messages are queued for a subscriber
// that does not read, which is disconnected when its queue is full.
func (b *broker) publish(_ context.Context, r *server.Request) (protocol.Payload, error) {
	name := strings.TrimPrefix(r.Name, publishing)
	sent, err := server.Broadcast(b.subscribers(name), topic+name, r.Payload)
	if err != nil {
		return protocol.Payload{}, err
	}
	return protocol.JSON(published{sent})
}

// subscribers returns the subscribers of a topic.
func (b *broker) subscribers(topic string) iter.Seq[*server.Conn] {
	return func(yield func(*server.Conn) bool) {
		for c := range b.srv.Conns() {
			if topics, _ := c.Value().([]string); slices.Contains(topics, topic) && !yield(c) {
				return
			}
		}
	}
}

func (b *broker) disconnected(c *server.Conn, reason error) {
	if c.Value() != nil && b.left != nil {
		b.left(reason)
	}
}

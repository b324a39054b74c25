package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/websocket"
)

// subscription is a list of topics, and what to do on each event.
type subscription struct {
	topics     []string
	heard      func(topic string, p protocol.Payload)
	subscribed func(err error)    // after connecting
	lost       func(reason error) // after disconnecting
}

// subscribe returns a client that subscribes each time it has connected. It misses what
// is published while it is not connected.
func subscribe(d transport.Dialer, s subscription, opts client.Options) *client.Client {
	var c *client.Client
	opts.Hooks = client.Hooks{
		OnConnected: func(ctx context.Context) {
			_, err := client.Call[struct{}](ctx, c, "subscribe", s.topics)
			s.subscribed(err)
		},
		OnDisconnected: func(_ context.Context, reason error) { s.lost(reason) },
		OnServerSignal: func(_ context.Context, p *client.Signal) {
			s.heard(strings.TrimPrefix(p.Name, topic), p.Payload)
		},
	}
	c = client.New(d, opts)
	return c
}

// subscribeTo prints what is published until ctx ends.
func subscribeTo(ctx context.Context, addr string, topics []string, out io.Writer) error {
	if len(topics) == 0 {
		return errors.New("usage: subscribe TOPIC [TOPIC...]")
	}
	failed := make(chan error, 1)
	c := subscribe(&websocket.Dialer{URL: "ws://" + addr}, subscription{
		topics: topics,
		heard:  func(topic string, p protocol.Payload) { fmt.Fprintf(out, "%s: %s\n", topic, p.Text()) },
		lost:   func(reason error) { fmt.Fprintln(out, "disconnected:", reason) },
		subscribed: func(err error) {
			var refused *protocol.Error
			if errors.As(err, &refused) {
				failed <- err
			}
			if err == nil {
				fmt.Fprintln(out, "connected")
			}
		},
	}, client.Options{})
	defer c.Close()
	if err := c.Connect(ctx); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

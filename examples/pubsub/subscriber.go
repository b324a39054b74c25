package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport/websocket"
)

// listen calls heard for each message of a subscription, until ctx ends.
func listen(ctx context.Context, s *client.Subscription, heard func(topic, text string)) error {
	for m, err := range s.Messages(ctx) {
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.Topic(), err)
		}
		heard(s.Topic(), m.Payload.Text())
	}
	return nil
}

// subscribeTo prints what is published until ctx ends; with all, it begins with what the
// server has kept. After a lost connection the client subscribes again by itself, and gets
// what it missed, unless the server does not have it any more.
func subscribeTo(ctx context.Context, addr string, topics []string, all bool, out io.Writer) error {
	if len(topics) == 0 {
		return errors.New("usage: subscribe [-all] TOPIC [TOPIC...]")
	}
	lines := make(chan string)
	say := func(format string, args ...any) {
		select {
		case lines <- fmt.Sprintf(format, args...):
		case <-ctx.Done():
		}
	}
	c := client.New(&websocket.Dialer{URL: "ws://" + addr}, client.Options{Hooks: client.Hooks{
		OnDisconnected: func(_ context.Context, reason error) { say("disconnected: %v", reason) },
	}})
	defer c.Close()

	options := client.SubscribeOptions{OnGap: func(g *client.GapError) { say("%v", g) }}
	if all {
		options.Since = new(protocol.Position)
	}
	ended := make(chan error, len(topics))
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for _, topic := range topics {
		s, err := c.Subscribe(ctx, topic, options)
		if err != nil {
			return err
		}
		go func() {
			ended <- listen(ctx, s, func(topic, text string) { say("%s: %s", topic, text) })
		}()
	}
	fmt.Fprintln(out, "subscribed")
	for {
		select {
		case line := <-lines:
			fmt.Fprintln(out, line)
		case err := <-ended:
			return err
		}
	}
}

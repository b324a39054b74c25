package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/webwire-go/webwire/protocol"
)

// cancel gives up a request while its handler runs.
func (t *trial) cancel(ctx context.Context) error {
	within, giveUp := context.WithCancel(ctx)
	defer giveUp()
	outcome := make(chan error, 1)
	go func() {
		_, err := t.Request(within, "wait", protocol.Payload{})
		outcome <- err
	}()
	if _, err := t.await(ctx, "waiting"); err != nil {
		return err
	}
	giveUp()
	if err := <-outcome; !errors.Is(err, context.Canceled) {
		return fmt.Errorf("a cancelled request ended with: %w", err)
	}
	why, err := t.await(ctx, "ended")
	if err != nil {
		return err
	}
	fmt.Fprintln(t.out, "client: cancelled a request; its handler ended:", why.Text())
	return nil
}

// leave takes three items of an endless stream.
func (t *trial) leave(ctx context.Context) error {
	for item, err := range t.Stream(ctx, "count", protocol.Payload{}) {
		if err != nil {
			return err
		}
		fmt.Fprintln(t.out, "client: item  ", item.Text())
		if item.Text() == "3" {
			break
		}
	}
	why, err := t.await(ctx, "ended")
	if err != nil {
		return err
	}
	fmt.Fprintln(t.out, "client: left the stream; its handler ended:", why.Text())
	return nil
}

// greet sends a request whose handler asks the client something.
func (t *trial) greet(ctx context.Context) error {
	reply, err := t.Request(ctx, "greet me", protocol.Payload{})
	if err != nil {
		return err
	}
	fmt.Fprintln(t.out, "client: reply ", reply.Text())
	return nil
}

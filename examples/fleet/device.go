package main

import (
	"context"
	"fmt"
	"io"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// device is a program that is not always connected.
type device struct {
	name string
	out  io.Writer
}

// run prints notes and carries out orders until ctx ends. It begins with the notes after
// since, with all that are kept if since is nil.
func (d *device) run(ctx context.Context, dialer transport.Dialer, since *protocol.Position) error {
	var mux client.Mux
	mux.Request("order", func(_ context.Context, r *client.Request) (protocol.Payload, error) {
		fmt.Fprintf(d.out, "%s: order: %s\n", d.name, r.Payload.Text())
		return protocol.Text(d.name + " has done: " + r.Payload.Text()), nil
	})
	c := client.New(dialer, client.Options{Handler: &mux})
	defer c.Close()
	if since == nil {
		since = new(protocol.Position)
	}
	lost := func(*client.GapError) { fmt.Fprintf(d.out, "%s: notes are lost\n", d.name) }
	notes, err := c.Subscribe(ctx, prefix+d.name, client.SubscribeOptions{Since: since, OnGap: lost})
	if err != nil {
		return err
	}
	// Another subscription only shows that the device is there.
	if _, err := c.Subscribe(ctx, everyone, client.SubscribeOptions{}); err != nil {
		return err
	}
	for m, err := range notes.Messages(ctx) {
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		fmt.Fprintf(d.out, "%s: note: %s\n", d.name, m.Payload.Text())
	}
	return nil
}

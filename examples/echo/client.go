package main

import (
	"context"
	"fmt"
	"io"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport/websocket"
)

// try sends requests and a signal in every encoding and prints what comes back.
func try(ctx context.Context, addr string, out io.Writer) error {
	signals := make(chan string, 3)
	c := client.New(&websocket.Dialer{URL: "ws://" + addr}, client.Options{Hooks: client.Hooks{
		OnServerSignal: func(_ context.Context, s *client.Signal) {
			signals <- fmt.Sprintf("%s %s %s", s.Name, s.Payload.Encoding, show(s.Payload))
		},
	}})
	defer c.Close()
	if err := c.Connect(ctx); err != nil {
		return err
	}
	fmt.Fprintln(out, "client:", c.Status())

	payloads := []protocol.Payload{
		protocol.Bytes([]byte{0, 1, 2, 0xfd, 0xfe, 0xff}),
		protocol.Text("Привет, мир 👋"),
		protocol.UTF16Text("Привет, мир 👋"),
	}
	for _, p := range payloads {
		reply, err := c.Request(ctx, "echo", p)
		if err != nil {
			return err
		}
		if reply.Encoding != p.Encoding || show(reply) != show(p) {
			return fmt.Errorf("sent %s %s, got %s %s", p.Encoding, show(p), reply.Encoding, show(reply))
		}
		fmt.Fprintf(out, "client: reply  %-6s %s\n", reply.Encoding, show(reply))
	}
	for _, p := range payloads {
		if err := c.Signal(ctx, "ping", p); err != nil {
			return err
		}
		select {
		case got := <-signals:
			if want := fmt.Sprintf("ping %s %s", p.Encoding, show(p)); got != want {
				return fmt.Errorf("sent signal %s, got %s", want, got)
			}
			fmt.Fprintln(out, "client: signal", got)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// show returns a payload in readable form.
func show(p protocol.Payload) string {
	if p.Encoding == protocol.Binary {
		return fmt.Sprintf("% x", p.Data)
	}
	return p.Text()
}

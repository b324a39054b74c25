package main

import (
	"context"
	"fmt"
	"io"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport/websocket"
)

// try tries what the server offers, and prints what happens.
func try(ctx context.Context, addr string, out io.Writer) error {
	signals := make(chan *client.Signal, 3)
	var mux client.Mux
	mux.Signal("*", func(_ context.Context, s *client.Signal) { signals <- s })
	mux.Request("your name", func(context.Context, *client.Request) (protocol.Payload, error) {
		fmt.Fprintln(out, "client: the server asks for a name")
		return protocol.Text("echo"), nil
	})
	c := client.New(&websocket.Dialer{URL: "ws://" + addr}, client.Options{
		Versions: []protocol.Version{protocol.V3_0},
		Handler:  &mux,
	})
	defer c.Close()
	if err := c.Connect(ctx); err != nil {
		return err
	}
	fmt.Fprintln(out, "client:", c.Status())
	t := &trial{c, signals, out}
	for _, step := range []func(context.Context) error{t.echo, t.cancel, t.leave, t.greet} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// trial is a client that tries the server.
type trial struct {
	*client.Client
	signals <-chan *client.Signal
	out     io.Writer
}

// echo sends a request and a signal in every encoding.
func (t *trial) echo(ctx context.Context) error {
	payloads := []protocol.Payload{
		protocol.Bytes([]byte{0, 1, 2, 0xfd, 0xfe, 0xff}),
		protocol.Text("Привет, мир 👋"),
		protocol.UTF16Text("Привет, мир 👋"),
	}
	for _, p := range payloads {
		reply, err := t.Request(ctx, "echo", p)
		if err != nil {
			return err
		}
		if reply.Encoding != p.Encoding || show(reply) != show(p) {
			return fmt.Errorf("sent %s %s, got %s %s", p.Encoding, show(p), reply.Encoding, show(reply))
		}
		fmt.Fprintf(t.out, "client: reply  %-6s %s\n", reply.Encoding, show(reply))
	}
	for _, p := range payloads {
		if err := t.Signal(ctx, "ping", p); err != nil {
			return err
		}
		got, err := t.await(ctx, "ping")
		if err != nil {
			return err
		}
		if got.Encoding != p.Encoding || show(got) != show(p) {
			return fmt.Errorf("sent signal %s %s, got %s %s", p.Encoding, show(p), got.Encoding, show(got))
		}
		fmt.Fprintln(t.out, "client: signal ping", got.Encoding, show(got))
	}
	return nil
}

// await waits for a signal of the server.
func (t *trial) await(ctx context.Context, name string) (protocol.Payload, error) {
	select {
	case s := <-t.signals:
		if s.Name != name {
			return protocol.Payload{}, fmt.Errorf("got signal %s, want %s", s.Name, name)
		}
		return s.Payload, nil
	case <-ctx.Done():
		return protocol.Payload{}, ctx.Err()
	}
}

// show returns a payload in readable form.
func show(p protocol.Payload) string {
	if p.Encoding == protocol.Binary {
		return fmt.Sprintf("% x", p.Data)
	}
	return p.Text()
}

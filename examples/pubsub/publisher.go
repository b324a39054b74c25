package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport/websocket"
)

// publish says something to the subscribers of a topic, and returns how many there
// are.
func publish(ctx context.Context, c *client.Client, topic, text string) (int, error) {
	reply, err := c.Request(ctx, publishing+topic, protocol.Text(text))
	if err != nil {
		return 0, err
	}
	var out published
	err = reply.DecodeJSON(&out)
	return out.Subscribers, err
}

// publishLines publishes the words after the topic, or the lines of in if there
// are none.
func publishLines(ctx context.Context, addr string, args []string, in io.Reader, out io.Writer) error {
	if len(args) == 0 {
		return errors.New("publish what? Name a topic, and what to say")
	}
	if len(args) > 1 {
		in = strings.NewReader(strings.Join(args[1:], " "))
	}
	c := client.New(&websocket.Dialer{URL: "ws://" + addr}, client.Options{})
	defer c.Close()
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		n, err := publish(ctx, c, args[0], lines.Text())
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "subscribers: %d\n", n)
	}
	return lines.Err()
}

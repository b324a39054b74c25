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

// publish publishes a text, and returns the number of subscribers.
func publish(ctx context.Context, c *client.Client, topic, text string) (int, error) {
	reply, err := c.Request(ctx, publishing+topic, protocol.Text(text))
	if err != nil {
		return 0, err
	}
	var out published
	err = reply.DecodeJSON(&out)
	return out.Subscribers, err
}

// publishLines publishes args[1:] as one message on the topic args[0], or each line of
// in if there is only a topic.
func publishLines(ctx context.Context, addr string, args []string, in io.Reader, out io.Writer) error {
	if len(args) == 0 {
		return errors.New("usage: publish TOPIC [WORDS]")
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

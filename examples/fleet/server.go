package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/websocket"
)

const (
	prefix   = "device." // and the name of the device: the topic on which it is reached
	everyone = "fleet"   // the topic whose members are the devices
)

// message is for a device.
type message struct{ Device, Text string }

// newServer returns the server of the fleet.
func newServer() *server.Server {
	var mux server.Mux
	srv := server.New(server.Options{
		Upgrader: &websocket.Upgrader{},
		Handler:  &mux,
		Topics: func(name string) server.TopicOptions {
			return server.TopicOptions{History: name != everyone, Presence: name == everyone}
		},
		Hooks: server.Hooks{OnSubscribe: onSubscribe},
	})
	mux.Request("order", server.JSON(func(ctx context.Context, _ *server.Request, m message) (string, error) {
		answer, err := srv.Topic(prefix+m.Device).Request(ctx, "order", protocol.Text(m.Text))
		if errors.Is(err, server.ErrNobody) {
			return "", &protocol.Error{Code: "AWAY", Message: m.Device + " is not connected"}
		}
		return answer.Text(), err
	}))
	mux.Request("note", server.JSON(func(ctx context.Context, _ *server.Request, m message) (string, error) {
		_, err := srv.Topic(prefix+m.Device).Publish(ctx, "note", protocol.Text(m.Text))
		return "kept for " + m.Device, err
	}))
	mux.Request("online", server.JSON(func(ctx context.Context, _ *server.Request, _ message) (string, error) {
		var names []string
		for m, err := range srv.Topic(everyone).Members(ctx) {
			var name string
			if err = errors.Join(err, json.Unmarshal(m.Info, &name)); err != nil {
				return "", err
			}
			names = append(names, name)
		}
		slices.Sort(names)
		return strings.Join(names, " "), nil
	}))
	return srv
}

// onSubscribe lets anybody be any device: a real fleet checks who it is. The Value of a
// device's connection is its name.
func onSubscribe(_ context.Context, c *server.Conn, topic string) (any, error) {
	name, isDevice := strings.CutPrefix(topic, prefix)
	switch {
	case isDevice && name != "":
		c.SetValue(name)
		return name, nil
	case topic == everyone && c.Value() != nil:
		return c.Value(), nil
	}
	return nil, &protocol.Error{Code: "NO_SUCH_TOPIC"}
}

// serve serves the fleet until ctx ends.
func serve(ctx context.Context, addr string, out io.Writer) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "listening at ws://%s\n", ln.Addr())
	return newServer().Run(ctx, ln, nil)
}

package main

import (
	"context"
	"net"

	"github.com/creachadair/jrpc2"
	"github.com/creachadair/jrpc2/channel"
	"github.com/creachadair/jrpc2/handler"
	jrpc2server "github.com/creachadair/jrpc2/server"
)

// jrpc2Calls speaks JSON-RPC 2.0, one message per line. The payload is text, which
// JSON need not encode.
var jrpc2Calls = contender{
	name: "jrpc2", kind: peer,
	about: "github.com/creachadair/jrpc2, JSON-RPC 2.0, a message per line over TCP, 64 concurrent handlers",
	serve: func(size int) (server, error) {
		l, err := listen()
		if err != nil {
			return server{}, err
		}
		methods := handler.Map{name: handler.New(func(_ context.Context, in jrpc2Message) (jrpc2Message, error) { return in, nil })}
		go jrpc2server.Loop(background, jrpc2server.NetAccepter(l, channel.Line), jrpc2server.Static(methods),
			&jrpc2server.LoopOptions{ServerOptions: &jrpc2.ServerOptions{Concurrency: 64}})
		return server{close: func() { l.Close() }, dial: func() (conn, error) {
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				return nil, err
			}
			return &jrpc2Conn{jrpc2.NewClient(channel.Line(c, c), nil), jrpc2Message{string(payload(size))}}, nil
		}}, nil
	},
}

type jrpc2Message struct {
	Text string `json:"text"`
}

type jrpc2Conn struct {
	*jrpc2.Client
	msg jrpc2Message
}

func (c *jrpc2Conn) load(depth int, r *run) error {
	return r.calls(depth, func() func() error {
		return func() error {
			var reply jrpc2Message
			if err := c.CallResult(background, name, c.msg, &reply); err != nil {
				return err
			}
			return checkReply(len(reply.Text), len(c.msg.Text))
		}
	})
}

func (c *jrpc2Conn) close() { c.Close() }

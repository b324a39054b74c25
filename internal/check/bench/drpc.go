package main

import (
	"context"
	"fmt"
	"net"

	"storj.io/drpc"
	"storj.io/drpc/drpcconn"
	"storj.io/drpc/drpcmux"
	"storj.io/drpc/drpcserver"
)

// drpcUnary makes unary calls of bytes, without protobuf between. A connection
// carries one call at a time: with 64 in flight 63 wait for their turn.
var drpcUnary = contender{
	name: "drpc", kind: peer,
	about: "storj.io/drpc, unary calls of bytes without an encoding; a connection carries one call at a time, others wait",
	serve: func(size int) (server, error) {
		l, err := listen()
		if err != nil {
			return server{}, err
		}
		mux := drpcmux.New()
		if err := mux.Register(drpcEcho{}, drpcEcho{}); err != nil {
			return server{}, err
		}
		ctx, cancel := context.WithCancel(background)
		go drpcserver.New(mux).Serve(ctx, l)
		return server{close: cancel, dial: func() (conn, error) {
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				return nil, err
			}
			return &drpcConn{drpcconn.New(c), &drpcBytes{payload(size)}}, nil
		}}, nil
	},
}

const drpcSay = "/bench.Echo/Say"

// drpcEcho is the service and what a generator would say about it.
type drpcEcho struct{}

func (drpcEcho) Say(_ context.Context, in *drpcBytes) (*drpcBytes, error) { return in, nil }

func (drpcEcho) NumMethods() int { return 1 }

func (drpcEcho) Method(int) (rpc string, enc drpc.Encoding, receiver drpc.Receiver, method any, ok bool) {
	return drpcSay, drpcEncoding{}, func(srv any, ctx context.Context, in, _ any) (drpc.Message, error) {
		return srv.(drpcEcho).Say(ctx, in.(*drpcBytes))
	}, drpcEcho.Say, true
}

type drpcBytes struct{ data []byte }

type drpcEncoding struct{}

func (drpcEncoding) Marshal(m drpc.Message) ([]byte, error) { return m.(*drpcBytes).data, nil }

func (drpcEncoding) Unmarshal(b []byte, m drpc.Message) error {
	to, ok := m.(*drpcBytes)
	if !ok {
		return fmt.Errorf("a message of type %T", m)
	}
	to.data = append(to.data[:0], b...)
	return nil
}

type drpcConn struct {
	*drpcconn.Conn
	msg *drpcBytes
}

func (c *drpcConn) load(depth int, r *run) error {
	return r.calls(depth, func() func() error {
		reply := &drpcBytes{make([]byte, 0, len(c.msg.data))}
		return func() error {
			if err := c.Invoke(background, drpcSay, drpcEncoding{}, c.msg, reply); err != nil {
				return err
			}
			return checkReply(len(reply.data), len(c.msg.data))
		}
	})
}

func (c *drpcConn) close() { c.Close() }

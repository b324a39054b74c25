package main

import (
	"net/rpc"
)

// netRPC is the standard library's, with gob, and replies decoded into memory that
// each caller uses again.
var netRPC = contender{
	name: "net/rpc", kind: peer,
	about: "net/rpc with gob over TCP, replies into reused memory",
	serve: func(size int) (server, error) {
		s := rpc.NewServer()
		if err := s.RegisterName("Chat", Chat{}); err != nil {
			return server{}, err
		}
		l, err := listen()
		if err != nil {
			return server{}, err
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go s.ServeConn(c)
			}
		}()
		return server{close: func() { l.Close() }, dial: func() (conn, error) {
			c, err := rpc.Dial("tcp", l.Addr().String())
			return &netRPCConn{c, payload(size)}, err
		}}, nil
	},
}

// Chat is the service. Package net/rpc wants it exported.
type Chat struct{}

// Say echoes.
func (Chat) Say(in []byte, out *[]byte) error {
	*out = in
	return nil
}

type netRPCConn struct {
	*rpc.Client
	msg []byte
}

func (c *netRPCConn) load(depth int, r *run) error {
	return r.calls(depth, func() func() error {
		reply := make([]byte, 0, len(c.msg))
		return func() error {
			if err := c.Call("Chat.Say", c.msg, &reply); err != nil {
				return err
			}
			return checkReply(len(reply), len(c.msg))
		}
	})
}

func (c *netRPCConn) close() { c.Close() }

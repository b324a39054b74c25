package main

import (
	"context"
	"errors"
	"net/http"

	connectrpc "connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// connectRPC makes calls of the Connect protocol with protobuf messages: unary ones over
// HTTP/2, where one connection carries many, with windows of flow control that are no
// limit. Streamed replies are faster over HTTP/1.1. Nothing is compressed.
var connectRPC = contender{
	name: "connect", kind: peer,
	about: "connectrpc.com/connect, calls of protobuf BytesValue in its own protocol, net/http without TLS or compression: HTTP/2 with large flow control windows, HTTP/1.1 for streams, where it is faster",
	serve: func(size int) (server, error) {
		l, err := listen()
		if err != nil {
			return server{}, err
		}
		plain := connectrpc.WithCompression("gzip", nil, nil)
		mux := http.NewServeMux()
		mux.Handle(connectSay, connectrpc.NewUnaryHandler(connectSay,
			func(_ context.Context, r *connectrpc.Request[wrapperspb.BytesValue]) (*connectrpc.Response[wrapperspb.BytesValue], error) {
				return connectrpc.NewResponse(r.Msg), nil
			}, plain))
		mux.Handle(connectTail, connectrpc.NewServerStreamHandler(connectTail,
			func(_ context.Context, r *connectrpc.Request[wrapperspb.BytesValue], s *connectrpc.ServerStream[wrapperspb.BytesValue]) error {
				for {
					if err := s.Send(r.Msg); err != nil {
						return err
					}
				}
			}, plain))
		h := &http.Server{Handler: mux, Protocols: httpProtocols(true, true), HTTP2: connectHTTP2}
		go h.Serve(l)
		return server{
			close: func() { h.Close() },
			dial:  func() (conn, error) { return dialConnect("http://"+l.Addr().String(), size) },
		}, nil
	},
}

const (
	connectSay  = "/bench.Echo/Say"
	connectTail = "/bench.Echo/Tail"
)

var connectHTTP2 = &http.HTTP2Config{
	MaxReceiveBufferPerConnection: grpcWindow,
	MaxReceiveBufferPerStream:     grpcWindow,
}

func httpProtocols(one, two bool) *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(one)
	p.SetUnencryptedHTTP2(two)
	return p
}

type connectConn struct {
	one, two  *http.Transport // HTTP/1.1 and HTTP/2
	say, tail *connectrpc.Client[wrapperspb.BytesValue, wrapperspb.BytesValue]
	msg       *wrapperspb.BytesValue
	ctx       callContext
}

func dialConnect(url string, size int) (conn, error) {
	one := &http.Transport{Protocols: httpProtocols(true, false)}
	two := &http.Transport{Protocols: httpProtocols(false, true), HTTP2: connectHTTP2}
	plain := connectrpc.WithAcceptCompression("gzip", nil, nil)
	c := &connectConn{
		one: one, two: two,
		say:  connectrpc.NewClient[wrapperspb.BytesValue, wrapperspb.BytesValue](&http.Client{Transport: two}, url+connectSay, plain),
		tail: connectrpc.NewClient[wrapperspb.BytesValue, wrapperspb.BytesValue](&http.Client{Transport: one}, url+connectTail, plain),
		msg:  wrapperspb.Bytes(payload(size)),
	}
	return c, c.call() // connects
}

func (c *connectConn) limited() conn {
	limited := *c
	limited.ctx = true
	return &limited
}

func (c *connectConn) call() error {
	ctx, cancel := c.ctx.new()
	defer cancel()
	reply, err := c.say.CallUnary(ctx, connectrpc.NewRequest(c.msg))
	if err != nil {
		return err
	}
	return checkReply(len(reply.Msg.Value), len(c.msg.Value))
}

func (c *connectConn) load(depth int, r *run) error {
	return r.calls(depth, func() func() error { return c.call })
}

// stream implements streamer.
func (c *connectConn) stream(r *run) error {
	ctx, cancel := context.WithCancel(background)
	s, err := c.tail.CallServerStream(ctx, connectrpc.NewRequest(c.msg))
	if err != nil {
		cancel()
		return err
	}
	defer func() { cancel(); s.Close() }() // without the cancel Close would wait for the end
	for l := r.lane(); l.count == 0 || !r.over(); l.count++ {
		if !s.Receive() {
			return errors.Join(errStreamEnded, s.Err())
		}
		if err := checkReply(len(s.Msg().Value), len(c.msg.Value)); err != nil {
			return err
		}
	}
	return nil
}

func (c *connectConn) close() {
	c.one.CloseIdleConnections()
	c.two.CloseIdleConnections()
}

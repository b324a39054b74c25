package main

import (
	"context"
	"errors"
	"io"
	"runtime"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// grpcUnary makes unary calls of protobuf messages. Workers spare the server a
// goroutine per call. Fixed windows of flow control spare small messages the pings
// that measure the bandwidth; large ones are faster with the windows that those find.
var grpcUnary = contender{
	name: "grpc", kind: peer,
	about: "google.golang.org/grpc, unary calls of protobuf BytesValue, stream workers, fixed flow control windows below 16 KiB, no TLS",
	serve: func(size int) (server, error) {
		l, err := listen()
		if err != nil {
			return server{}, err
		}
		serverOptions := []grpc.ServerOption{grpc.NumStreamWorkers(uint32(runtime.GOMAXPROCS(0)))}
		dialOptions := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
		if size < largeEnough {
			serverOptions = append(serverOptions, grpc.InitialWindowSize(grpcWindow), grpc.InitialConnWindowSize(grpcWindow))
			dialOptions = append(dialOptions, grpc.WithInitialWindowSize(grpcWindow), grpc.WithInitialConnWindowSize(grpcWindow))
		}
		s := grpc.NewServer(serverOptions...)
		s.RegisterService(&grpcService, nil)
		go s.Serve(l)
		return server{close: s.Stop, dial: func() (conn, error) {
			c, err := grpc.NewClient("passthrough:///"+l.Addr().String(), dialOptions...)
			if err != nil {
				return nil, err
			}
			g := &grpcConn{ClientConn: c, msg: wrapperspb.Bytes(payload(size))}
			return g, g.call(new(wrapperspb.BytesValue)) // connects
		}}, nil
	},
}

const grpcWindow = 4 << 20

// grpcService is what protoc would make of a service with three methods.
var grpcService = grpc.ServiceDesc{
	ServiceName: "bench.Echo",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "Say",
		Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			in := new(wrapperspb.BytesValue)
			return in, decode(in)
		},
	}},
	Streams: []grpc.StreamDesc{{
		StreamName:    "Signal",
		ClientStreams: true,
		Handler: func(_ any, s grpc.ServerStream) error {
			in := new(wrapperspb.BytesValue)
			for {
				switch err := s.RecvMsg(in); err {
				case nil:
				case io.EOF:
					return s.SendMsg(in)
				default:
					return err
				}
			}
		},
	}, {
		StreamName:    "Tail",
		ServerStreams: true,
		Handler: func(_ any, s grpc.ServerStream) error {
			msg := new(wrapperspb.BytesValue)
			if err := s.RecvMsg(msg); err != nil {
				return err
			}
			for {
				if err := s.SendMsg(msg); err != nil {
					return err
				}
			}
		},
	}},
}

type grpcConn struct {
	*grpc.ClientConn
	msg *wrapperspb.BytesValue
	ctx callContext
}

func (c *grpcConn) limited() conn { return &grpcConn{c.ClientConn, c.msg, true} }

func (c *grpcConn) call(reply *wrapperspb.BytesValue) error {
	ctx, cancel := c.ctx.new()
	defer cancel()
	if err := c.Invoke(ctx, "/bench.Echo/Say", c.msg, reply); err != nil {
		return err
	}
	return checkReply(len(reply.Value), len(c.msg.Value))
}

func (c *grpcConn) load(depth int, r *run) error {
	return r.calls(depth, func() func() error {
		return func() error { return c.call(new(wrapperspb.BytesValue)) }
	})
}

// signal sends on one stream.
func (c *grpcConn) signal(r *run) error {
	s, err := c.NewStream(background, &grpcService.Streams[0], "/bench.Echo/Signal")
	if err != nil {
		return err
	}
	l := r.lane()
	for ; !r.over(); l.count++ {
		if err := s.SendMsg(c.msg); err != nil {
			return err
		}
	}
	if err := s.CloseSend(); err != nil {
		return err
	}
	return s.RecvMsg(new(wrapperspb.BytesValue))
}

// stream implements streamer.
func (c *grpcConn) stream(r *run) error {
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	s, err := c.NewStream(ctx, &grpcService.Streams[1], "/bench.Echo/Tail")
	if err != nil {
		return err
	}
	if err := errors.Join(s.SendMsg(c.msg), s.CloseSend()); err != nil {
		return err
	}
	item := new(wrapperspb.BytesValue)
	for l := r.lane(); l.count == 0 || !r.over(); l.count++ {
		if err := s.RecvMsg(item); err != nil {
			return errors.Join(errStreamEnded, err)
		}
		if err := checkReply(len(item.Value), len(c.msg.Value)); err != nil {
			return err
		}
	}
	return nil
}

func (c *grpcConn) close() { c.Close() }

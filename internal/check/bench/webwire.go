package main

import (
	"context"
	"errors"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	wwserver "github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
	"github.com/webwire-go/webwire/transport/stream"
	"github.com/webwire-go/webwire/transport/websocket"
)

var websocketUpgrader transport.Upgrader = websocket.Upgrader{}

func websocketDialer(addr string) transport.Dialer { return websocket.Dialer{URL: "ws://" + addr} }

// webwires are ours: a server and clients with their default options, a handler
// that returns the payload it got.
var webwires = []contender{
	overHTTP(ofDefault, protocol.V2_0),
	overHTTP(ofModern, protocol.V3_0),
	overListener("webwire/stream", func() (transport.Listener, transport.Dialer, error) {
		l, err := stream.Listen("tcp", "127.0.0.1:0", nil)
		if err != nil {
			return nil, nil, err
		}
		return l, stream.Dialer{Address: l.Addr().String()}, nil
	}),
	overListener("webwire/memory", func() (transport.Listener, transport.Dialer, error) {
		l := memory.Listen()
		return l, l, nil
	}),
}

const webwireAbout = "server and client with default options, the handler returns the payload it got"

func overHTTP(name string, v protocol.Version) contender {
	return contender{name: name, kind: ours, about: webwireAbout + "; protocol " + v.String(), serve: func(size int) (server, error) {
		s := newWebwire(websocketUpgrader, v)
		addr, stop, err := serveHTTP(s)
		if err != nil {
			return server{}, err
		}
		return server{
			addr:  addr,
			close: func() { stop(); s.Close() },
			dial:  func() (conn, error) { return dialWebwire(websocketDialer(addr), size, v) },
		}, nil
	}}
}

func overListener(name string, listen func() (transport.Listener, transport.Dialer, error)) contender {
	return contender{name: name, kind: ours, about: webwireAbout + "; protocol " + protocol.V2_0.String(), serve: func(size int) (server, error) {
		l, dialer, err := listen()
		if err != nil {
			return server{}, err
		}
		s := newWebwire(nil, protocol.V2_0)
		go s.Serve(l)
		return server{
			close: func() { s.Close() },
			dial:  func() (conn, error) { return dialWebwire(dialer, size, protocol.V2_0) },
		}, nil
	}}
}

// newWebwire returns a server that speaks a version with the clients of dialWebwire.
func newWebwire(up transport.Upgrader, v protocol.Version) *wwserver.Server {
	return wwserver.New(webwireOptions(up, v))
}

func webwireOptions(up transport.Upgrader, v protocol.Version) wwserver.Options {
	o := wwserver.Options{Upgrader: up, Hooks: wwserver.Hooks{
		OnRequest: func(ctx context.Context, r *wwserver.Request) (protocol.Payload, error) {
			if r.Name == tailName {
				return tail(ctx, r)
			}
			return r.Payload, nil
		},
		OnSignal: func(context.Context, *wwserver.Signal) {},
	}}
	if v == protocol.V3_0 {
		o.Version = v // 2.0 is spoken without
	}
	return o
}

// tailName is the name of requests whose reply is streamed.
const tailName = "log.tail"

var tail = func() wwserver.RequestHandler {
	var mux wwserver.Mux
	mux.Stream(tailName, func(_ context.Context, r *wwserver.Request, send func(protocol.Payload) error) error {
		for {
			if err := send(r.Payload); err != nil {
				return err
			}
		}
	})
	return mux.HandleRequest
}()

type webwireConn struct {
	*client.Client
	msg protocol.Payload
	ctx callContext
}

func (c *webwireConn) limited() conn { return &webwireConn{c.Client, c.msg, true} }

func dialWebwire(d transport.Dialer, size int, v protocol.Version) (conn, error) {
	c := client.New(d, client.Options{Versions: []protocol.Version{v}})
	if err := c.Connect(background); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &webwireConn{Client: c, msg: protocol.Bytes(payload(size))}, nil
}

func (c *webwireConn) load(depth int, r *run) error {
	return r.calls(depth, func() func() error { return c.call })
}

func (c *webwireConn) call() error {
	ctx, cancel := c.ctx.new()
	defer cancel()
	reply, err := c.Request(ctx, name, c.msg)
	if err != nil {
		return err
	}
	return checkReply(len(reply.Data), len(c.msg.Data))
}

// signallers is how many goroutines send signals on one connection.
const signallers = 64

// signal implements signaller. A request is handled after the signals ahead of it.
func (c *webwireConn) signal(r *run) error {
	err := r.calls(signallers, func() func() error {
		return func() error { return c.Signal(background, name, c.msg) }
	})
	if err != nil {
		return err
	}
	return c.call()
}

// stream implements streamer.
func (c *webwireConn) stream(r *run) error {
	l := r.lane()
	for p, err := range c.Stream(background, tailName, c.msg) {
		if err != nil {
			return err
		}
		if err := checkReply(len(p.Data), len(c.msg.Data)); err != nil {
			return err
		}
		l.count++
		if r.over() {
			return nil
		}
	}
	return errStreamEnded
}

func (c *webwireConn) close() { c.Close() }

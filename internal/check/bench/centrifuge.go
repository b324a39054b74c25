package main

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/centrifugal/centrifuge"
	sdk "github.com/centrifugal/centrifuge-go"
	"github.com/gobwas/ws"
)

// centrifugeRPC makes calls with the SDK. The server replies within the handler, which
// is faster than a goroutine per call. Queues, batches and buffers have their defaults:
// ReplyWithoutQueue, MaxMessagesInFrame and UseWriteBufferPool made no difference that
// could be told from noise.
var centrifugeRPC = contender{
	name: "centrifuge", kind: peer,
	about: "github.com/centrifugal/centrifuge with centrifuge-go, RPC over WebSocket, Protobuf protocol, memory broker, no compression, replied to within the handler; limits of size raised where 64 KiB need it",
	serve: func(size int) (server, error) {
		limit := max(4*size, 64<<10)
		node, handler, err := centrifugeNode(
			centrifuge.Config{ClientQueueMaxSize: max(128*size, 1<<20)},
			centrifuge.WebsocketConfig{MessageSizeLimit: limit},
			centrifuge.ConnectReply{})
		if err != nil {
			return server{}, err
		}
		node.OnConnect(func(c *centrifuge.Client) {
			c.OnRPC(func(e centrifuge.RPCEvent, reply centrifuge.RPCCallback) {
				reply(centrifuge.RPCReply{Data: e.Data}, nil)
			})
		})
		addr, stop, err := startCentrifuge(node, handler)
		if err != nil {
			return server{}, err
		}
		return server{close: stop, dial: func() (conn, error) { return dialCentrifuge(addr, size) }}, nil
	},
}

// centrifugeNode returns a node that answers every connection with reply.
func centrifugeNode(config centrifuge.Config, over centrifuge.WebsocketConfig, reply centrifuge.ConnectReply) (*centrifuge.Node, http.Handler, error) {
	node, err := centrifuge.New(config)
	if err != nil {
		return nil, nil, err
	}
	reply.Credentials = &centrifuge.Credentials{}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) { return reply, nil })
	return node, centrifuge.NewWebsocketHandler(node, over), nil
}

func startCentrifuge(node *centrifuge.Node, handler http.Handler) (addr string, stop func(), err error) {
	if err := node.Run(); err != nil {
		return "", nil, err
	}
	addr, stopHTTP, err := serveHTTP(handler)
	return addr, func() {
		stopHTTP()
		ctx, cancel := context.WithTimeout(background, patience)
		defer cancel()
		node.Shutdown(ctx)
	}, err
}

type centrifugeConn struct {
	*sdk.Client
	msg []byte
	ctx callContext
}

func dialCentrifuge(addr string, size int) (conn, error) {
	c := sdk.NewProtobufClient("ws://"+addr, sdk.Config{WriteTimeout: patience, HandshakeTimeout: patience})
	up := make(chan struct{})
	c.OnConnected(func(sdk.ConnectedEvent) { close(up) })
	if err := c.Connect(); err != nil {
		c.Close()
		return nil, err
	}
	select {
	case <-up:
		return &centrifugeConn{Client: c, msg: payload(size)}, nil
	case <-time.After(patience):
		c.Close()
		return nil, errLate
	}
}

func (c *centrifugeConn) limited() conn { return &centrifugeConn{c.Client, c.msg, true} }

func (c *centrifugeConn) load(depth int, r *run) error {
	return r.calls(depth, func() func() error { return c.call })
}

func (c *centrifugeConn) call() error {
	ctx, cancel := c.ctx.new()
	defer cancel()
	reply, err := c.RPC(ctx, name, c.msg)
	if err != nil {
		return err
	}
	return checkReply(len(reply.Data), len(c.msg))
}

func (c *centrifugeConn) close() { c.Client.Close() }

// centrifugeConnect is the first command of a client in the Protobuf protocol: the
// length of a Command, with id (field 1) 1 and an empty connect (field 4).
var centrifugeConnect = []byte{4, 0x08, 1, 0x22, 0}

// centrifugeFanout publishes to one channel, to which the server subscribes every
// connection. Pings are off: the receiving connections do not answer them.
func centrifugeFanout(int) (broadcaster, error) {
	node, handler, err := centrifugeNode(centrifuge.Config{},
		centrifuge.WebsocketConfig{PingPongConfig: centrifuge.PingPongConfig{PingInterval: -1}},
		centrifuge.ConnectReply{Subscriptions: map[string]centrifuge.SubscribeOptions{name: {}}})
	if err != nil {
		return broadcaster{}, err
	}
	// Those that the hub counts may not get publications yet: a subscription is in effect when
	// its client has connected.
	var connected atomic.Int64
	node.OnConnect(func(*centrifuge.Client) { connected.Add(1) })
	addr, stop, err := startCentrifuge(node, handler)
	msg := payload(payloads[0])
	return broadcaster{
		addr:  addr,
		count: func() int { return int(connected.Load()) },
		send: func() error {
			_, err := node.Publish(name, msg)
			return err
		},
		close: stop,
	}, err
}

// joinCentrifuge opens a connection to centrifugeFanout and waits until it is
// subscribed.
func joinCentrifuge(c net.Conn, addr string) error {
	if err := shakeHands(c, addr, "centrifuge-protobuf"); err != nil {
		return err
	}
	if err := ws.WriteFrame(c, ws.MaskFrame(ws.NewBinaryFrame(centrifugeConnect))); err != nil {
		return err
	}
	return skipFrame(c, 0) // the reply
}

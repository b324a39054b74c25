package client

import (
	"context"
	"fmt"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// hello returns what the client announces on a socket of 3.0.
func (c *Client) hello(ctx context.Context) (protocol.HelloBody, error) {
	hello := protocol.HelloBody{
		MessageSize:  c.opts.MaxMessageSize,
		StreamCredit: link.DefaultStreamCredit,
		Requests:     requestsAtOnce,
	}
	if c.opts.Credentials != nil {
		proof, err := c.callCredentials(ctx)
		if err != nil {
			return hello, fmt.Errorf("client: credentials: %w", err)
		}
		hello.Head = hello.Head.AppendCredentials(proof)
	}
	return hello, nil
}

// greet opens a socket of 3.0. If the client asks to go on with a connection it also waits
// for the answer to that.
func (c *Client) greet(ctx context.Context, conn transport.Conn, into *link.Config, resume *protocol.Resume) (conf protocol.Conf, welcome *protocol.WelcomeBody, err error) {
	hello, err := c.hello(ctx)
	if err != nil {
		return conf, nil, err
	}
	hello.Resume = resume
	conf, err = link.SayHello(ctx, conn, hello)
	if err != nil {
		return conf, nil, fmt.Errorf("client: server did not open the connection: %w", err)
	}
	into.Own, into.Peer = link.TermsOfClient(hello), link.TermsOfServer(conf)
	if !c.opts.DisableAutoconnect {
		into.Keeping = link.KeepAll
	}
	if err := c.checkConf(conf, protocol.V3_0); err != nil {
		return conf, nil, err
	}
	if resume == nil {
		into.First = protocol.Welcome
		return conf, nil, nil
	}
	w, err := link.AwaitWelcome(ctx, conn)
	if err != nil {
		return conf, nil, fmt.Errorf("client: server did not answer hello: %w", err)
	}
	return conf, &w, nil
}

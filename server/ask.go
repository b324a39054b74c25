package server

import (
	"context"
	"fmt"
	"time"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/protocol"
)

// askTimeout limits requests to clients whose context has no deadline: a suspended browser
// tab answers nothing.
const askTimeout = 30 * time.Second

// Request sends a request to the client and returns the payload of the reply, which
// belongs to the caller. It waits until ctx ends, or 30 seconds if ctx has no deadline.
// Handlers and hooks of the connection may call it, except OnClientConnected, which would
// delay the reply.
//
// Clients handle requests of versions from 3.0 on; for others the error wraps
// protocol.ErrUnsupported. It is a *protocol.PeerError if the client refused the request,
// and wraps protocol.ErrTooMany if the client handles as many requests as it takes,
// ErrConnClosed if the connection has ended, and the error of a context, also after 30
// seconds.
func (c *Conn) Request(ctx context.Context, name string, p protocol.Payload) (protocol.Payload, error) {
	if v := c.info.Version; v < protocol.V3_0 {
		return protocol.Payload{}, &link.UnsentError{Err: fmt.Errorf("server: client speaks protocol %v: %w", v, protocol.ErrUnsupported)}
	}
	timeout := time.Duration(0)
	if _, ok := ctx.Deadline(); !ok {
		timeout = askTimeout
	}
	reply, err := c.link.Request(ctx, protocol.Message{Kind: protocol.Request, Name: name, Payload: p}, timeout, nil)
	return reply, c.sendError(err)
}

// Call is Conn.Request with a JSON argument and a JSON result. If the reply is empty the
// result is the zero Out.
func Call[Out, In any](ctx context.Context, c *Conn, name string, in In) (Out, error) {
	var out Out
	p, err := protocol.JSON(in)
	if err != nil {
		return out, err
	}
	reply, err := c.Request(ctx, name, p)
	if err == nil && len(reply.Data) > 0 {
		err = reply.DecodeJSON(&out)
	}
	return out, err
}

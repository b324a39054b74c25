package server

import (
	"context"
	"fmt"
	"sync"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// maxRequests is the number of requests of a client that 3.0 lets a server announce.
// What limits them is Options.InboxSize.
const maxRequests = 1<<16 - 1

// conf returns the first message of a server of 2.0 or 3.0.
func (e *Endpoint) conf(v protocol.Version) protocol.Conf {
	return protocol.Conf{
		Version:      v,
		ReadTimeout:  e.server.opts.ReadTimeout,
		MessageSize:  e.opts.MaxMessageSize,
		SubProtocol:  e.opts.SubProtocol,
		StreamCredit: link.DefaultStreamCredit,
		Requests:     maxRequests,
	}
}

// greet opens a socket of 3.0 and stores what the client announces in conf. It waits for
// hello until ctx or the server ends. After an error the socket is closed.
func (e *Endpoint) greet(ctx context.Context, conn transport.Conn, conf *link.Config) (protocol.HelloBody, error) {
	s := e.server
	within, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	closed := false
	watching.Go(func() {
		select {
		case <-s.closing:
			closed = true
			// In good order: the client may count as connected already, because it does not
			// wait for the welcome. The error of the exchange says the rest.
			_ = conn.Close(transport.StatusGoingAway, "server shutting down")
		case <-within.Done():
		}
	})
	own := e.conf(conf.Version)
	hello, err := link.AwaitHello(within, conn, own)
	cancel()
	watching.Wait()
	switch {
	case closed:
		return hello, ErrServerClosed
	case err != nil:
		return hello, fmt.Errorf("server: %w", err)
	}
	conf.MaxMessage = hello.MessageSize
	conf.Own, conf.Peer = link.TermsOfServer(own), link.TermsOfClient(hello)
	return hello, nil
}

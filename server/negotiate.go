package server

import (
	"context"
	"fmt"
	"sync"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// negotiated returns the version that both ends of a connection agreed on. ok is false if
// the peer negotiates nothing. It waits for the peer's offer, until a limit of the
// connection expires, ctx ends or the server closes. After an error the connection is
// closed.
func (s *Server) negotiated(ctx context.Context, conn transport.Conn) (v protocol.Version, ok bool, err error) {
	negotiator, negotiates := transport.As[transport.Negotiator](conn)
	if !negotiates {
		v, err = protocol.ParseToken(conn.Protocol())
		return v, err == nil, nil
	}
	var watching sync.WaitGroup
	done := make(chan struct{})
	watching.Go(func() {
		select {
		case <-ctx.Done():
			_ = conn.Abort() // the error of PeerProtocols says it
		case <-s.closing:
			_ = conn.Close(transport.StatusGoingAway, "server shutting down") // as above
		case <-done:
		}
	})
	offered, err := negotiator.PeerProtocols()
	close(done)
	watching.Wait()
	switch {
	case err == nil:
	case s.isClosing():
		return v, false, ErrServerClosed
	case ctx.Err() != nil:
		return v, false, context.Cause(ctx)
	default:
		_ = conn.Abort() // err says more
		return v, false, fmt.Errorf("server: %w", err)
	}
	if v, err = protocol.ParseToken(conn.Protocol()); err == nil {
		return v, true, nil
	}
	if len(offered) > 0 {
		_ = conn.Close(transport.StatusProtocolError, "no agreement on the protocol") // the error says more
		return v, false, fmt.Errorf("%w: the client offered %.200q", ErrVersion, offered)
	}
	return v, false, nil
}

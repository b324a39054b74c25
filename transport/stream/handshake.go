package stream

import (
	"context"
	"crypto/tls"
	"fmt"
	"sync/atomic"
	"time"
)

// A handshake is what precedes the first message: the TLS handshake if there is one, and
// the first exchange. On an accepted connection the first call that needs it does it,
// within time limits of its own: as a part of the first Write it would have none.
type handshake struct {
	begun   atomic.Bool
	done    atomic.Bool
	over    chan struct{} // closed once done is set; a mutex would stop the time of a testing/synctest bubble
	err     error
	tls     *tls.Conn // nil without TLS
	dialled bool
	tokens  []string // that this end offers or supports; not used once it is done
	chosen  string   // what both ends agreed on
	peer    []string // what the peer named if that is nothing; nil if it negotiates nothing
}

// shake does the handshake unless it is done, or waits until another call has done it.
func (c *conn) shake() error {
	h := c.first
	switch {
	case h.done.Load():
	case h.begun.CompareAndSwap(false, true):
		h.err = c.handshake()
		h.tokens = nil
		h.done.Store(true)
		close(h.over)
	default:
		<-h.over
	}
	if h.err != nil {
		return c.Fail(h.err)
	}
	return nil
}

func (c *conn) handshake() error {
	if secure := c.first.tls; secure != nil {
		c.SetDeadline(time.Now().Add(min(c.Limits.ReadTimeout, c.Limits.WriteTimeout)))
		if err := secure.Handshake(); err != nil {
			return fmt.Errorf("stream: TLS handshake: %w", err)
		}
		c.SetDeadline(time.Time{})
	}
	if err := c.BeginRead(); err != nil {
		return err
	}
	return c.EndRead(c.exchange())
}

// shakeWithin does the handshake of a dialled connection. It aborts the connection if the
// handshake fails or ctx ends first.
func (c *conn) shakeWithin(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = c.Abort() })
	err := c.shake()
	if !stop() && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = c.Abort() // err says more
	}
	return err
}

// Protocol implements transport.Conn.
func (c *conn) Protocol() string {
	_ = c.shake() // the next Read or Write returns the error
	return c.first.chosen
}

// PeerProtocols implements transport.Negotiator.
func (c *conn) PeerProtocols() ([]string, error) {
	if err := c.shake(); err != nil {
		return nil, err
	}
	if c.first.chosen != "" {
		return []string{c.first.chosen}, nil
	}
	return c.first.peer, nil
}

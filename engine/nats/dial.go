package natsengine

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/nats-io/nats.go"
)

// connect connects to a server. As long as none can be reached it tries again, until ctx ends.
func connect(ctx context.Context, url string, options []nats.Option) (*nats.Conn, error) {
	for {
		nc, err := nats.Connect(url, options...)
		var network *net.OpError
		if !errors.Is(err, nats.ErrNoServers) && !errors.As(err, &network) {
			return nc, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// endOnWriteError is an option that ends a connection when a write fails. nats.go forgets what
// it could not write: if none of it was written the connection goes on, and a subscription that was
// part of it is confirmed by the answer to a later ping.
func endOnWriteError(o *nats.Options) error {
	dialer := o.CustomDialer
	if dialer == nil { // as nats.go does it
		d := net.Dialer{Timeout: o.Timeout}
		if o.Dialer != nil {
			d = *o.Dialer
		}
		if o.AllowMultipathTCP != nil {
			d.SetMultipathTCP(*o.AllowMultipathTCP)
		}
		dialer = &d
	}
	o.CustomDialer = strictDialer{dialer}
	return nil
}

type strictDialer struct{ nats.CustomDialer }

func (d strictDialer) Dial(network, address string) (net.Conn, error) {
	c, err := d.CustomDialer.Dial(network, address)
	if err != nil {
		return nil, err
	}
	return strictConn{c}, nil
}

// SkipTLSHandshake is asked for by nats.go.
func (d strictDialer) SkipTLSHandshake() bool {
	s, ok := d.CustomDialer.(interface{ SkipTLSHandshake() bool })
	return ok && s.SkipTLSHandshake()
}

type strictConn struct{ net.Conn }

func (c strictConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil {
		c.Close()
	}
	return n, err
}

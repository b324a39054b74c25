package stream

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"github.com/webwire-go/webwire/transport"
)

// A Dialer is a transport.Dialer that connects to one address. It has no state: copies are
// independent, and all may be used concurrently.
type Dialer struct {
	Network string      // as for net.Dial: "tcp", "unix", and so on; zero: "tcp"
	Address string      // as for net.Dial: "example.com:7000", "/run/app.sock", and so on
	TLS     *tls.Config // an empty ServerName means the host of Address; nil: no TLS
}

// Dial implements transport.Dialer. If ctx ends, Dial returns ctx.Err() unchanged. The
// Header of opts is ignored.
func (d Dialer) Dial(ctx context.Context, opts transport.DialOptions) (transport.Conn, error) {
	network := d.Network
	if network == "" {
		network = "tcp"
	}
	dial := new(net.Dialer).DialContext
	if d.TLS != nil {
		dial = (&tls.Dialer{Config: d.TLS}).DialContext
	}
	nc, err := dial(ctx, network, d.Address)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("stream: %w", err) // it says "dial" itself
	}
	return Client(ctx, nc, opts)
}

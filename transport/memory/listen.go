package memory

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"syscall"

	"github.com/webwire-go/webwire/transport"
)

// A Listener is a transport.Listener and the transport.Dialer of the connections it accepts.
// Its methods may be called concurrently. Use [Listen] to create one.
type Listener struct {
	dialled chan dialling
	closed  chan struct{}
	once    sync.Once
}

// dialling is a Dial that waits for an Accept.
type dialling struct {
	near, far *conn
	offer     []string
	accepted  chan<- struct{} // of one slot
}

// Listen returns a new Listener. It has no address: connections are made with its Dial method.
func Listen() *Listener {
	return &Listener{dialled: make(chan dialling), closed: make(chan struct{})}
}

// Dial implements transport.Dialer. It waits until Accept takes the connection or ctx ends.
// After Close it returns an error that wraps syscall.ECONNREFUSED. The Header of opts is
// ignored.
func (l *Listener) Dial(ctx context.Context, opts transport.DialOptions) (transport.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	accepted := make(chan struct{}, 1)
	d := dialling{offer: opts.Protocols, accepted: accepted}
	d.near, d.far = pipe()
	d.near.limits = opts.Limits.WithDefaults()
	select {
	case l.dialled <- d:
		<-accepted // which does not wait for anything
		return d.near, nil
	case <-l.closed:
		return nil, fmt.Errorf("memory: dial: %w", syscall.ECONNREFUSED)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements transport.Listener.
func (l *Listener) Accept(opts transport.AcceptOptions) (transport.Conn, error) {
	select {
	case <-l.closed: // a Dial that waits comes too late
		return nil, errClosed
	default:
	}
	select {
	case d := <-l.dialled:
		d.far.limits = opts.Limits.WithDefaults()
		d.negotiate(opts.Protocols)
		d.accepted <- struct{}{}
		return d.far, nil
	case <-l.closed:
		return nil, errClosed
	}
}

// negotiate lets both ends agree on the first of the supported tokens that is offered.
func (d dialling) negotiate(supported []string) {
	d.near.named = append([]string{}, supported...)
	d.far.named = append([]string{}, d.offer...)
	for _, token := range supported {
		if slices.Contains(d.offer, token) {
			d.near.protocol, d.far.protocol = token, token
			return
		}
	}
}

// Close implements transport.Listener. It may be called more than once.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements transport.Listener.
func (l *Listener) Addr() net.Addr { return addr{} }

var errClosed = fmt.Errorf("memory: accept: %w", net.ErrClosed)

var (
	_ transport.Dialer         = (*Listener)(nil)
	_ transport.Listener       = (*Listener)(nil)
	_ transport.Peeker         = (*conn)(nil)
	_ transport.Monitor        = (*conn)(nil)
	_ transport.SilenceAllower = (*conn)(nil)
	_ transport.Negotiator     = (*conn)(nil)
)

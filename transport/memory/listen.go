package memory

import (
	"context"
	"fmt"
	"net"
	"sync"
	"syscall"

	"github.com/webwire-go/webwire/transport"
)

// A Listener is both a transport.Listener and the transport.Dialer of the
// connections that it accepts.
type Listener struct {
	dialled chan transport.Conn
	closed  chan struct{}
	once    sync.Once
}

// Listen returns a Listener that nobody else can find.
func Listen() *Listener {
	return &Listener{dialled: make(chan transport.Conn), closed: make(chan struct{})}
}

// Dial connects to an Accept, for which it waits within ctx. After Close it
// fails with an error that wraps syscall.ECONNREFUSED. Nothing is negotiated.
func (l *Listener) Dial(ctx context.Context, _ ...string) (transport.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	a, b := Pipe()
	select {
	case l.dialled <- b:
		return a, nil
	case <-l.closed:
		return nil, fmt.Errorf("memory: dial: %w", syscall.ECONNREFUSED)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements transport.Listener.
func (l *Listener) Accept() (transport.Conn, error) {
	select {
	case <-l.closed: // a Dial that waits comes too late
		return nil, errClosed
	default:
	}
	select {
	case c := <-l.dialled:
		return c, nil
	case <-l.closed:
		return nil, errClosed
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
	_ transport.Dialer   = (*Listener)(nil)
	_ transport.Listener = (*Listener)(nil)
	_ transport.Peeker   = (*conn)(nil)
	_ transport.Monitor  = (*conn)(nil)
)

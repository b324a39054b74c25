package stream

import (
	"crypto/tls"
	"fmt"
	"net"

	"github.com/webwire-go/webwire/transport"
)

// A Listener is a transport.Listener over a net.Listener.
type Listener struct {
	net net.Listener
}

// Listen listens on an address as net.Listen does. It uses TLS if config is not nil.
func Listen(network, address string, config *tls.Config) (*Listener, error) {
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, fmt.Errorf("stream: %w", err) // it says "listen" itself
	}
	if config != nil {
		l = tls.NewListener(l, config)
	}
	return NewListener(l), nil
}

// NewListener returns a Listener whose connections are those that l accepts. It owns l:
// closing the Listener closes l.
func NewListener(l net.Listener) *Listener { return &Listener{net: l} }

// Accept implements transport.Listener. It does not wait for the peer; [Server] describes
// when the connection negotiates.
func (l *Listener) Accept(opts transport.AcceptOptions) (transport.Conn, error) {
	nc, err := l.net.Accept()
	if err != nil {
		return nil, fmt.Errorf("stream: %w", err) // it says "accept" itself
	}
	return Server(nc, opts), nil
}

// Close implements transport.Listener.
func (l *Listener) Close() error { return l.net.Close() }

// Addr implements transport.Listener.
func (l *Listener) Addr() net.Addr { return l.net.Addr() }

var (
	_ transport.Dialer         = Dialer{}
	_ transport.Listener       = (*Listener)(nil)
	_ transport.Peeker         = (*conn)(nil)
	_ transport.Monitor        = (*conn)(nil)
	_ transport.SilenceAllower = (*conn)(nil)
	_ transport.Negotiator     = (*conn)(nil)
)

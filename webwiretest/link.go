package webwiretest

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
	"github.com/webwire-go/webwire/transport/transporttest"
)

// A Link connects one client to the server of a [Network]. It is a transport.Dialer.
// Its methods may be called concurrently.
type Link struct {
	network   *Network
	near, far *transporttest.Faults // of the client's ends, and of the server's

	mu      sync.Mutex
	to      *server.Server // that listener leads to
	ln      *memory.Listener
	offline bool
	delay   time.Duration
}

func newLink(n *Network, number uint64) *Link {
	return &Link{network: n, near: transporttest.NewFaults(2 * number), far: transporttest.NewFaults(2*number + 1)}
}

// Client returns a client that connects over the link, and is closed when the test ends. It logs
// to the output of the test if opts has no Logger.
func (l *Link) Client(opts client.Options) *client.Client {
	n := l.network
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.NewTextHandler(n.t.Output(), nil))
	}
	c := client.New(l, opts)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.clients = append(n.clients, c)
	return c
}

// Dial implements transport.Dialer.
func (l *Link) Dial(ctx context.Context, opts transport.DialOptions) (transport.Conn, error) {
	ln := l.listener()
	if ln == nil {
		return nil, transporttest.Refused(ctx)
	}
	conn, err := l.near.Dialer(ln).Dial(ctx, opts)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	delay, offline := l.delay, l.offline
	l.mu.Unlock()
	c := conn.(*transporttest.FaultConn)
	c.Delay(delay)
	if offline { // meanwhile
		c.Cut()
	}
	return c, nil
}

// listener returns the listener of the server that is current, or nil if there is none.
func (l *Link) listener() *memory.Listener {
	n := l.network
	n.mu.Lock()
	srv := n.current
	n.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if srv == nil || l.offline {
		return nil
	}
	if srv != l.to {
		ln := memory.Listen()
		l.to, l.ln = srv, ln
		n.serving.Go(func() { _ = srv.Serve(delayed{l.far.Listener(ln), l}) }) // until the server is shut down
	}
	return l.ln
}

// delayed is the listener of the server's ends of a link.
type delayed struct {
	transport.Listener
	link *Link
}

func (d delayed) Accept(opts transport.AcceptOptions) (transport.Conn, error) {
	conn, err := d.Listener.Accept(opts)
	if err != nil {
		return nil, err
	}
	d.link.mu.Lock()
	defer d.link.mu.Unlock()
	conn.(*transporttest.FaultConn).Delay(d.link.delay)
	return conn, nil
}

// Cut breaks the connection of the link, if there is one: both ends get an error, and messages
// on their way are lost. The client connects again.
func (l *Link) Cut() {
	for _, c := range l.near.Conns() {
		c.Cut()
	}
}

// Offline breaks the connection of the link and refuses new ones until Online is called.
func (l *Link) Offline() {
	l.mu.Lock()
	l.offline = true
	l.mu.Unlock()
	l.Cut()
}

// Online ends what Offline began.
func (l *Link) Online() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.offline = false
}

// Delay makes what both ends send arrive later by d, on this connection and on later ones.
// Zero: no delay.
func (l *Link) Delay(d time.Duration) {
	l.mu.Lock()
	l.delay = d
	l.mu.Unlock()
	for _, f := range []*transporttest.Faults{l.near, l.far} {
		for _, c := range f.Conns() {
			c.Delay(d)
		}
	}
}

// Faults returns the faults of the ends of the client and of those of the server, for what Link
// has no method for: connections on which messages vanish or are damaged, that are cut at a
// certain byte, or are refused in a certain way.
//
//	near, far := link.Faults()
//	near.Refuse(transporttest.Unavailable(time.Minute)) // the next attempt
//	far.Conns()[0].CutAfter(1000)                       // bytes that the server sends
func (l *Link) Faults() (client, server *transporttest.Faults) { return l.near, l.far }

var _ transport.Dialer = (*Link)(nil)

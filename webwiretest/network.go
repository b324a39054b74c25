package webwiretest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/server"
)

// shutdownTimeout is how long the end of a test waits for the handlers of a server.
const shutdownTimeout = 30 * time.Second

// A Network leads clients to a server. Use [Serve] to make one. Its methods may be called
// concurrently.
type Network struct {
	t       testing.TB
	serving sync.WaitGroup

	mu      sync.Mutex
	current *server.Server
	servers []*server.Server // every one that was current
	links   []*Link
	clients []*client.Client
}

// Serve returns a network that leads to srv. When the test ends, the clients that the network
// made are closed, srv is shut down, and the goroutines of both have ended. In a bubble of
// testing/synctest both srv and the network must be made in the bubble.
func Serve(t testing.TB, srv *server.Server) *Network {
	n := &Network{t: t, current: srv, servers: []*server.Server{srv}}
	t.Cleanup(n.close)
	return n
}

// Replace makes new connections lead to srv, as after a deploy or a restart. The server before
// keeps its connections: shut it down or close it first, if clients should notice. Nil: the
// server is away, and connections are refused until the next Replace.
func (n *Network) Replace(srv *server.Server) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.current = srv
	if srv != nil {
		n.servers = append(n.servers, srv)
	}
}

// Link returns the way of one more client to the server, for clients that are not made by
// [Network.Client]: it is their Dialer.
func (n *Network) Link() *Link {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := newLink(n, uint64(len(n.links)))
	n.links = append(n.links, l)
	return l
}

// Client returns a client with a link of its own, which is closed when the test ends.
// It is [Network.Link] and [Link.Client] in one.
func (n *Network) Client(opts client.Options) *client.Client { return n.Link().Client(opts) }

// allLinks returns the links that exist now.
func (n *Network) allLinks() []*Link {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.links[:len(n.links):len(n.links)]
}

// close ends everything, at the end of the test.
func (n *Network) close() {
	n.mu.Lock()
	clients, servers := n.clients, n.servers
	n.mu.Unlock()
	for _, c := range clients {
		if err := c.Close(); err != nil {
			n.t.Errorf("webwiretest: closing a client: %v", err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	for _, srv := range servers {
		if err := srv.Shutdown(ctx); err != nil {
			n.t.Errorf("webwiretest: the server does not shut down, a handler may not return: %v", err)
		}
	}
	for _, l := range n.allLinks() {
		l.near.Close()
		l.far.Close()
	}
	n.serving.Wait()
}

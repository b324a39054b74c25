package handover_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
	"github.com/webwire-go/webwire/transport/transporttest"
)

// cluster is a number of nodes that share an engine, and the way to them: a client reaches
// the node that its route names.
type cluster struct {
	t       *testing.T
	engine  engine.Memory
	faults  *transporttest.Faults
	serving sync.WaitGroup
	opts    func(node int) server.Options

	mu    sync.Mutex
	nodes []*node
}

type node struct {
	*server.Server
	listener *memory.Listener
}

// newCluster starts nodes. It is called in a bubble.
func newCluster(t *testing.T, nodes int, opts func(node int) server.Options) *cluster {
	c := &cluster{t: t, faults: transporttest.NewFaults(1)}
	t.Cleanup(c.serving.Wait)
	t.Cleanup(c.faults.Close)
	t.Cleanup(func() {
		for _, n := range c.nodes {
			_ = n.Close()
		}
	})
	c.startAll(nodes, opts)
	return c
}

// startAll starts the nodes of a cluster that has none yet. opts may use the cluster.
func (c *cluster) startAll(nodes int, opts func(node int) server.Options) {
	c.opts = opts
	for i := range nodes {
		c.start(i)
	}
}

// start starts the node with a number, anew if there was one.
func (c *cluster) start(i int) *node {
	opts := c.opts(i)
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Engine == (engine.Engine{}) {
		opts.Engine = c.engine.Node()
	}
	n := &node{server.New(opts), memory.Listen()}
	if opts.Engine.Bus != nil {
		if err := n.OpenEngine(c.t.Context()); err != nil {
			c.t.Error(err)
		}
	}
	c.serving.Go(func() { _ = n.Serve(c.faults.Listener(n.listener)) }) // until the end of the test
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.nodes) <= i {
		c.nodes = append(c.nodes, nil)
	}
	c.nodes[i] = n
	return n
}

func (c *cluster) node(i int) *node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[i]
}

// route is the Dialer of a client.
type route struct {
	cluster *cluster

	mu   sync.Mutex
	to   func() int // the node that is dialled; negative: none can be reached
	last *transporttest.FaultConn
}

func (r *route) goTo(i int) { r.choose(func() int { return i }) }

func (r *route) choose(to func() int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.to = to
}

func (r *route) Dial(ctx context.Context, opts transport.DialOptions) (transport.Conn, error) {
	r.mu.Lock()
	i := r.to()
	r.mu.Unlock()
	if i < 0 {
		return nil, transporttest.Refused(ctx)
	}
	conn, err := r.cluster.faults.Dialer(r.cluster.node(i).listener).Dial(ctx, opts)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = conn.(*transporttest.FaultConn)
	return conn, nil
}

// cut cuts the socket that was dialled last.
func (r *route) cut() {
	r.mu.Lock()
	last := r.last
	r.mu.Unlock()
	last.Cut()
}

// member is a client and its way to the nodes.
type member struct {
	*client.Client
	route *route
}

// join returns a client that has connected to a node, and is closed when the test ends.
func (c *cluster) join(i int, opts client.Options) *member {
	c.t.Helper()
	r := &route{cluster: c}
	r.goTo(i)
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	m := &member{client.New(r, opts), r}
	c.t.Cleanup(func() {
		if err := m.Close(); err != nil {
			c.t.Errorf("Close: %v", err)
		}
	})
	m.connect(c.t)
	synctest.Wait() // until the server knows it too
	return m
}

func (m *member) connect(t *testing.T) {
	t.Helper()
	if err := m.Connect(t.Context()); err != nil {
		t.Fatalf("Connect: %v", err)
	}
}

// move loses the socket, and comes back to a node.
func (m *member) move(t *testing.T, to int) {
	t.Helper()
	m.route.goTo(to)
	m.route.cut()
	synctest.Wait()
	m.connect(t)
	synctest.Wait()
}

// book notes what happens.
type book struct {
	mu      sync.Mutex
	entries []string
}

func (b *book) note(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entries = append(b.entries, fmt.Sprintf(format, args...))
}

// want fails the test unless the entries since the last call are these. An entry begins
// with where it was made: only the order at each place counts.
func (b *book) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, all := range [][]string{b.entries, want} {
		slices.SortStableFunc(all, func(x, y string) int { return strings.Compare(x[:1], y[:1]) })
	}
	if got := strings.Join(b.entries, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("what happened is\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	b.entries = nil
}

func text(s string) protocol.Payload { return protocol.Text(s) }

// sleep waits for d, and returns why not if ctx ends before.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// answer is the outcome of a request.
type answer struct {
	text string
	err  error
}

func (a answer) String() string {
	if a.err != nil {
		return "error: " + a.err.Error()
	}
	return a.text
}

// ask makes a request in a goroutine.
func (m *member) ask(ctx context.Context, name, payload string) <-chan answer {
	out := make(chan answer, 1)
	go func() {
		reply, err := m.Request(ctx, name, text(payload))
		out <- answer{reply.Text(), err}
	}()
	return out
}

func history(string) server.TopicOptions { return server.TopicOptions{History: true} }

func maybe(err error) bool {
	var lost *client.DisconnectedError
	return errors.As(err, &lost) && lost.Sent
}

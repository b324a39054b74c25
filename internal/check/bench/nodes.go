package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/centrifugal/centrifuge"
	natsserver "github.com/nats-io/nats-server/v2/server"
	"golang.org/x/sync/errgroup"

	"github.com/webwire-go/webwire/client"
	natsengine "github.com/webwire-go/webwire/engine/nats"
	"github.com/webwire-go/webwire/protocol"
	wwserver "github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/memory"
)

// runNodes measures nodes on NATS: what is published on one node until it has arrived on
// others, requests with an engine beside those without, and restored sessions. Three NATS
// servers, the nodes and the clients are in this process, and share its processors.
func runNodes(o options) error {
	if o.effort.rounds == 0 {
		o.effort.rounds = 5
	}
	if o.effort.each == 0 {
		o.effort.each = time.Second
	}
	b, err := nodesReport(o.effort, 300)
	if err != nil {
		return err
	}
	if _, err := os.Stdout.Write(b); err != nil || o.out == "" {
		return err
	}
	return writeFile(o.out, "nodes.md", b)
}

// nodesReport measures with so many members of a topic that nodes share.
func nodesReport(e effort, members int) ([]byte, error) {
	c, err := startNATS(3)
	if err != nil {
		return nil, err
	}
	defer c.close()
	if err := c.run(); err != nil {
		return nil, err
	}
	b := fmt.Appendf(nil, "# Nodes\n\n`make bench-nodes` on %s.\n\n", machine())
	if err := nodePublications(c, e, members, &b); err != nil {
		return nil, err
	}
	if err := nodeRequests(c, e, &b); err != nil {
		return nil, err
	}
	err = nodeSessions(c, e, &b)
	return b, err
}

// nodePublications publishes on the first node. A member is on another one; or the members
// are spread over all nodes. A publication has arrived everywhere before the next one.
func nodePublications(c *natsCluster, e effort, members int, b *[]byte) error {
	*b = append(*b, "A publication on one node, until it has arrived at all members, one after the other. Members are WebSockets:\n"+
		"one on another node, or "+fmt.Sprint(members)+" spread over the nodes.\n\n"...)
	var all []*series
	for _, w := range []struct {
		nodes, members int
		shape          string
	}{
		{2, 1, "1 member on another node"},
		{1, members, "1 node"},
		{2, members, "2 nodes"},
		{3, members, "3 nodes"},
	} {
		first := 0
		if w.members == 1 {
			first = 1
		}
		var runners []*runner
		for _, f := range []fanout{
			{name: "webwire", join: joinWebSocket, start: func(int) (broadcaster, error) { return c.webwireNodes(w.nodes, first, false) }},
			{name: "webwire, history", join: joinWebSocket, start: func(int) (broadcaster, error) { return c.webwireNodes(w.nodes, first, true) }},
			{name: "centrifuge", join: joinCentrifuge, start: func(int) (broadcaster, error) { return c.centrifugeNodes(w.nodes, first) }},
		} {
			progress("  %s: %s", f.name, w.shape)
			run, err := f.runner(w.members)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", f.name, w.shape, err)
			}
			run.shape = w.shape
			runners = append(runners, run)
			all = append(all, run.series)
		}
		if err := interleave(e, runners); err != nil {
			return err
		}
	}
	t := newTable(b, "contender", "members", "deliveries/s", "p50 µs", "p99 µs")
	for _, s := range all {
		t.row(s.contender, s.shape, figure(s.median(rps)), figure(s.median(p50)), figure(s.median(p99)))
	}
	*b = append(*b, "\nwebwire: `Topic.Publish`, `engine/nats`; with history each publication is stored by JetStream, with as many replicas\n"+
		"as there are NATS servers, and then delivered. centrifuge: its module has brokers in memory and on Redis; this one is core NATS,\n"+
		"as in its example `custom_broker_nats`, and keeps nothing.\n\n"...)
	return nil
}

// natsCluster are NATS servers in this process.
type natsCluster struct {
	servers []*natsserver.Server
	dir     string
	apps    int // so far
}

func startNATS(n int) (_ *natsCluster, err error) {
	c := &natsCluster{}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	if c.dir, err = os.MkdirTemp("", "webwire-bench"); err != nil {
		return nil, err
	}
	var routes []*net.TCPAddr
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // when all are chosen
		routes = append(routes, l.Addr().(*net.TCPAddr))
	}
	for i := range n {
		o := &natsserver.Options{
			ServerName: fmt.Sprint("n", i), Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoLog: true, NoSigs: true,
			JetStream: true, StoreDir: filepath.Join(c.dir, fmt.Sprint(i)),
			Cluster: natsserver.ClusterOpts{Name: "bench", Host: "127.0.0.1", Port: routes[i].Port},
		}
		for _, other := range routes {
			if other != routes[i] {
				o.Routes = append(o.Routes, &url.URL{Scheme: "nats", Host: other.String()})
			}
		}
		s, err := natsserver.NewServer(o)
		if err != nil {
			return nil, err
		}
		c.servers = append(c.servers, s)
	}
	return c, nil
}

// run starts the servers, whose ports are free by now.
func (c *natsCluster) run() error {
	for _, s := range c.servers {
		go s.Start()
	}
	for _, s := range c.servers {
		if !s.ReadyForConnections(30 * time.Second) {
			return errors.New("nats-server does not start")
		}
	}
	return nil
}

func (c *natsCluster) url(i int) string { return c.servers[i%len(c.servers)].ClientURL() }

func (c *natsCluster) close() {
	for _, s := range c.servers {
		s.Shutdown()
	}
	for _, s := range c.servers {
		s.WaitForShutdown()
	}
	os.RemoveAll(c.dir)
}

// options returns those of n engines of a new application.
func (c *natsCluster) options(n int) (all []natsengine.Options) {
	c.apps++
	for i := range n {
		all = append(all, natsengine.Options{
			URL: c.url(i), App: fmt.Sprint("app", c.apps), Timeout: 30 * time.Second,
			Classes: []natsengine.Class{{Name: "recent", History: 100, MaxBytes: 64 << 20}},
		})
	}
	return all
}

// inTurn passes requests to the handlers, beginning with the first.
func inTurn(handlers []http.Handler, first int) http.Handler {
	var next atomic.Int64
	next.Store(int64(first) - 1)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handlers[int(next.Add(1))%len(handlers)].ServeHTTP(w, r)
	})
}

// webwireNodes returns servers on NATS whose connections are members of a topic.
func (c *natsCluster) webwireNodes(n, first int, history bool) (broadcaster, error) {
	var servers []*wwserver.Server
	var handlers []http.Handler
	var joined atomic.Int64
	for _, eo := range c.options(n) {
		var s *wwserver.Server
		o := webwireOptions(websocketUpgrader, protocol.V2_0)
		o.ReadTimeout = 24 * time.Hour // see fanoutServer
		o.Engine = natsengine.New(eo)
		o.Topics = func(string) wwserver.TopicOptions { return wwserver.TopicOptions{History: history} }
		o.Hooks.OnClientConnected = func(ctx context.Context, conn *wwserver.Conn) error {
			defer joined.Add(1)
			return s.Topic(name).Join(ctx, conn)
		}
		s = wwserver.New(o)
		if err := s.OpenEngine(background); err != nil {
			return broadcaster{}, err
		}
		servers, handlers = append(servers, s), append(handlers, s)
	}
	addr, stop, err := serveHTTP(inTurn(handlers, first))
	msg := protocol.Bytes(payload(payloads[0]))
	return broadcaster{addr, func() int { return int(joined.Load()) }, func() error {
		_, err := servers[0].Topic(name).Publish(background, name, msg)
		return err
	}, func() {
		stop()
		for _, s := range servers {
			s.Close()
		}
	}}, err
}

// centrifugeNodes is webwireNodes with Centrifuge.
func (c *natsCluster) centrifugeNodes(n, first int) (broadcaster, error) {
	var nodes []*centrifuge.Node
	var handlers []http.Handler
	closeAll := func() {
		for _, node := range nodes {
			node.Shutdown(background)
		}
	}
	for i := range n {
		node, handler, err := centrifugeNode(centrifuge.Config{},
			centrifuge.WebsocketConfig{PingPongConfig: centrifuge.PingPongConfig{PingInterval: -1}},
			centrifuge.ConnectReply{Subscriptions: map[string]centrifuge.SubscribeOptions{name: {}}})
		if err != nil {
			return broadcaster{}, err
		}
		node.OnConnect(func(*centrifuge.Client) {})
		broker, err := newNATSBroker(c.url(i))
		if err != nil {
			return broadcaster{}, err
		}
		node.SetBroker(broker)
		if err := node.Run(); err != nil {
			return broadcaster{}, err
		}
		nodes, handlers = append(nodes, node), append(handlers, handler)
	}
	addr, stop, err := serveHTTP(inTurn(handlers, first))
	msg := payload(payloads[0])
	return broadcaster{addr, func() (members int) {
		for _, node := range nodes {
			members += node.Hub().NumSubscribers(name)
		}
		return members
	}, func() error {
		_, err := nodes[0].Publish(name, msg)
		return err
	}, func() {
		stop()
		closeAll()
	}}, err
}

// nodeRequests compares requests to a server with an engine with those to one without.
func nodeRequests(c *natsCluster, e effort, b *[]byte) error {
	with := contender{name: "webwire, engine/nats", kind: ours, serve: func(size int) (server, error) {
		o := webwireOptions(websocketUpgrader, protocol.V3_0)
		o.Engine = natsengine.New(c.options(1)[0])
		s := wwserver.New(o)
		if err := s.OpenEngine(background); err != nil {
			return server{}, err
		}
		addr, stop, err := serveHTTP(s)
		return server{
			addr:  addr,
			close: func() { stop(); s.Close() },
			dial:  func() (conn, error) { return dialWebwire(websocketDialer(addr), size, protocol.V3_0) },
		}, err
	}}
	without := overHTTP("webwire", protocol.V3_0)
	*b = append(*b, "Requests of 32 bytes, protocol 3.0, connections x requests in flight.\n\n"...)
	t := newTable(b, "contender", "shape", "requests/s", "p50 µs", "p99 µs")
	for _, sh := range shapes {
		progress("requests, %s", sh.name)
		all, err := requests(e, []contender{without, with}, payloads[0], sh)
		if err != nil {
			return err
		}
		for _, s := range all {
			t.row(s.contender, s.shape, figure(s.median(rps)), figure(s.median(p50)), figure(s.median(p99)))
		}
	}
	*b = append(*b, '\n')
	return nil
}

// restorers is the number of clients that restore sessions at once.
const restorers = 32

// nodeSessions restores sessions, each on a new connection in memory.
func nodeSessions(c *natsCluster, e effort, b *[]byte) error {
	*b = append(*b, fmt.Sprintf("Sessions restored, each on a new connection (in memory), by %d clients at once.\n\n", restorers)...)
	t := newTable(b, "store", "restored/s", "p50 µs", "p99 µs")
	for _, store := range []string{"session.MemoryStore", "engine/nats", "engine/nats, MaxSessionConns 1, 3 nodes"} {
		progress("sessions, %s", store)
		run, stop, err := c.restoring(store)
		if err != nil {
			return err
		}
		s := &series{}
		err = interleave(e, []*runner{{s, func(d time.Duration) (sample, error) { return measureLoad(d, 1, run) }, stop}})
		if err != nil {
			return fmt.Errorf("%s: %w", store, err)
		}
		t.row(store, figure(s.median(rps)), figure(s.median(p50)), figure(s.median(p99)))
	}
	*b = append(*b, '\n')
	return nil
}

// newSession returns the key of a session.
func newSession(door *memory.Listener) (string, error) {
	c := client.New(door, client.Options{})
	defer c.Close()
	key, err := c.Request(background, name, protocol.Payload{})
	return key.Text(), err
}

func (c *natsCluster) restoring(store string) (load func(*run) error, stop func(), err error) {
	n := 1
	o := wwserver.Options{Hooks: wwserver.Hooks{OnRequest: func(ctx context.Context, r *wwserver.Request) (protocol.Payload, error) {
		s, err := r.Conn.CreateSession(ctx, map[string]int{"id": 42})
		return protocol.Text(s.Key), err
	}}}
	switch store {
	case "session.MemoryStore":
		n = 0
	case "engine/nats":
	default:
		n = 3
		o.MaxSessionConns = 1
	}
	var servers []*wwserver.Server
	var doors []*memory.Listener
	for _, eo := range c.options(max(n, 1)) {
		if n > 0 {
			o.Engine = natsengine.New(eo)
		}
		s, door := wwserver.New(o), memory.Listen()
		if err := s.OpenEngine(background); err != nil {
			return nil, nil, err
		}
		go s.Serve(door)
		servers, doors = append(servers, s), append(doors, door)
	}
	keys := make([]string, restorers)
	for i := range keys {
		if keys[i], err = newSession(doors[0]); err != nil {
			return nil, nil, err
		}
	}
	var used atomic.Int64
	load = func(r *run) error {
		var g errgroup.Group
		for _, key := range keys {
			g.Go(func() error {
				return r.calls(1, func() func() error {
					return func() error {
						cl := client.New(doors[int(used.Add(1))%len(doors)], client.Options{})
						defer cl.Close()
						return cl.RestoreSession(background, key)
					}
				})
			})
		}
		return g.Wait()
	}
	return load, func() {
		var closing sync.WaitGroup
		for _, s := range servers {
			closing.Go(func() { s.Close() })
		}
		closing.Wait()
	}, nil
}

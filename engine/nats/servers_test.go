package natsengine_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/engine"
	natsengine "github.com/webwire-go/webwire/engine/nats"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

// nodes are whole servers of one application on NATS, and the dialer of its clients: a load
// balancer that sends them to the first node that accepts them.
type nodes struct {
	t       testing.TB
	cluster *cluster
	nats    natsengine.Options
	opts    server.Options

	mu      sync.Mutex
	servers []*server.Server
	engines []engine.Engine
	doors   []*memory.Listener // nil: the node is not running
	next    int
}

// serve runs n servers until the test ends.
func (c *cluster) serve(t testing.TB, n int, opts server.Options) *nodes {
	t.Helper()
	all := &nodes{t: t, cluster: c, nats: c.settings(t, 0), opts: opts}
	all.nats.Timeout = 20 * time.Second // also on a machine with much else to do
	all.servers, all.engines, all.doors = make([]*server.Server, n), make([]engine.Engine, n), make([]*memory.Listener, n)
	t.Cleanup(func() {
		for i := range n {
			if srv := all.server(i); srv != nil {
				srv.Close()
			}
		}
	})
	for i := range n {
		all.run(i)
	}
	for _, e := range all.engines {
		eventually(t, 20*time.Second, "that all nodes know one another", func() bool { return len(slices.Collect(e.Roster.Nodes())) == n })
	}
	return all
}

// run starts or restarts a node.
func (ns *nodes) run(i int) {
	ns.t.Helper()
	o, opts := ns.nats, ns.opts
	o.URL = ns.cluster.urlOf(i)
	opts.Engine, opts.Logger = natsengine.New(o), o.Logger
	opts.Hooks.OnSubscribe = func(_ context.Context, c *server.Conn, _ string) (any, error) { return c.Info().UserAgent, nil }
	srv, ln := server.New(opts), memory.Listen()
	if err := srv.OpenEngine(context.Background()); err != nil {
		ns.t.Fatal(err)
	}
	go srv.Serve(ln)
	ns.mu.Lock()
	defer ns.mu.Unlock()
	ns.servers[i], ns.engines[i], ns.doors[i] = srv, opts.Engine, ln
}

func (ns *nodes) server(i int) *server.Server {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	return ns.servers[i]
}

// close sends no more clients to a node.
func (ns *nodes) close(i int) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	ns.doors[i] = nil
}

// Dial implements transport.Dialer. Nodes take turns.
func (ns *nodes) Dial(ctx context.Context, opts transport.DialOptions) (transport.Conn, error) {
	ns.mu.Lock()
	var door *memory.Listener
	for range ns.doors {
		ns.next++
		if door = ns.doors[ns.next%len(ns.doors)]; door != nil {
			break
		}
	}
	ns.mu.Unlock()
	if door == nil {
		return nil, &net.OpError{Op: "dial", Err: errors.New("no node is running")}
	}
	return door.Dial(ctx, opts)
}

// at is the dialer of clients that connect to one node only.
type at struct {
	nodes *nodes
	i     int
}

func (a at) Dial(ctx context.Context, opts transport.DialOptions) (transport.Conn, error) {
	a.nodes.mu.Lock()
	door := a.nodes.doors[a.i]
	a.nodes.mu.Unlock()
	if door == nil {
		return nil, &net.OpError{Op: "dial", Err: errors.New("the node is not running")}
	}
	return door.Dial(ctx, opts)
}

func (ns *nodes) client(d transport.Dialer, o client.Options) *client.Client {
	o.MinBackoff, o.MaxBackoff, o.Logger = 10*time.Millisecond, 200*time.Millisecond, ns.nats.Logger
	c := client.New(d, o)
	ns.t.Cleanup(func() { c.Close() })
	return c
}

// reader collects what a subscription gets.
type reader struct {
	sub  *client.Subscription
	mu   sync.Mutex
	got  []string
	at   []protocol.Position
	err  error
	done chan struct{}
}

func subscribe(t testing.TB, c *client.Client, topic string) *reader {
	t.Helper()
	sub, err := c.Subscribe(context.Background(), topic, client.SubscribeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{sub: sub, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		for m, err := range sub.Messages(context.Background()) {
			r.mu.Lock()
			if err != nil {
				r.err = err
			} else {
				r.got, r.at = append(r.got, m.Payload.Text()), append(r.at, m.Position)
			}
			r.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		sub.Close()
		<-r.done
	})
	return r
}

// all returns what was received, after n messages have been.
func (r *reader) all(t testing.TB, n int) []string {
	t.Helper()
	eventually(t, 20*time.Second, fmt.Sprint(n, " messages"), func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.got) >= n || r.err != nil
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		t.Errorf("after %d messages: %v", len(r.got), r.err)
	}
	if !slices.IsSortedFunc(r.at, func(a, b protocol.Position) int { return int(int64(a.Offset) - int64(b.Offset)) }) {
		t.Error("not in the order of their positions")
	}
	return slices.Clone(r.got)
}

func (ns *nodes) publish(i int, topic, text string) {
	ns.t.Helper()
	if _, err := ns.server(i).Topic(topic).Publish(context.Background(), "m", protocol.Text(text)); err != nil {
		ns.t.Error(err)
	}
}

// Whole servers on one NATS are one: for topics, presence, requests to members, sessions.
func TestServers(t *testing.T) {
	t.Parallel()
	atOnce(t, map[string]func(*testing.T, *nodes){
		"Publications": testPublicationsAcrossNodes,
		"Recovery":     testRecoveryOnAnotherNode,
		"Presence":     testPresenceAcrossNodes,
		"Request":      testRequestAcrossNodes,
		"Session":      testSessionsAcrossNodes,
	}, func(t *testing.T, test func(*testing.T, *nodes)) {
		sizes := map[string]int{"3": 3}
		if long {
			sizes["2"] = 2
		}
		atOnce(t, sizes, func(t *testing.T, n int) {
			test(t, shared(3).serve(t, n, server.Options{
				ResumeWindow: -1,
				Topics: func(name string) server.TopicOptions {
					return server.TopicOptions{History: true, Presence: strings.HasPrefix(name, "present")}
				},
				Hooks: server.Hooks{OnRequest: signIn},
			}))
		})
	})
}

// signIn creates a session whose info is what the client asks for.
func signIn(ctx context.Context, r *server.Request) (protocol.Payload, error) {
	_, err := r.Conn.CreateSession(ctx, map[string]string{"name": r.Payload.Text()})
	return protocol.Payload{}, err
}

// All members get everything from all nodes, in the same order.
func testPublicationsAcrossNodes(t *testing.T, ns *nodes) {
	const each = 100
	var readers []*reader
	for i := range ns.servers {
		readers = append(readers, subscribe(t, ns.client(at{ns, i}, client.Options{}), "room"))
	}
	var publishing sync.WaitGroup
	for i := range ns.servers {
		publishing.Go(func() {
			for n := range each {
				ns.publish(i, "room", fmt.Sprint(i, ".", n))
			}
		})
	}
	publishing.Wait()
	first := readers[0].all(t, each*len(readers))
	for i, r := range readers {
		if got := r.all(t, len(first)); !slices.Equal(got, first) {
			t.Errorf("the member of node %d got another sequence: %d messages, the first member %d", i, len(got), len(first))
		}
	}
	next := make(map[string]int)
	for _, text := range first {
		node, n, _ := strings.Cut(text, ".")
		if n != fmt.Sprint(next[node]) {
			t.Fatalf("%s came after %d of its node", text, next[node])
		}
		next[node]++
	}
	for i, srv := range ns.servers {
		n := 0
		for _, err := range srv.Topic("room").History(t.Context(), engine.Position{}, 10) {
			if err != nil {
				if errors.Is(err, server.ErrHistoryGap) { // more were published than are kept
					continue
				}
				t.Fatalf("history on node %d: %v", i, err)
			}
			n++
		}
		if n != 10 {
			t.Errorf("history on node %d has %d", i, n)
		}
	}
}

// A client whose node is gone continues on another one, and misses nothing.
func testRecoveryOnAnotherNode(t *testing.T, ns *nodes) {
	c := ns.client(ns, client.Options{})
	for i := range ns.servers { // all clients come to node 0
		if i > 0 {
			ns.close(i)
		}
	}
	r := subscribe(t, c, "room")
	ns.publish(0, "room", "0")
	r.all(t, 1)
	ns.close(0)
	ns.server(0).Close()
	for i := 1; i <= 30; i++ {
		ns.publish(1, "room", fmt.Sprint(i))
	}
	ns.mu.Lock()
	door := memory.Listen()
	ns.doors[1] = door
	ns.mu.Unlock()
	go ns.server(1).Serve(door)
	for i := 31; i <= 40; i++ {
		ns.publish(1, "room", fmt.Sprint(i))
	}
	for i, text := range r.all(t, 41) {
		if text != fmt.Sprint(i) {
			t.Fatalf("message %d is %s", i, text)
		}
	}
}

func testPresenceAcrossNodes(t *testing.T, ns *nodes) {
	var clients []*client.Client
	running := slices.Clone(ns.servers)
	for i := range running {
		for range 2 {
			c := ns.client(at{ns, i}, client.Options{})
			subscribe(t, c, "present")
			clients = append(clients, c)
		}
	}
	agree := func(want int) {
		t.Helper()
		for i, srv := range running {
			eventually(t, 20*time.Second, fmt.Sprint(want, " members on node ", i), func() bool {
				n, err := srv.Topic("present").Count(t.Context())
				if err != nil {
					t.Error(err)
				}
				ids := make(map[string]bool)
				for m, err := range srv.Topic("present").Members(t.Context()) {
					if err != nil {
						t.Error(err)
					}
					ids[m.ID] = true
				}
				return n == want && len(ids) == want
			})
		}
	}
	agree(len(clients))
	clients[0].Close()
	agree(len(clients) - 1)
	ns.server(1).Close() // with two members
	running = slices.Delete(running, 1, 2)
	agree(len(clients) - 3)
}

func testRequestAcrossNodes(t *testing.T, ns *nodes) {
	var mux client.Mux
	mux.Request("reboot", func(_ context.Context, r *client.Request) (protocol.Payload, error) {
		if r.Payload.Text() == "never" {
			return protocol.Payload{}, &protocol.Error{Code: "BUSY"}
		}
		return protocol.Text("at " + r.Payload.Text()), nil
	})
	subscribe(t, ns.client(at{ns, 1}, client.Options{Handler: &mux}), "device")
	for i, srv := range ns.servers {
		p, err := srv.Topic("device").Request(t.Context(), "reboot", protocol.Text("noon"))
		if err != nil || p.Text() != "at noon" {
			t.Errorf("from node %d: %q, %v", i, p.Text(), err)
		}
		if _, err := srv.Topic("device").Request(t.Context(), "reboot", protocol.Text("never")); protocol.CodeOf(err) != "BUSY" {
			t.Errorf("from node %d: %v", i, err)
		}
		if _, err := srv.Topic("another").Request(t.Context(), "reboot", protocol.Payload{}); !errors.Is(err, server.ErrNobody) {
			t.Errorf("from node %d: %v", i, err)
		}
	}
}

func testSessionsAcrossNodes(t *testing.T, ns *nodes) {
	closed := make(chan int, 8)
	signals := make(chan string, 8)
	connect := func(i int) *client.Client {
		return ns.client(at{ns, i}, client.Options{Hooks: client.Hooks{
			OnSessionClosed: func(context.Context) { closed <- i },
			OnServerSignal:  func(_ context.Context, s *client.Signal) { signals <- s.Payload.Text() },
		}})
	}
	a := connect(0)
	if _, err := a.Request(t.Context(), "sign in", protocol.Text("ada")); err != nil {
		t.Fatal(err)
	}
	s, ok := a.Session()
	if !ok {
		t.Fatal("no session")
	}
	last := len(ns.servers) - 1
	b := connect(last)
	if err := b.RestoreSession(t.Context(), s.Key); err != nil {
		t.Fatal(err)
	}
	if info, err := session.InfoAs[map[string]string](must(b.Session())); err != nil || info["name"] != "ada" {
		t.Errorf("restored %v, %v", info, err)
	}
	if n, err := ns.server(1).SignalSession(t.Context(), s.Key, "mail", protocol.Text("hello")); n != 2 || err != nil {
		t.Errorf("the signal went to %d connections, %v", n, err)
	}
	for range 2 {
		if text := <-signals; text != "hello" {
			t.Errorf("got %q", text)
		}
	}
	if err := ns.server(1).CloseSession(t.Context(), s.Key); err != nil {
		t.Fatal(err)
	}
	got := []int{<-closed, <-closed}
	if slices.Sort(got); !slices.Equal(got, []int{0, last}) {
		t.Errorf("the clients of nodes %v were told", got)
	}
	if err := b.RestoreSession(t.Context(), s.Key); !errors.Is(err, protocol.ErrSessionNotFound) {
		t.Errorf("restoring a closed session: %v", err)
	}
}

func must[T any](v T, ok bool) T {
	if !ok {
		panic("missing")
	}
	return v
}

package natsengine_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	natsengine "github.com/webwire-go/webwire/engine/nats"
)

// cluster is some real NATS servers in this process.
type cluster struct {
	servers []*server.Server
	options []*server.Options
	url     string
	routes  map[[2]int]*proxy // from one server to another; nil: direct
}

// start runs n servers with JetStream until the test ends.
func start(t testing.TB, n int) *cluster {
	t.Helper()
	c := newCluster(t, n)
	c.connectRoutes(func(_, to int) string { return fmt.Sprint("127.0.0.1:", c.options[to].Cluster.Port) })
	c.runAll(t)
	return c
}

// startBehindProxies is start with proxies in all routes.
func startBehindProxies(t testing.TB, n int) *cluster {
	t.Helper()
	c := newCluster(t, n)
	c.routes = make(map[[2]int]*proxy)
	for _, o := range c.options {
		o.Cluster.Advertise = "127.0.0.1:1" // nobody is to go around the proxies
	}
	c.connectRoutes(func(from, to int) string {
		p := newProxy(t, fmt.Sprint("127.0.0.1:", c.options[to].Cluster.Port))
		c.routes[[2]int{from, to}] = p
		return strings.TrimPrefix(p.url(), "nats://")
	})
	c.runAll(t)
	return c
}

func newCluster(t testing.TB, n int) *cluster {
	t.Helper()
	c := &cluster{servers: make([]*server.Server, n)}
	ports := freePorts(t, 2*n)
	var urls []string
	for i := range n {
		o := &server.Options{
			ServerName: fmt.Sprint("s", i+1), Host: "127.0.0.1", Port: ports[i], NoLog: true, NoSigs: true,
			JetStream: true, StoreDir: t.TempDir(), MaxPayload: 8 << 20,
		}
		if n > 1 {
			o.Cluster = server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: ports[n+i]}
		}
		c.options = append(c.options, o)
		urls = append(urls, fmt.Sprint("nats://127.0.0.1:", ports[i]))
	}
	c.url = strings.Join(urls, ",")
	return c
}

// connectRoutes has each server connect to the others at the address that route
// returns.
func (c *cluster) connectRoutes(route func(from, to int) string) {
	for from, o := range c.options {
		for to := range c.options {
			if from != to {
				o.Routes = append(o.Routes, &url.URL{Scheme: "nats", Host: route(from, to)})
			}
		}
	}
}

func (c *cluster) runAll(t testing.TB) {
	t.Helper()
	t.Cleanup(func() {
		for i := range c.servers {
			c.stop(i)
		}
	})
	for i := range c.servers {
		c.run(t, i)
	}
	c.awaitLeader(t)
}

// isolate cuts all routes of a server until heal is called.
func (c *cluster) isolate(i int) (heal func()) {
	var cut []*proxy
	for ends, p := range c.routes {
		if ends[0] == i || ends[1] == i {
			p.cut()
			cut = append(cut, p)
		}
	}
	return func() {
		for _, p := range cut {
			p.heal()
		}
	}
}

// index returns the number of a server.
func (c *cluster) index(name string) int {
	return slices.IndexFunc(c.options, func(o *server.Options) bool { return o.ServerName == name })
}

// run starts or restarts a server.
func (c *cluster) run(t testing.TB, i int) {
	t.Helper()
	s, err := server.NewServer(c.options[i].Clone())
	if err != nil {
		t.Fatal(err)
	}
	c.servers[i] = s
	go s.Start()
	if !s.ReadyForConnections(20 * time.Second) {
		t.Fatal("a NATS server does not start")
	}
}

func (c *cluster) stop(i int) {
	if s := c.servers[i]; s != nil {
		s.Shutdown()
		s.WaitForShutdown()
	}
}

// awaitLeader waits until JetStream of all servers can be used.
func (c *cluster) awaitLeader(t testing.TB) {
	t.Helper()
	if len(c.servers) == 1 {
		return
	}
	eventually(t, 30*time.Second, "a leader of JetStream", func() bool {
		leaders := 0
		for _, s := range c.servers {
			if !s.JetStreamIsCurrent() {
				return false
			}
			if s.JetStreamIsLeader() {
				leaders++
			}
		}
		return leaders == 1
	})
}

// urlOf is the address of one server.
func (c *cluster) urlOf(i int) string { return strings.Split(c.url, ",")[i%len(c.servers)] }

// nextPort is the last port that was tried. The ports are below those that systems
// give to connections and to listeners without a port: what a server is to have, or to
// have again, is not taken by another in the meantime.
var nextPort atomic.Int64

func init() { nextPort.Store(10_000 + rand.Int64N(20_000)) }

func freePorts(t testing.TB, n int) []int {
	t.Helper()
	var ports []int
	for range 1000 {
		if len(ports) == n {
			return ports
		}
		port := 10_000 + int(nextPort.Add(1)%20_000)
		if ln, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port)); err == nil {
			ln.Close()
			ports = append(ports, port)
		}
	}
	t.Fatal("no ports are free")
	return nil
}

// eventually waits until done, and fails the test after the limit, which is generous on an
// idle machine. On others it is multiplied.
func eventually(t testing.TB, limit time.Duration, what string, done func() bool) {
	t.Helper()
	deadline := time.NewTimer(4 * limit)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%s: not within %v", what, limit)
		}
	}
}

// atOnce runs a test for each case, all at the same time. Not t.Parallel, which also
// limits tests that only wait to GOMAXPROCS.
func atOnce[T any](t *testing.T, cases map[string]T, test func(*testing.T, T)) {
	var all sync.WaitGroup
	for name, c := range cases {
		all.Go(func() { t.Run(name, func(t *testing.T) { test(t, c) }) })
	}
	all.Wait()
}

var apps atomic.Int64

// patient has connections made also on a machine with much else to do.
var patient = nats.Timeout(30 * time.Second)

// settings returns those of an application of its own on server i.
func (c *cluster) settings(t testing.TB, i int) natsengine.Options {
	return natsengine.Options{
		URL: c.urlOf(i), App: c.app(t), Logger: logOf(t),
		Classes:       []natsengine.Class{{Name: "recent", History: 100, MaxAge: time.Hour, MaxBytes: 16 << 20}},
		MaxSessionAge: -1,
		Connect:       []nats.Option{nats.DontRandomize(), nats.IgnoreDiscoveredServers(), patient},
	}
}

// logOf returns a logger whose records are shown if the test fails.
func logOf(t testing.TB) *slog.Logger {
	var mu sync.Mutex
	var log bytes.Buffer
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		if t.Failed() && log.Len() > 0 {
			t.Logf("the log of the nodes:\n%s", log.String())
		}
	})
	return slog.New(slog.NewTextHandler(writerFunc(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(b)
	}), nil))
}

type writerFunc func(b []byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// app returns a name for an application, whose streams are removed when the test ends.
func (c *cluster) app(t testing.TB) string {
	app := fmt.Sprint("app", apps.Add(1))
	t.Cleanup(func() { c.removeStreams(t, app) })
	return app
}

func (c *cluster) removeStreams(t testing.TB, app string) {
	nc, js := c.connect(t)
	defer nc.Close()
	var wg sync.WaitGroup
	ctx := context.Background() // that of the test has ended
	for name := range js.StreamNames(ctx).Name() {
		if strings.HasPrefix(name, "WW_"+app+"_") {
			wg.Go(func() { js.DeleteStream(ctx, name) })
		}
	}
	wg.Wait()
}

// connect returns a connection beside the engine's.
func (c *cluster) connect(t testing.TB) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	nc, err := nats.Connect(c.url, patient)
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return nc, js
}

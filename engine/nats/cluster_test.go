package natsengine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/engine/enginetest"
	natsengine "github.com/webwire-go/webwire/engine/nats"
)

// Tests that stop servers or cut their routes have some of their own. They mostly wait,
// and do so at the same time.
func TestServersFail(t *testing.T) {
	t.Parallel()
	atOnce(t, map[string]func(*testing.T){
		"OpenWhileServersStart": testOpenWhileServersStart,
		"OpenBeforeServers":     testOpenBeforeServers,
		"RoutesAreCut":          testRoutesAreCut,
		"ReplicaLags":           testReplicaLags,
		"ServerStops":           testServerStops,
		"NATSRestarts":          testNATSRestarts,
		"UserIsUnknown":         testUserIsUnknown,
	}, func(t *testing.T, test func(*testing.T)) { test(t) })
}

// opening opens a node, which must take longer than a while, and returns a channel of what Open
// returns. what is for errors.
func (c *cluster) opening(t *testing.T, what string, while time.Duration) <-chan error {
	t.Helper()
	o := c.settings(t, 0)
	o.Timeout = 20 * time.Second
	e := natsengine.New(o)
	t.Cleanup(func() { _ = e.Bus.Close() })
	opened := make(chan error, 1)
	go func() { opened <- e.Bus.Open(context.Background(), engine.NewNodeID(), &enginetest.Inlet{}) }()
	select {
	case err := <-opened:
		t.Fatalf("%s: %v", what, err)
	case <-time.After(while):
	}
	return opened
}

// A node that starts together with the servers opens when enough of them have started.
func testOpenWhileServersStart(t *testing.T) {
	c := newCluster(t, 3)
	c.connectRoutes(func(_, to int) string { return fmt.Sprint("127.0.0.1:", c.options[to].Cluster.Port) })
	c.run(t, 0)
	t.Cleanup(func() { c.stop(0) })
	opened := c.opening(t, "Open with one server of three", 500*time.Millisecond)
	for i := range 2 {
		c.run(t, i+1)
		t.Cleanup(func() { c.stop(i + 1) })
	}
	if err := <-opened; err != nil {
		t.Errorf("Open: %v", err)
	}
}

// A node that starts before the first server opens when that has started.
func testOpenBeforeServers(t *testing.T) {
	c := newCluster(t, 1)
	t.Cleanup(func() { c.stop(0) })
	opened := c.opening(t, "Open without a server", 300*time.Millisecond)
	c.run(t, 0)
	if err := <-opened; err != nil {
		t.Errorf("Open: %v", err)
	}
}

// placement returns which servers have a stream.
func (c *cluster) placement(t *testing.T, nc *nats.Conn, stream string) (leader int, followers []int) {
	t.Helper()
	var info struct {
		Cluster struct {
			Leader   string `json:"leader"`
			Replicas []struct {
				Name string `json:"name"`
			} `json:"replicas"`
		} `json:"cluster"`
	}
	eventually(t, 20*time.Second, "a leader of "+stream, func() bool {
		m, err := nc.Request("$JS.API.STREAM.INFO."+stream, nil, time.Second)
		return err == nil && json.Unmarshal(m.Data, &info) == nil && info.Cluster.Leader != ""
	})
	for _, r := range info.Cluster.Replicas {
		followers = append(followers, c.index(r.Name))
	}
	return c.index(info.Cluster.Leader), followers
}

// delayReplica holds up what one replica of a stream hears from the others, and they
// from it, until goOn is called. Everything else passes.
func (c *cluster) delayReplica(t *testing.T, nc *nats.Conn, stream string) (goOn func()) {
	t.Helper()
	leader, followers := c.placement(t, nc, stream)
	var stalled []func()
	for _, other := range []int{leader, followers[1]} {
		stalled = append(stalled,
			c.routes[[2]int{followers[0], other}].stallSystem(), c.routes[[2]int{other, followers[0]}].stallSystem())
	}
	goOn = sync.OnceFunc(func() {
		for _, goOn := range stalled {
			goOn()
		}
	})
	t.Cleanup(goOn)
	return goOn
}

// The server that leads the log loses its routes to the others. Those elect another
// leader; a node that is connected to the one left alone sees nothing wrong in that
// time, and everything afterwards.
func testRoutesAreCut(t *testing.T) {
	c := startBehindProxies(t, 3)
	o := c.settings(t, 0)
	o.Classes[0].History = 20_000
	nc, _ := c.connect(t)
	defer nc.Close()
	var nodes []*followed
	var followers []*enginetest.Follower
	for i := range 3 {
		o.URL = c.urlOf(i)
		nodes = append(nodes, openFollowed(t, o))
		followers = append(followers, nodes[i].follow(t, "log", engine.Position{}))
	}
	alone, _ := c.placement(t, nc, "WW_"+o.App+"_log_recent")
	others := []int{(alone + 1) % 3, (alone + 2) % 3}
	stop := appender(t, nodes[others[0]].Engine, "log")
	for _, w := range followers {
		progress(t, w, 20)
	}
	heal := c.isolate(alone)
	before := followers[alone].Len()
	for _, i := range others {
		progress(t, followers[i], 50) // by another leader
	}
	if n := followers[alone].Len() - before; n >= 50 {
		t.Errorf("%d publications crossed routes that are cut", n)
	}
	heal()
	progress(t, followers[alone], 50)
	all := stop()
	for _, i := range others {
		wantAll(t, followers[i], all)
	}
	wantAllOrTold(t, followers[alone], all)
}

// wantAllOrTold is wantAll for a node on the smaller side of a partition. If the server
// there takes longer than staleFor to notice that it leads no longer, as on a busy machine,
// its old state is believed: then a gap is told, and what is there is seen again.
func wantAllOrTold(t *testing.T, w *enginetest.Follower, want []string) {
	t.Helper()
	eventually(t, 30*time.Second, "the last publication", func() bool {
		seen := w.Seen()
		return len(seen) > 0 && seen[len(seen)-1] == want[len(want)-1]
	})
	if w.Gaps() == 0 || long {
		wantAll(t, w, want)
		return
	}
	seen := make(map[string]bool)
	for _, s := range w.Seen() {
		seen[s] = true
	}
	if len(seen) != len(want) {
		t.Errorf("%d of %d were seen", len(seen), len(want))
	}
}

// One replica of the log lags. Whoever reads the log gets everything that was appended
// before, in order, or a gap is told: also if that replica answers.
func testReplicaLags(t *testing.T) {
	// A node beside the replicas is connected to the fourth server: the others are
	// asked in turn.
	c := startBehindProxies(t, 4)
	o := c.settings(t, 0)
	o.Replicas = 3
	nc, _ := c.connect(t)
	defer nc.Close()
	openFollowed(t, o) // makes the streams
	stream := "WW_" + o.App + "_log_recent"
	leader, followers := c.placement(t, nc, stream)
	outside := 0 + 1 + 2 + 3 - leader - followers[0] - followers[1]
	o.URL = c.urlOf(outside)
	n := openFollowed(t, o)
	direct, err := nats.Connect(c.urlOf(outside), patient)
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close()

	for _, count := range []int{20, 130} { // nothing is evicted, and much
		topic := fmt.Sprint("log", count)
		l := &lagging{node: n.Engine, topic: topic}
		l.add(t, 10)
		// A replica begins to answer late. If it hears nothing for some seconds, as on a busy
		// machine, the replicas elect a leader and nobody answers for a while: then once more.
		eventually(t, time.Minute, "a replica that lags and answers", func() bool {
			l.add(t, 1)
			goOn := c.delayReplica(t, nc, stream)
			defer goOn()
			l.add(t, count)
			subject := "ww." + o.App + ".log.recent." + topic
			if !staleAnswer(direct, stream, subject, l.at[len(l.at)-1].Offset) {
				return false
			}
			return l.check(t, len(l.all)-count-5)
		})
	}

	w := n.follow(t, "follow", engine.Position{})
	l := &lagging{node: n.Engine, topic: "follow"}
	goOn := c.delayReplica(t, nc, stream)
	l.add(t, 50)
	wantAll(t, w, l.all)
	goOn()
}

// lagging is a topic in a log of which a replica lags.
type lagging struct {
	node  engine.Engine
	topic string
	all   []string
	at    []engine.Position
}

func (l *lagging) add(t *testing.T, count int) {
	t.Helper()
	for range count {
		data := fmt.Sprint(len(l.all))
		for {
			at, err := l.node.Log.Append(t.Context(), l.topic, []byte(data), data)
			if err == nil {
				l.all, l.at = append(l.all, data), append(l.at, at)
				break
			}
			if !errors.Is(err, engine.ErrUnconfirmed) && !errors.Is(err, engine.ErrAway) {
				t.Fatalf("Append: %v", err)
			}
		}
	}
}

// check reads in pages of several sizes what follows an entry. It is not done if the
// log is away: replicas that do not hear their leader for long elect another one.
func (l *lagging) check(t *testing.T, from int) (done bool) {
	t.Helper()
	for i := range 15 {
		page, err := l.node.Log.Read(t.Context(), l.topic, l.at[from], 1+i*13)
		if errors.Is(err, engine.ErrAway) {
			return false
		}
		if err != nil {
			t.Fatalf("Read: %v", err)
		}
		wantPage(t, page, l.all[from+1:], 101)
		tops, err := l.node.Log.Tops(t.Context(), []string{l.topic})
		if errors.Is(err, engine.ErrAway) {
			return false
		}
		if last := l.at[len(l.at)-1]; err != nil || tops[0].Last != last {
			t.Fatalf("Tops: %v, %v; want the end at %v", tops, err, last)
		}
	}
	return true
}

// wantPage checks that a page is the beginning of what follows the position, or says
// that something is missing before it and is the beginning of what is kept.
func wantPage(t *testing.T, page engine.Page, behind []string, kept int) {
	t.Helper()
	var got []string
	for _, e := range page.Entries {
		got = append(got, string(e.Data))
	}
	if len(behind) >= kept && !page.Complete {
		for len(behind) > 0 && len(got) > 0 && behind[0] != got[0] {
			behind = behind[1:]
		}
	} else if !page.Complete {
		t.Errorf("a gap is told, though everything is there: %q", got)
	}
	if len(got) == 0 || len(got) > len(behind) || !slices.Equal(got, behind[:len(got)]) {
		t.Fatalf("read %q of %q, complete: %t", got, behind, page.Complete)
	}
	if !page.More && len(got) != len(behind) {
		t.Fatalf("read %d of %d, and no more is said to be there", len(got), len(behind))
	}
}

// staleAnswer reports whether a replica answers that does not know the end of a topic.
func staleAnswer(nc *nats.Conn, stream, subject string, last uint64) bool {
	for range 30 {
		m, err := nc.Request("$JS.API.DIRECT.GET."+stream+"."+subject, nil, time.Second)
		if err != nil {
			return false // no replica answers now
		}
		if m.Header.Get("Nats-Sequence") != fmt.Sprint(last) {
			return true
		}
	}
	return false
}

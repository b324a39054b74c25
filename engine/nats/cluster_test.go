package natsengine_test

import (
	"context"
	"encoding/json"
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

// A node that starts together with the servers opens when enough of them have started.
func TestOpenWhileServersStart(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	c.connectRoutes(func(_, to int) string { return fmt.Sprint("127.0.0.1:", c.options[to].Cluster.Port) })
	c.run(t, 0)
	t.Cleanup(func() { c.stop(0) })
	o := c.settings(t, 0)
	o.Timeout = 20 * time.Second
	e := natsengine.New(o)
	defer e.Bus.Close()
	opened := make(chan error, 1)
	go func() { opened <- e.Bus.Open(context.Background(), engine.NewNodeID(), &enginetest.Inlet{}) }()
	select {
	case err := <-opened:
		t.Fatalf("Open with one server of three: %v", err)
	case <-time.After(500 * time.Millisecond):
	}
	for i := range 2 {
		c.run(t, i+1)
		t.Cleanup(func() { c.stop(i + 1) })
	}
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

// delay holds up what a replica hears from the other replicas, and they from it, until
// goOn is called. Everything else passes.
func (c *cluster) delay(t *testing.T, replica int, others ...int) (goOn func()) {
	t.Helper()
	var all []func()
	for _, other := range others {
		all = append(all, c.routes[[2]int{replica, other}].stallSystem(), c.routes[[2]int{other, replica}].stallSystem())
	}
	goOn = sync.OnceFunc(func() {
		for _, goOn := range all {
			goOn()
		}
	})
	t.Cleanup(goOn)
	return goOn
}

// The server that leads the log loses its routes to the others. Those elect another
// leader; a node that is connected to the one left alone sees nothing wrong in that
// time, and everything afterwards.
func TestRoutesAreCut(t *testing.T) {
	t.Parallel()
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
	for _, i := range others {
		progress(t, followers[i], 50) // by another leader
	}
	heal()
	progress(t, followers[alone], 50)
	all := stop()
	for _, w := range followers {
		wantAll(t, w, all)
	}
}

// One replica of the log lags. Whoever reads the log gets everything that was appended
// before, in order, or a gap is told: also if that replica answers.
func TestReplicaLags(t *testing.T) {
	t.Parallel()
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
	w := n.follow(t, "follow", engine.Position{})

	var all []string
	var at []engine.Position
	add := func(topic string, count int) {
		for range count {
			all = append(all, fmt.Sprint(len(all)))
			p, err := n.Log.Append(t.Context(), topic, []byte(all[len(all)-1]), "")
			if err != nil {
				t.Fatal(err)
			}
			at = append(at, p)
		}
	}
	direct, err := nats.Connect(c.urlOf(outside))
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close()
	stale := func(topic string) bool {
		return staleAnswer(t, direct, stream, "ww."+o.App+".log.recent."+topic, at[len(at)-1].Offset)
	}
	add("before", 1)
	eventually(t, 20*time.Second, "answers of the replica", func() bool { // it begins late
		defer c.delay(t, followers[0], leader, followers[1])()
		add("before", 1)
		return stale("before")
	})
	all, at = nil, nil
	add("log", 10)
	for _, count := range []int{20, 300} { // nothing is evicted, and much
		goOn := c.delay(t, followers[0], leader, followers[1])
		add("log", count)
		if !stale("log") {
			t.Error("no replica lags")
		}
		for i := range 30 {
			from := len(all) - count - 5
			page, err := n.Log.Read(t.Context(), "log", at[from], 1+i*7)
			if err != nil {
				t.Fatalf("Read: %v", err)
			}
			wantPage(t, page, all[from+1:], 101)
			tops, err := n.Log.Tops(t.Context(), []string{"log"})
			if err != nil || tops[0].Last != at[len(at)-1] {
				t.Fatalf("Tops: %v, %v; want the end at %v", tops, err, at[len(at)-1])
			}
		}
		goOn()
	}
	all = nil
	goOn := c.delay(t, followers[0], leader, followers[1])
	add("follow", 50)
	wantAll(t, w, all)
	goOn()
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
func staleAnswer(t *testing.T, nc *nats.Conn, stream, subject string, last uint64) bool {
	t.Helper()
	for range 30 {
		m, err := nc.Request("$JS.API.DIRECT.GET."+stream+"."+subject, nil, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if m.Header.Get("Nats-Sequence") != fmt.Sprint(last) {
			return true
		}
	}
	return false
}

package natsengine_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/engine/enginetest"
	natsengine "github.com/webwire-go/webwire/engine/nats"
)

// followed is a node whose topics can be followed.
type followed struct {
	engine.Engine
	followers enginetest.Followers
	in        enginetest.Inlet
}

func openFollowed(t *testing.T, o natsengine.Options) *followed {
	t.Helper()
	f := &followed{}
	f.followers.Attach(&f.in)
	f.Engine, _ = open(t, o, &f.in)
	return f
}

func (f *followed) follow(t *testing.T, topic string, since engine.Position) *enginetest.Follower {
	t.Helper()
	w, err := f.followers.Follow(f.Engine, topic, since, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return w
}

// appender appends numbers to a topic, one after the other, each with an id and again
// until it is confirmed, until stop is called, which returns all of them.
func appender(t *testing.T, e engine.Engine, topic string) (stop func() []string) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var all []string
	wg.Go(func() {
		for ctx.Err() == nil {
			s := fmt.Sprint(len(all))
			for {
				try, cancel := context.WithTimeout(context.Background(), time.Second)
				_, err := e.Log.Append(try, topic, []byte(s), s)
				cancel()
				if err == nil {
					break
				}
				if errors.Is(err, engine.ErrClosed) {
					t.Errorf("Append: %v", err)
					return
				}
				pause(10 * time.Millisecond)
			}
			all = append(all, s)
			pause(time.Millisecond)
		}
	})
	stop = sync.OnceValue(func() []string {
		cancel()
		wg.Wait()
		return all
	})
	t.Cleanup(func() { stop() })
	return stop
}

// pause is for loops that try again.
func pause(d time.Duration) { <-time.After(d) }

// wantAll waits until the follower has seen everything, in order and without a gap.
func wantAll(t *testing.T, w *enginetest.Follower, want []string) {
	t.Helper()
	late := time.Now().Add(90 * time.Second)
	eventually(t, 30*time.Second, "all publications", func() bool { return w.Len() >= len(want) || time.Now().After(late) })
	if err := w.Verify(want); err != nil || w.Gaps() > 0 {
		t.Errorf("%v, %d gaps", err, w.Gaps())
	}
}

func progress(t *testing.T, w *enginetest.Follower, count int) {
	t.Helper()
	before := w.Len()
	eventually(t, 20*time.Second, "progress", func() bool { return w.Len() >= before+count })
}

// The connection of the appending node is cut under load: what is repeated with its
// id is stored once, in order.
func TestAppendsOverCutConnections(t *testing.T) {
	t.Parallel()
	c := shared(1)
	o := c.settings(t, 0)
	p := newProxy(t, c.url)
	reader := openFollowed(t, o)
	o.URL = p.url()
	writer := openFollowed(t, o)
	w := reader.follow(t, "log", engine.Position{})
	own := writer.follow(t, "log", engine.Position{})
	stop := appender(t, writer.Engine, "log")
	for range 5 {
		progress(t, w, 20)
		p.cut()
		p.heal()
	}
	progress(t, w, 20)
	all := stop()
	wantAll(t, w, all)
	wantAll(t, own, all)
}

// The connection is cut between Subscribe and Read, and something is published while
// the node is away: nothing is missing.
func TestCutBetweenSubscribeAndRead(t *testing.T) {
	t.Parallel()
	c := shared(3)
	o := c.settings(t, 0)
	writer := openFollowed(t, o)
	p := newProxy(t, c.urlOf(1))
	o.URL = p.url()
	reader := openFollowed(t, o)
	for i := range 5 {
		topic := fmt.Sprint("log ", i)
		add := func(s string) {
			if _, err := writer.Log.Append(t.Context(), topic, []byte(s), ""); err != nil {
				t.Errorf("Append: %v", err)
			}
		}
		add("before")
		e := reader.Engine
		e.Log = &beforeRead{Log: e.Log, do: func() {
			p.cut()
			add("while away")
			p.heal()
		}}
		w, err := reader.followers.Follow(e, topic, engine.Position{}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, 20*time.Second, "what was published while away", func() bool { return w.Len() >= 2 })
		add("after")
		wantAll(t, w, []string{"before", "while away", "after"})
		w.Stop()
	}
}

// beforeRead is a log that does something before the first Read.
type beforeRead struct {
	engine.Log
	do   func()
	once sync.Once
}

func (l *beforeRead) Read(ctx context.Context, topic string, after engine.Position, max int) (engine.Page, error) {
	l.once.Do(l.do)
	return l.Log.Read(ctx, topic, after, max)
}

// The leader of the log steps down under load: nothing is missing, doubled or told
// as a gap.
func TestLeadersStepDown(t *testing.T) {
	t.Parallel()
	c := shared(3)
	o := c.settings(t, 0)
	o.Classes[0].History = 5000
	nc, _ := c.connect(t)
	defer nc.Close()
	var readers []*enginetest.Follower
	for i := range 3 {
		o.URL = c.urlOf(i)
		readers = append(readers, openFollowed(t, o).follow(t, "log", engine.Position{}))
	}
	writer := openFollowed(t, o)
	stop := appender(t, writer.Engine, "log")
	for range 3 {
		progress(t, readers[0], 50)
		if _, err := nc.Request("$JS.API.STREAM.LEADER.STEPDOWN.WW_"+o.App+"_log_recent", nil, 5*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	progress(t, readers[0], 50)
	all := stop()
	for _, w := range readers {
		wantAll(t, w, all)
	}
}

// A server of three stops and comes back: nodes connect to the others.
func testServerStops(t *testing.T) {
	c := start(t, 3)
	o := c.settings(t, 0)
	o.Classes[0].History = 20_000
	o.URL = c.url
	reader, writer := openFollowed(t, o), openFollowed(t, o)
	w := reader.follow(t, "log", engine.Position{})
	stop := appender(t, writer.Engine, "log")
	for i := range 2 {
		progress(t, w, 50)
		c.stop(i)
		progress(t, w, 50)
		c.run(t, i)
		c.awaitLeader(t)
	}
	progress(t, w, 50)
	wantAll(t, w, stop())
}

// The only server stops and comes back, with its files and without: either nothing is
// missing, or it is told.
func testNATSRestarts(t *testing.T) {
	c := start(t, 1)
	o := c.settings(t, 0)
	o.Classes[0].History = 20_000
	reader, writer := openFollowed(t, o), openFollowed(t, o)
	w := reader.follow(t, "log", engine.Position{})
	stop := appender(t, writer.Engine, "log")
	progress(t, w, 20)
	c.stop(0)
	if _, err := writer.Log.Tops(t.Context(), []string{"log"}); err == nil {
		t.Error("a log is there without a server")
	}
	c.run(t, 0)
	progress(t, w, 20)
	if w.Gaps() > 0 {
		t.Errorf("%d gaps, though everything is there", w.Gaps())
	}
	c.stop(0)
	c.options[0].StoreDir = t.TempDir()
	c.run(t, 0)
	eventually(t, 20*time.Second, "a gap", func() bool { return w.Gaps() > 0 })
	progress(t, w, 20)
	all := stop()
	eventually(t, 20*time.Second, "the last publication", func() bool {
		seen := w.Seen()
		return seen[len(seen)-1] == all[len(all)-1]
	})
}

// A server that comes back refuses the node's user for a while, as one does whose accounts
// are not loaded yet. The node goes on trying: nats.go gives up after the second time.
func testUserIsUnknown(t *testing.T) {
	c := newCluster(t, 1)
	refusing := &refuser{}
	c.options[0].CustomClientAuthentication = refusing
	c.runAll(t)
	o := c.settings(t, 0)
	n := openFollowed(t, o)
	w := n.follow(t, "log", engine.Position{})
	stop := appender(t, n.Engine, "log")
	progress(t, w, 5)
	refusing.left.Store(4)
	c.stop(0)
	c.run(t, 0)
	eventually(t, 20*time.Second, "attempts that are refused", func() bool { return refusing.left.Load() <= 0 })
	progress(t, w, 5)
	wantAll(t, w, stop())
}

// refuser refuses the next clients.
type refuser struct{ left atomic.Int64 }

func (r *refuser) Check(server.ClientAuthentication) bool { return r.left.Add(-1) < 0 }

// Whoever subscribes right after a publication on another node sees it, and the next
// one within a second or so, also if the news of the subscription is late.
func TestSubscribeAfterPublish(t *testing.T) {
	t.Parallel()
	count := 300
	if long {
		count = 100_000
	}
	c := shared(3)
	o := c.settings(t, 0)
	a := openFollowed(t, o)
	o.URL = c.urlOf(1)
	b := openFollowed(t, o)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var slowest time.Duration
	recovered := 0
	turn := make(chan struct{}, 16)
	for i := range count {
		turn <- struct{}{}
		wg.Go(func() {
			defer func() { <-turn }()
			topic := fmt.Sprint("topic ", i)
			add := func(s string) {
				if _, err := a.Log.Append(context.Background(), topic, []byte(s), ""); err != nil {
					t.Errorf("Append: %v", err)
				}
			}
			add("before")
			w, err := b.followers.Follow(b.Engine, topic, engine.Position{}, time.Second)
			if err != nil {
				t.Errorf("Follow: %v", err)
				return
			}
			defer w.Stop()
			add("after")
			begin := time.Now()
			late := time.After(30 * time.Second) // servers under load may elect a leader
			for w.Len() < 2 {
				select {
				case <-late:
					t.Errorf("%s: only %q was seen", topic, w.Seen())
					return
				case <-time.After(time.Millisecond):
				}
			}
			took := time.Since(begin)
			mu.Lock()
			slowest = max(slowest, took)
			if took > 500*time.Millisecond {
				recovered++
			}
			mu.Unlock()
			if err := w.Verify([]string{"before", "after"}); err != nil || w.Gaps() > 0 {
				t.Errorf("%s: %v, %d gaps", topic, err, w.Gaps())
			}
			b.Bus.Unsubscribe(topic)
		})
	}
	wg.Wait()
	t.Logf("%d times; %d were not seen within half a second, the slowest within %v", count, recovered, slowest)
}

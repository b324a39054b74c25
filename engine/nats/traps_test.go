package natsengine_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/engine/enginetest"
	natsengine "github.com/webwire-go/webwire/engine/nats"
	"github.com/webwire-go/webwire/session"
)

// long makes tests run for as long as it takes to find rare events.
var long = os.Getenv("WEBWIRE_SOAK") != ""

func newSession() session.Session {
	return session.Session{Key: session.NewKey(), Created: time.Now(), LastSeen: time.Now(), Info: json.RawMessage(`{"n":0}`)}
}

// Tests that mostly wait share a server and run at the same time.
func TestTraps(t *testing.T) {
	t.Parallel()
	c := shared(1)
	atOnce(t, map[string]func(*testing.T, *cluster){
		"WritesRenewTheTTL":     testTTL,
		"SessionsExpire":        testSessionExpires,
		"Silence":               testSilence,
		"SlowNode":              testSlowNode,
		"SlowNodeAgain":         testSlowNodeAgain,
		"TakenForDead":          testTakenForDead,
		"TakenForDeadSlowly":    testTakenForDeadSlowly,
		"RecordsOfTheDead":      testRecordsOfTheDead,
		"BackSlowly":            testBackSlowly,
		"CutOffAtStart":         testCutOffAtStart,
		"NoLimitPerTopic":       testNoLimitPerTopic,
		"Purge":                 testPurge,
		"StreamsAreCompared":    testStreamsAreCompared,
		"Classes":               testClasses,
		"OptionsAreChecked":     testOptions,
		"TooBig":                testTooBig,
		"RepeatedRecreation":    testRecreation,
		"QuietTopicsAreCurrent": testQuiet,
		"TopsOfManyTopics":      testManyTops,
		"FailuresAreTold":       testFailuresAreTold,
		"GivenUp":               testGivenUp,
	}, func(t *testing.T, test func(*testing.T, *cluster)) { test(t, c) })
}

// A node that loses NATS tells its user, also that it is back; the others tell that it has
// died. Closing a node is no failure.
func testFailuresAreTold(t *testing.T, c *cluster) {
	o := c.settings(t, 0)
	told := make(chan string, 16)
	died := make(chan engine.NodeID, 16)
	o.OnNodeDied = func(id engine.NodeID) { died <- id }
	open(t, o, &enginetest.Inlet{})

	closed := natsengine.New(o)
	if err := closed.Bus.Open(t.Context(), engine.NewNodeID(), &enginetest.Inlet{}); err != nil {
		t.Fatal(err)
	}
	p := newProxy(t, c.url)
	o.URL = p.url()
	o.OnAway = func(cause error) { told <- fmt.Sprint("away: ", cause != nil) }
	o.OnBack = func() { told <- "back" }
	lost := natsengine.New(o)
	self := engine.NewNodeID()
	if err := lost.Bus.Open(t.Context(), self, &enginetest.Inlet{}); err != nil {
		t.Fatal(err)
	}
	if err := closed.Bus.Close(); err != nil {
		t.Error(err)
	}
	for range 2 {
		p.cut()
		if got := <-told; got != "away: true" {
			t.Errorf("told %q", got)
		}
		p.heal()
		if got := <-told; got != "back" {
			t.Errorf("told %q", got)
		}
	}
	p.cut()
	if got := <-told; got != "away: true" {
		t.Errorf("told %q", got)
	}
	if id := <-died; id != self {
		t.Errorf("node %v has died, want %v", id, self)
	}
	if err := lost.Bus.Close(); err != nil {
		t.Error(err)
	}
	select {
	case got := <-told:
		t.Errorf("told %q of a node that was closed", got)
	case id := <-died:
		t.Errorf("node %v has died too", id)
	default:
	}
}

// After an error that the NATS client does not know it closes the connection for good. The
// node says so, its calls fail at once, and it can be closed.
func testGivenUp(t *testing.T, c *cluster) {
	o := c.settings(t, 0)
	p := newProxy(t, c.url)
	o.URL = p.url()
	told := make(chan string, 16)
	o.OnAway = func(cause error) { told <- "away" }
	o.OnBack = func() { told <- "back" }
	o.OnGivenUp = func(cause error) { told <- cause.Error() }
	e := natsengine.New(o)
	if err := e.Bus.Open(t.Context(), engine.NewNodeID(), &enginetest.Inlet{}); err != nil {
		t.Fatal(err)
	}
	p.inject("-ERR 'The Unheard Of'\r\n")
	var got string
	for try := 0; got != "nats: The Unheard Of"; try++ {
		if try > 60 {
			t.Fatalf("it is not told; the last that was is %q", got)
		}
		select {
		case got = <-told:
		case <-time.After(time.Second): // it was not received as an error
			p.inject("\r\n-ERR 'The Unheard Of'\r\n")
		}
	}
	_, err := e.Log.Append(t.Context(), "log", []byte("x"), "")
	for op, err := range map[string]error{"Append": err, "Publish": e.Bus.Publish(t.Context(), "a", nil), "Subscribe": e.Bus.Subscribe(t.Context(), "a")} {
		if !errors.Is(err, engine.ErrAway) || !strings.Contains(err.Error(), "for good") || !strings.Contains(err.Error(), "Unheard Of") {
			t.Errorf("%s: %v", op, err)
		}
	}
	if err := e.Bus.Close(); err != nil {
		t.Error(err)
	}
	if len(told) > 0 {
		t.Errorf("then it was told %q", <-told)
	}
}

// latest returns the newest message of a session, and its header.
func latest(t *testing.T, js jetstream.JetStream, app, key string) *jetstream.RawStreamMsg {
	t.Helper()
	s, err := js.Stream(t.Context(), "WW_"+app+"_sessions")
	if err != nil {
		t.Fatal(err)
	}
	hash := session.Hash(key)
	m, err := s.GetLastMsgForSubject(t.Context(), "ww."+app+".kv.s."+hex.EncodeToString(hash[:]))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Every write of a session has a time to live; a deleted one leaves a tombstone that
// has one too, and nothing of a key is stored.
func testTTL(t *testing.T, c *cluster) {
	o := c.settings(t, 0)
	o.MaxSessionAge = time.Hour
	e, _ := open(t, o, &enginetest.Inlet{})
	nc, js := c.connect(t)
	defer nc.Close()
	s := newSession()
	for _, step := range []struct {
		what string
		ttl  int
		do   func() error
	}{
		{"Save", 3600, func() error { return e.Sessions.Save(t.Context(), s) }},
		{"Touch", 3660, func() error { return e.Sessions.Touch(t.Context(), s.Key, time.Now().Add(time.Minute)) }},
		{"Update", 3660, func() error { return e.Sessions.Update(t.Context(), s.Key, json.RawMessage(`1`)) }},
		{"Delete", 60, func() error { return e.Sessions.Delete(t.Context(), s.Key) }},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		m := latest(t, js, o.App, s.Key)
		ttl, err := strconv.Atoi(strings.TrimSuffix(m.Header.Get("Nats-TTL"), "s"))
		if err != nil || ttl > step.ttl || ttl < step.ttl-20 { // time passes
			t.Errorf("after %s the time to live is %q, want %ds", step.what, m.Header.Get("Nats-TTL"), step.ttl)
		}
		if strings.Contains(fmt.Sprint(m.Subject, m.Header, string(m.Data)), s.Key) {
			t.Errorf("after %s the key is stored", step.what)
		}
	}
}

// A session that nobody uses is gone from the stream, also after a Touch.
func testSessionExpires(t *testing.T, c *cluster) {
	o := c.settings(t, 0)
	o.MaxSessionAge = 3 * time.Second
	e, _ := open(t, o, &enginetest.Inlet{})
	nc, js := c.connect(t)
	defer nc.Close()
	for range 3 {
		s := newSession()
		if err := e.Sessions.Save(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if err := e.Sessions.Touch(t.Context(), s.Key, time.Now().Add(300*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Sessions.Load(t.Context(), s.Key); err != nil {
			t.Fatal(err)
		}
	}
	stream, err := js.Stream(t.Context(), "WW_"+o.App+"_sessions")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "the end of the sessions", func() bool {
		info, err := stream.Info(t.Context())
		return err == nil && info.State.Msgs == 0
	})
}

// A connection over which nothing passes any more is given up, though it is open.
func testSilence(t *testing.T, c *cluster) {
	o := c.settings(t, 0)
	p := newProxy(t, c.url)
	writer := openFollowed(t, o)
	o.URL = p.url()
	reader := openFollowed(t, o)
	w := reader.follow(t, "log", engine.Position{})
	stop := appender(t, writer.Engine, "quick")
	defer stop()
	p.silence()
	if _, err := writer.Log.Append(t.Context(), "log", []byte("unheard"), ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, 15*time.Second, "another connection", func() bool { return reader.in.Losses() > 0 })
	wantAll(t, w, []string{"unheard"})
}

// A node that is too slow loses deliveries, and learns which ones when it goes on.
func testSlowNode(t *testing.T, c *cluster) {
	o := c.settings(t, 0)
	blocked := make(chan struct{})
	release := sync.OnceFunc(func() { close(blocked) })
	var mu sync.Mutex
	var lost [][]string
	in := &enginetest.Inlet{
		OnDeliver: func(string, engine.Delivery) { <-blocked },
		OnLost: func(subjects []string, _ error) {
			mu.Lock()
			defer mu.Unlock()
			lost = append(lost, subjects)
		},
	}
	e, _ := open(t, o, in)
	t.Cleanup(release)
	if err := e.Bus.Subscribe(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	const count = 20_000
	for i := range count {
		if err := e.Bus.Publish(t.Context(), "a", fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	// What follows on the same connection has passed the lane.
	if err := e.Bus.Subscribe(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	release()
	eventually(t, 20*time.Second, "Lost", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(lost) > 0 && slices.Equal(lost[0], []string{"a"})
	})
	if n := len(in.Deliveries("a")); n == 0 || n >= count {
		t.Errorf("%d deliveries", n)
	}
}

// A node that is too slow again learns again which subjects lost deliveries, also those of
// which nothing else arrived in between.
func testSlowNodeAgain(t *testing.T, c *cluster) {
	var gate sync.RWMutex // locked: deliveries wait
	var mu sync.Mutex
	lost := make(map[string]int)
	in := &enginetest.Inlet{
		OnDeliver: func(string, engine.Delivery) {
			gate.RLock()
			defer gate.RUnlock()
		},
		OnLost: func(subjects []string, _ error) {
			mu.Lock()
			defer mu.Unlock()
			for _, s := range subjects {
				lost[s]++
			}
		},
	}
	e, _ := open(t, c.settings(t, 0), in)
	all := []string{"busy"}
	for i := range 100 { // some are in the lane of busy
		all = append(all, fmt.Sprint("quiet", i))
	}
	if err := e.Bus.Subscribe(t.Context(), all...); err != nil {
		t.Fatal(err)
	}
	for round := 1; round <= 3; round++ {
		gate.Lock()
		release := sync.OnceFunc(gate.Unlock)
		t.Cleanup(release)
		for range 17_000 {
			if err := e.Bus.Publish(t.Context(), "busy", []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range all[1:] {
			if err := e.Bus.Publish(t.Context(), s, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		// What follows on the same connection has passed the lanes.
		if err := e.Bus.Subscribe(t.Context(), all[0]); err != nil {
			t.Fatal(err)
		}
		release()
		eventually(t, 20*time.Second, fmt.Sprint("Lost, round ", round), func() bool {
			mu.Lock()
			defer mu.Unlock()
			if lost["busy"] < round {
				return false
			}
			for s, n := range lost {
				if s != "busy" && n < round {
					return false
				}
			}
			return len(lost) > 1
		})
	}
}

// A node that others took for dead though it lives finds out, and is told to put its
// records again.
func testTakenForDead(t *testing.T, c *cluster) {
	o := c.settings(t, 0)
	in := &enginetest.Inlet{}
	e, id := open(t, o, in)
	if err := e.Roster.Put(t.Context(), "room", []byte("x")); err != nil {
		t.Fatal(err)
	}
	nc, js := c.connect(t)
	defer nc.Close()
	s, err := js.Stream(t.Context(), "WW_"+o.App+"_nodes")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, 9*time.Second, "Lost", func() bool { return in.Losses() > 0 })
	if _, err := s.GetLastMsgForSubject(t.Context(), "ww."+o.App+".kv.n."+id.String()); err != nil {
		t.Errorf("the node's record: %v", err)
	}
}

// It is told too if NATS acknowledges the node's own record too late: the next time that the
// node looks, the record is there.
func testTakenForDeadSlowly(t *testing.T, c *cluster) {
	o := c.settings(t, 0)
	p := newProxy(t, c.url)
	o.URL = p.url()
	in := &enginetest.Inlet{}
	_, id := open(t, o, in)
	nc, js := c.connect(t)
	defer nc.Close()
	s, err := js.Stream(t.Context(), "WW_"+o.App+"_nodes")
	if err != nil {
		t.Fatal(err)
	}
	record := "ww." + o.App + ".kv.n." + id.String()
	put := make(chan struct{})
	puts := sync.OnceFunc(func() { close(put) })
	hold := sync.OnceFunc(func() { pause(2500 * time.Millisecond) })
	p.watch(func(toServer bool, data []byte) {
		if toServer && bytes.Contains(data, []byte("PUB "+record)) {
			puts()
		}
		select {
		case <-put:
			if !toServer {
				hold()
			}
		default:
		}
	})
	if err := s.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, 12*time.Second, "Lost", func() bool { return in.Losses() > 0 })
	if _, err := s.GetLastMsgForSubject(t.Context(), record); err != nil {
		t.Errorf("the node's record: %v", err)
	}
}

// A node that is connected again, to a server that is slow to answer, is told that
// deliveries may be missing.
func testBackSlowly(t *testing.T, c *cluster) {
	o := c.settings(t, 0)
	p := newProxy(t, c.url)
	o.URL, o.Timeout = p.url(), 2*time.Second
	in := &enginetest.Inlet{}
	open(t, o, in)
	p.cut()
	var pongs atomic.Int32
	p.watch(func(toServer bool, data []byte) {
		// The first is a part of connecting.
		if !toServer && bytes.Contains(data, []byte("PONG\r\n")) && pongs.Add(1) == 2 {
			pause(2500 * time.Millisecond)
		}
	})
	p.heal()
	eventually(t, 10*time.Second, "Lost", func() bool { return in.Losses() > 0 })
}

// What nodes left behind that died when nobody else was there is removed.
func testRecordsOfTheDead(t *testing.T, c *cluster) {
	o := c.settings(t, 0)
	o.Class = func(string) string { return "recent" }
	first, _ := open(t, o, &enginetest.Inlet{})
	if err := first.Roster.Put(t.Context(), "room", []byte("alive")); err != nil {
		t.Fatal(err)
	}
	nc, js := c.connect(t)
	defer nc.Close()
	dead := leaveRecords(t, js, o.App)
	open(t, o, &enginetest.Inlet{})
	eventually(t, 15*time.Second, "the end of the records", func() bool {
		all := records(t, js, o.App)
		return len(all) == 3 && !strings.Contains(fmt.Sprint(all), dead)
	})
	if list, err := first.Roster.List(t.Context(), "room"); err != nil || len(list) != 1 {
		t.Errorf("those of the living: %v, %v", list, err)
	}
}

// leaveRecords makes the records of a node that has died.
func leaveRecords(t *testing.T, js jetstream.JetStream, app string) (dead string) {
	t.Helper()
	dead = engine.NewNodeID().String()
	for _, subject := range []string{"kv.n." + dead, "kv.p." + dead + ".room", "kv.p." + dead + ".other"} {
		if _, err := js.Publish(t.Context(), "ww."+app+"."+subject, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	return dead
}

// records returns the subjects of all records of nodes, nil if they are not known.
func records(t *testing.T, js jetstream.JetStream, app string) (subjects []string) {
	t.Helper()
	s, err := js.Stream(t.Context(), "WW_"+app+"_nodes")
	if err != nil {
		return nil
	}
	info, err := s.Info(t.Context(), jetstream.WithSubjectFilter(">"))
	if err != nil {
		return nil
	}
	return slices.Collect(maps.Keys(info.State.Subjects))
}

// A node that is cut off when it would remove the records of the dead does it later.
func testCutOffAtStart(t *testing.T, c *cluster) {
	o := c.settings(t, 0)
	p := newProxy(t, c.url)
	o.URL = p.url()
	open(t, o, &enginetest.Inlet{})
	p.cut()
	nc, js := c.connect(t)
	defer nc.Close()
	dead := leaveRecords(t, js, o.App)
	time.Sleep(8 * time.Second)
	p.heal()
	eventually(t, 15*time.Second, "the end of the records", func() bool {
		all := records(t, js, o.App)
		return len(all) == 1 && !strings.Contains(all[0], dead)
	})
}

// An operator has taken the limit of a stream away: nothing is missing because of that.
func testNoLimitPerTopic(t *testing.T, c *cluster) {
	nc, js := c.connect(t)
	defer nc.Close()
	o := c.settings(t, 0)
	e, _ := open(t, o, &enginetest.Inlet{})
	s, err := js.Stream(t.Context(), "WW_"+o.App+"_log_recent")
	if err != nil {
		t.Fatal(err)
	}
	config := s.CachedInfo().Config
	config.MaxMsgsPerSubject = -1
	update(t, js, config)
	other, err := e.Log.Append(t.Context(), "other", nil, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Log.Append(t.Context(), "log", []byte("1"), ""); err != nil {
		t.Fatal(err)
	}
	if page, err := e.Log.Read(t.Context(), "log", other, 10); err != nil || len(page.Entries) != 1 || !page.Complete {
		t.Errorf("Read: %+v, %v", page, err)
	}
}

// A purge of the stream is told to whoever had not seen everything, and to nobody else.
func testPurge(t *testing.T, c *cluster) {
	o := c.settings(t, 0)
	e := openFollowed(t, o)
	var at []engine.Position
	for i := range 3 {
		p, err := e.Log.Append(t.Context(), "log", fmt.Append(nil, i), "")
		if err != nil {
			t.Fatal(err)
		}
		at = append(at, p)
	}
	nc, js := c.connect(t)
	defer nc.Close()
	s, err := js.Stream(t.Context(), "WW_"+o.App+"_log_recent")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, position := range at {
		page, err := e.Log.Read(t.Context(), "log", position, 10)
		if want := i == len(at)-1; err != nil || page.Complete != want || len(page.Entries) > 0 {
			t.Errorf("after entry %d: %+v, %v; want complete: %t", i, page, err, want)
		}
	}
	w := e.follow(t, "log", at[2])
	if _, err := e.Log.Append(t.Context(), "log", []byte("next"), ""); err != nil {
		t.Fatal(err)
	}
	wantAll(t, w, []string{"next"})
}

// A stream that does something else is refused, one with other limits is used with a
// warning, and neither is changed.
func testStreamsAreCompared(t *testing.T, c *cluster) {
	nc, js := c.connect(t)
	defer nc.Close()
	o := c.settings(t, 0)
	var logged bytes.Buffer
	o.Logger = slog.New(slog.NewTextHandler(&logged, nil))
	first, _ := open(t, o, &enginetest.Inlet{})
	if logged.Len() > 0 {
		t.Errorf("logged: %s", logged.String())
	}
	name := "WW_" + o.App + "_log_recent"
	s, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	created := s.CachedInfo().Created
	at, err := first.Log.Append(t.Context(), "log", []byte("kept"), "")
	if err != nil {
		t.Fatal(err)
	}
	o.Classes = []natsengine.Class{{Name: "recent", History: 7, MaxAge: time.Minute}}
	second, _ := open(t, o, &enginetest.Inlet{})
	for _, limit := range []string{"max_msgs_per_subject", "max_age"} {
		if !strings.Contains(logged.String(), limit) {
			t.Errorf("no warning of %s: %s", limit, logged.String())
		}
	}
	if page, err := second.Log.Read(t.Context(), "log", engine.Position{}, 1); err != nil || len(page.Entries) != 1 || page.Entries[0].At != at {
		t.Errorf("Read: %+v, %v", page, err)
	}
	config := s.CachedInfo().Config
	config.RePublish = nil
	update(t, js, config)
	err = natsengine.New(o).Bus.Open(t.Context(), engine.NewNodeID(), &enginetest.Inlet{})
	if err == nil || !strings.Contains(err.Error(), "republish") || !strings.Contains(err.Error(), name) {
		t.Errorf("a stream that does not republish: %v", err)
	}
	info, err := s.Info(t.Context())
	if err != nil || !info.Created.Equal(created) || info.Config.RePublish != nil || info.Config.MaxMsgsPerSubject != 101 {
		t.Errorf("the stream was changed: %+v, %v", info, err)
	}
}

// Topics of different classes are in different streams.
func testClasses(t *testing.T, c *cluster) {
	o := c.settings(t, 0)
	o.Classes = []natsengine.Class{{Name: "few", History: 2}, {Name: "many", History: 1000}}
	o.Class = func(topic string) string {
		if topic == "unknown" {
			return topic
		}
		if strings.HasPrefix(topic, "audit") {
			return "many"
		}
		return "few"
	}
	e := openFollowed(t, o)
	few, many := e.follow(t, "room", engine.Position{}), e.follow(t, "audit.room", engine.Position{})
	var want []string
	for i := range 20 {
		want = append(want, fmt.Sprint(i))
		for _, topic := range []string{"room", "audit.room"} {
			if _, err := e.Log.Append(t.Context(), topic, []byte(want[i]), ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	wantAll(t, many, want)
	eventually(t, 9*time.Second, "the last publication", func() bool {
		seen := few.Seen()
		return len(seen) > 0 && seen[len(seen)-1] == "19"
	})
	for topic, count := range map[string]int{"room": 3, "audit.room": 20} {
		page, err := e.Log.Read(t.Context(), topic, engine.Position{}, 100)
		if err != nil || len(page.Entries) != count {
			t.Errorf("%s: %d entries, %v; want %d", topic, len(page.Entries), err, count)
		}
	}
	tops, err := e.Log.Tops(t.Context(), []string{"room", "audit.room"})
	if err != nil || len(tops) != 2 || tops[0].Last.Epoch == tops[1].Last.Epoch {
		t.Errorf("tops: %v, %v", tops, err)
	}
	if _, err := e.Log.Append(t.Context(), "unknown", nil, ""); err == nil || !strings.Contains(err.Error(), "Class") {
		t.Errorf("a class that does not exist: %v", err)
	}
}

func testOptions(t *testing.T, c *cluster) {
	for what, change := range map[string]func(*natsengine.Options){
		"App":   func(o *natsengine.Options) { o.App = "a.b" },
		"Class": func(o *natsengine.Options) { o.Classes = []natsengine.Class{{Name: "a b"}} },
		"URL":   func(o *natsengine.Options) { o.URL, o.Timeout = "nats://127.0.0.1:1", 50*time.Millisecond },
	} {
		o := c.settings(t, 0)
		change(&o)
		e := natsengine.New(o)
		if err := e.Bus.Open(t.Context(), engine.NewNodeID(), &enginetest.Inlet{}); err == nil {
			t.Errorf("Open with a wrong %s succeeds", what)
		}
		if err := e.Bus.Publish(t.Context(), "a", nil); err == nil {
			t.Errorf("a node that did not open can be used")
		}
		e.Bus.Close()
	}
}

func testTooBig(t *testing.T, c *cluster) {
	o := c.settings(t, 0)
	e, _ := open(t, o, &enginetest.Inlet{})
	big := make([]byte, 9<<20)
	_, err := e.Log.Append(t.Context(), "a", big, "")
	for op, err := range map[string]error{
		"Append": err, "Publish": e.Bus.Publish(t.Context(), "a", big), "Put": e.Roster.Put(t.Context(), "a", big),
	} {
		if !errors.Is(err, engine.ErrTooBig) {
			t.Errorf("%s: %v", op, err)
		}
	}
	if err := e.Bus.Publish(t.Context(), "a", big[:4<<20]); err != nil {
		t.Errorf("Publish of what is not too big: %v", err)
	}
}

// A stream that is deleted again and again, under load, is told each time.
func testRecreation(t *testing.T, c *cluster) {
	o := c.settings(t, 0)
	reader, writer := openFollowed(t, o), openFollowed(t, o)
	nc, js := c.connect(t)
	defer nc.Close()
	w := reader.follow(t, "log", engine.Position{})
	stop := appender(t, writer.Engine, "log")
	for range 3 {
		progress(t, w, 20)
		gaps := w.Gaps()
		if err := js.DeleteStream(t.Context(), "WW_"+o.App+"_log_recent"); err != nil {
			t.Fatal(err)
		}
		eventually(t, 15*time.Second, "a gap", func() bool { return w.Gaps() > gaps })
	}
	progress(t, w, 20)
	stop()
}

// The ends of many topics are asked for together, and in parts if their entries are too
// large for one answer.
func testManyTops(t *testing.T, c *cluster) {
	o := c.settings(t, 0)
	o.Classes[0].MaxBytes = 64 << 20
	e, _ := open(t, o, &enginetest.Inlet{})
	topics := make([]string, 600)
	last := make([]engine.Position, len(topics))
	big := make([]byte, 1<<20)
	for i := range topics {
		topics[i] = fmt.Sprint("topic ", i)
		data := []byte("x")
		switch {
		case i%3 == 2:
			continue // has none
		case 100 <= i && i < 115:
			data = big
		}
		var err error
		if last[i], err = e.Log.Append(t.Context(), topics[i], data, ""); err != nil {
			t.Fatal(err)
		}
	}
	tops, err := e.Log.Tops(t.Context(), topics)
	if err != nil {
		t.Fatal(err)
	}
	for i, top := range tops {
		if top.Last != last[i] || top.Now.Offset < last[i].Offset || top.Now.IsZero() {
			t.Errorf("topic %d: %+v, want the end at %v", i, top, last[i])
		}
	}
}

// A follower of a quiet topic keeps a position that can be looked up, though the last
// entry has expired: no gap is told where there is none.
func testQuiet(t *testing.T, c *cluster) {
	o := c.settings(t, 0)
	o.Classes[0].MaxAge = 3 * time.Second
	e := openFollowed(t, o)
	w, err := e.followers.Follow(e.Engine, "quiet", engine.Position{}, 100*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	if _, err := e.Log.Append(t.Context(), "quiet", []byte("1"), ""); err != nil {
		t.Fatal(err)
	}
	deadline := time.After(8 * time.Second)
	for done := false; !done; {
		if _, err := e.Log.Append(t.Context(), "busy", nil, ""); err != nil {
			t.Fatal(err)
		}
		select {
		case <-deadline:
			done = true
		case <-time.After(20 * time.Millisecond):
		}
	}
	if _, err := e.Log.Append(t.Context(), "quiet", []byte("2"), ""); err != nil {
		t.Fatal(err)
	}
	wantAll(t, w, []string{"1", "2"})
}

// A session that one node has saved is found by another at once.
func TestLoadAfterSave(t *testing.T) {
	t.Parallel()
	c := shared(3)
	o := c.settings(t, 0)
	var stores []session.Store
	for i := range 3 {
		o.URL = c.urlOf(i)
		e, _ := open(t, o, &enginetest.Inlet{})
		stores = append(stores, e.Sessions)
	}
	for i := range 200 {
		s := newSession()
		if err := stores[i%3].Save(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if _, err := stores[(i+1)%3].Load(t.Context(), s.Key); err != nil {
			t.Fatalf("Load right after Save on another node: %v", err)
		}
		if err := stores[(i+2)%3].Delete(t.Context(), s.Key); err != nil {
			t.Fatal(err)
		}
		if _, err := stores[i%3].Load(t.Context(), s.Key); !errors.Is(err, session.ErrNotFound) {
			t.Fatalf("Load right after Delete on another node: %v", err)
		}
	}
	collide(t, stores)
}

// Changes of one session at the same time on all nodes come one after the other: none
// is lost, none fails.
func collide(t *testing.T, stores []session.Store) {
	const each = 10
	s := newSession()
	if err := stores[0].Save(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 2 * len(stores) {
		st := stores[i%len(stores)]
		wg.Go(func() {
			for n := 1; n <= each; n++ {
				var err error
				if i < len(stores) {
					err = st.Touch(context.Background(), s.Key, s.LastSeen.Add(time.Duration(n)*time.Minute))
				} else {
					err = st.Update(context.Background(), s.Key, json.RawMessage(fmt.Sprintf(`{"n":%d}`, n)))
				}
				if err != nil {
					t.Errorf("change %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
	got, err := stores[0].Load(t.Context(), s.Key)
	if err != nil || string(got.Info) != `{"n":10}` || !got.LastSeen.Equal(s.LastSeen.Add(each*time.Minute)) {
		t.Errorf("after all changes: %s, %v, %v", got.Info, got.LastSeen, err)
	}
}

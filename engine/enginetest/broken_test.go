package enginetest_test

import (
	"context"
	"errors"
	"iter"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/webwire-go/webwire/engine"
)

// mutant is an engine with one bug, before one that works. What is nil works. The
// functions get what they take the place of.
type mutant struct {
	engine.Engine
	subscribe func(context.Context, []string) error
	closing   func() error
	publish   func(ctx context.Context, subject string, data []byte) error
	leave     func(subjects []string)
	ask       func(context.Context, engine.NodeID, []byte) ([]byte, error)
	deliver   func(in engine.Inlet, subject string, d engine.Delivery)
	lost      func(in engine.Inlet)
	append    func(ctx context.Context, topic string, data []byte, id string) (engine.Position, error)
	read      func(ctx context.Context, topic string, after engine.Position, max int) (engine.Page, error)
	tops      func(ctx context.Context, topics []string) ([]engine.Top, error)
	put       func(ctx context.Context, topic string, members []byte) error
	list      func(ctx context.Context, topic string) ([]engine.Members, error)
	nodes     func() []engine.NodeID
}

func (m *mutant) engine() engine.Engine {
	return engine.Engine{Bus: mutantBus{m.Bus, m}, Log: mutantLog{m.Log, m}, Roster: mutantRoster{m.Roster, m}}
}

type mutantBus struct {
	engine.Bus
	m *mutant
}

func (b mutantBus) Open(ctx context.Context, self engine.NodeID, in engine.Inlet) error {
	return b.Bus.Open(ctx, self, mutantInlet{in, b.m})
}

func (b mutantBus) Publish(ctx context.Context, subject string, data []byte) error {
	if b.m.publish != nil {
		return b.m.publish(ctx, subject, data)
	}
	return b.Bus.Publish(ctx, subject, data)
}

func (b mutantBus) Subscribe(ctx context.Context, subjects ...string) error {
	if b.m.subscribe != nil {
		return b.m.subscribe(ctx, subjects)
	}
	return b.Bus.Subscribe(ctx, subjects...)
}

func (b mutantBus) Unsubscribe(subjects ...string) {
	if b.m.leave != nil {
		b.m.leave(subjects)
		return
	}
	b.Bus.Unsubscribe(subjects...)
}

func (b mutantBus) Ask(ctx context.Context, to engine.NodeID, data []byte) ([]byte, error) {
	if b.m.ask != nil {
		return b.m.ask(ctx, to, data)
	}
	return b.Bus.Ask(ctx, to, data)
}

func (b mutantBus) Close() error {
	if b.m.closing != nil {
		return b.m.closing()
	}
	return b.Bus.Close()
}

type mutantInlet struct {
	engine.Inlet
	m *mutant
}

func (i mutantInlet) Deliver(subject string, d engine.Delivery) {
	if i.m.deliver != nil {
		i.m.deliver(i.Inlet, subject, d)
		return
	}
	i.Inlet.Deliver(subject, d)
}

func (i mutantInlet) Lost(subjects []string, cause error) {
	if i.m.lost != nil {
		i.m.lost(i.Inlet)
		return
	}
	i.Inlet.Lost(subjects, cause)
}

type mutantLog struct {
	engine.Log
	m *mutant
}

func (l mutantLog) Append(ctx context.Context, topic string, data []byte, id string) (engine.Position, error) {
	if l.m.append != nil {
		return l.m.append(ctx, topic, data, id)
	}
	return l.Log.Append(ctx, topic, data, id)
}

func (l mutantLog) Read(ctx context.Context, topic string, after engine.Position, max int) (engine.Page, error) {
	if l.m.read != nil {
		return l.m.read(ctx, topic, after, max)
	}
	return l.Log.Read(ctx, topic, after, max)
}

func (l mutantLog) Tops(ctx context.Context, topics []string) ([]engine.Top, error) {
	if l.m.tops != nil {
		return l.m.tops(ctx, topics)
	}
	return l.Log.Tops(ctx, topics)
}

type mutantRoster struct {
	engine.Roster
	m *mutant
}

func (r mutantRoster) Put(ctx context.Context, topic string, members []byte) error {
	if r.m.put != nil {
		return r.m.put(ctx, topic, members)
	}
	return r.Roster.Put(ctx, topic, members)
}

func (r mutantRoster) List(ctx context.Context, topic string) ([]engine.Members, error) {
	if r.m.list != nil {
		return r.m.list(ctx, topic)
	}
	return r.Roster.List(ctx, topic)
}

func (r mutantRoster) Nodes() iter.Seq[engine.NodeID] {
	if r.m.nodes != nil {
		return slices.Values(r.m.nodes())
	}
	return r.Roster.Nodes()
}

// every reports true for each n-th call.
func every(n int) func() bool {
	var mu sync.Mutex
	i := 0
	return func() bool {
		mu.Lock()
		defer mu.Unlock()
		i++
		return i%n == 0
	}
}

// reading is a mutant's Read that changes pages.
func reading(m *mutant, change func(after engine.Position, p *engine.Page)) {
	m.read = func(ctx context.Context, topic string, after engine.Position, max int) (engine.Page, error) {
		page, err := m.Log.Read(ctx, topic, after, max)
		if err == nil {
			change(after, &page)
		}
		return page, err
	}
}

func lower(subjects []string) []string {
	var all []string
	for _, s := range subjects {
		all = append(all, strings.ToLower(s))
	}
	return all
}

// broken are bugs, and the test of the suite that finds each.
var broken = map[string]struct {
	found   string
	bug     func(m *mutant)
	options func(*engine.Memory) // nil: the defaults
}{
	"LosesSome": {found: "Order", bug: func(m *mutant) {
		seventh := every(7)
		m.deliver = func(in engine.Inlet, subject string, d engine.Delivery) {
			if !seventh() {
				in.Deliver(subject, d)
			}
		}
	}},
	"DeliversToAll": {found: "Deliver", bug: func(m *mutant) {
		m.subscribe = func(ctx context.Context, subjects []string) error {
			return m.Bus.Subscribe(ctx, append(subjects, "some")...)
		}
	}},
	"SkipsThePublisher": {found: "Deliver", bug: func(m *mutant) {
		m.publish = func(ctx context.Context, subject string, data []byte) error {
			m.Bus.Unsubscribe(subject)
			return errors.Join(m.Bus.Publish(ctx, subject, data), m.Bus.Subscribe(ctx, subject))
		}
	}},
	"GivesPositions": {found: "Deliver", bug: func(m *mutant) {
		m.deliver = func(in engine.Inlet, subject string, d engine.Delivery) {
			d.At = engine.Position{Epoch: 1, Offset: 1}
			in.Deliver(subject, d)
		}
	}},
	"EndsAtNewlines": {found: "Contents", bug: func(m *mutant) {
		m.deliver = func(in engine.Inlet, subject string, d engine.Delivery) {
			d.Data = []byte(strings.SplitN(string(d.Data), "\n", 2)[0])
			in.Deliver(subject, d)
		}
	}},
	"Reorders": {found: "Order", bug: func(m *mutant) {
		var mu sync.Mutex
		var kept *engine.Delivery
		m.deliver = func(in engine.Inlet, subject string, d engine.Delivery) {
			mu.Lock()
			defer mu.Unlock()
			if kept == nil && strings.HasSuffix(string(d.Data), " 100") {
				kept = &d
				return
			}
			in.Deliver(subject, d)
			if kept != nil {
				in.Deliver(subject, *kept)
				kept = nil
			}
		}
	}},
	"SubscribesLate": {found: "Confirmed", bug: func(m *mutant) {
		m.subscribe = func(_ context.Context, subjects []string) error {
			time.AfterFunc(time.Millisecond, func() { m.Bus.Subscribe(context.Background(), subjects...) })
			return nil
		}
	}},
	"SubscribesTwice": {found: "SubscribeAgain", bug: func(m *mutant) {
		var mu sync.Mutex
		times := make(map[string]int)
		m.subscribe = func(ctx context.Context, subjects []string) error {
			mu.Lock()
			defer mu.Unlock()
			for _, s := range subjects {
				times[s]++
			}
			return m.Bus.Subscribe(ctx, subjects...)
		}
		m.deliver = func(in engine.Inlet, subject string, d engine.Delivery) {
			mu.Lock()
			n := times[subject]
			mu.Unlock()
			for range n {
				in.Deliver(subject, d)
			}
		}
	}},
	"SubscribesHalf": {found: "SubscribeAllOrNone", bug: func(m *mutant) {
		m.subscribe = func(ctx context.Context, subjects []string) error {
			for _, s := range subjects {
				if err := m.Bus.Subscribe(ctx, s); err != nil {
					return err
				}
			}
			return nil
		}
	}},
	"NeverUnsubscribes": {found: "Unsubscribe", bug: func(m *mutant) { m.leave = func([]string) {} }},
	"UnsubscribesAll": {found: "Unsubscribe", bug: func(m *mutant) {
		m.leave = func([]string) { m.Bus.Unsubscribe("a", "b") }
	}},
	"FoldsNames": {found: "Names", bug: func(m *mutant) {
		m.subscribe = func(ctx context.Context, s []string) error { return m.Bus.Subscribe(ctx, lower(s)...) }
		m.publish = func(ctx context.Context, s string, data []byte) error {
			return m.Bus.Publish(ctx, strings.ToLower(s), data)
		}
	}},
	"TakesAnyName": {found: "Names", bug: func(m *mutant) {
		m.publish = func(ctx context.Context, s string, data []byte) error {
			if engine.CheckName(s) != nil {
				return nil
			}
			return m.Bus.Publish(ctx, s, data)
		}
	}},
	"RetainsData": {found: "Aliasing", bug: func(m *mutant) {
		var data []byte
		m.publish = func(ctx context.Context, s string, b []byte) error {
			data = b
			return m.Bus.Publish(ctx, s, b)
		}
		m.deliver = func(in engine.Inlet, subject string, d engine.Delivery) {
			time.Sleep(time.Millisecond)
			if len(data) == len(d.Data) && d.At.IsZero() {
				d.Data = data
			}
			in.Deliver(subject, d)
		}
	}},
	"IgnoresTheContext": {found: "Context", bug: func(m *mutant) {
		m.publish = func(ctx context.Context, s string, data []byte) error {
			return m.Bus.Publish(context.WithoutCancel(ctx), s, data)
		}
	}},
	"WrapsTheContext": {found: "Context", bug: func(m *mutant) {
		m.append = func(ctx context.Context, s string, data []byte, id string) (engine.Position, error) {
			at, err := m.Log.Append(ctx, s, data, id)
			if err != nil {
				err = errors.Join(errors.New("append"), err)
			}
			return at, err
		}
	}},
	"WorksBeforeOpen": {found: "NotOpen", bug: func(m *mutant) {
		m.publish = func(ctx context.Context, s string, data []byte) error {
			if err := m.Bus.Publish(ctx, s, data); !errors.Is(err, engine.ErrNotOpen) {
				return err
			}
			return nil
		}
	}},
	"WorksWhenClosed": {found: "Closed", bug: func(m *mutant) {
		m.put = func(ctx context.Context, s string, data []byte) error {
			if err := m.Roster.Put(ctx, s, data); !errors.Is(err, engine.ErrClosed) {
				return err
			}
			return nil
		}
	}},
	"DeliversWhenClosed": {found: "CloseIsFinal", bug: func(m *mutant) { m.closing = func() error { return nil } }},
	"HoldsUpOthers": {found: "SlowNode", bug: func(m *mutant) {
		m.deliver = func(in engine.Inlet, subject string, d engine.Delivery) {
			turn <- struct{}{}
			defer func() { <-turn }()
			in.Deliver(subject, d)
		}
	}},

	"AsksForever": {found: "AskNobody", bug: func(m *mutant) {
		m.ask = func(ctx context.Context, to engine.NodeID, data []byte) ([]byte, error) {
			answer, err := m.Bus.Ask(ctx, to, data)
			if errors.Is(err, engine.ErrNoNode) {
				time.Sleep(5 * time.Second)
			}
			return answer, err
		}
	}},
	"HidesErrors": {found: "Ask", bug: func(m *mutant) {
		m.ask = func(ctx context.Context, to engine.NodeID, data []byte) ([]byte, error) {
			answer, err := m.Bus.Ask(ctx, to, data)
			if asked := (*engine.AskError)(nil); errors.As(err, &asked) {
				return []byte(asked.Text), nil
			}
			return answer, err
		}
	}},
	"AsksOneByOne": {found: "AskConcurrently", bug: func(m *mutant) {
		one := make(chan struct{}, 1)
		m.ask = func(ctx context.Context, to engine.NodeID, data []byte) ([]byte, error) {
			one <- struct{}{}
			defer func() { <-one }()
			return m.Bus.Ask(ctx, to, data)
		}
	}},
	"AsksWithoutContext": {found: "AskContext", bug: func(m *mutant) {
		m.ask = func(ctx context.Context, to engine.NodeID, data []byte) ([]byte, error) {
			go m.Bus.Ask(context.WithoutCancel(ctx), to, data)
			<-ctx.Done()
			return nil, ctx.Err()
		}
	}},

	"HasNoLinks": {found: "Append", bug: func(m *mutant) {
		m.deliver = func(in engine.Inlet, subject string, d engine.Delivery) {
			d.Prev = engine.Position{}
			in.Deliver(subject, d)
		}
	}},
	"HasHugeEpochs": {found: "Append", bug: func(m *mutant) {
		m.append = func(ctx context.Context, topic string, data []byte, id string) (engine.Position, error) {
			at, err := m.Log.Append(ctx, topic, data, id)
			at.Epoch <<= 11
			return at, err
		}
		m.deliver = func(in engine.Inlet, subject string, d engine.Delivery) {
			d.At.Epoch <<= 11
			d.Prev.Epoch <<= 11
			in.Deliver(subject, d)
		}
	}},
	"StoresOnly": {found: "Append", bug: func(m *mutant) {
		fifth := every(5)
		m.deliver = func(in engine.Inlet, subject string, d engine.Delivery) {
			if d.At.IsZero() || !fifth() {
				in.Deliver(subject, d)
			}
		}
	}},
	"AppendsTwice": {found: "AppendConcurrently", bug: func(m *mutant) {
		tenth := every(10)
		m.append = func(ctx context.Context, topic string, data []byte, id string) (engine.Position, error) {
			if tenth() {
				m.Log.Append(ctx, topic, data, id)
			}
			return m.Log.Append(ctx, topic, data, id)
		}
	}},
	"ForgetsIds": {found: "AppendTwice", bug: func(m *mutant) {
		m.append = func(ctx context.Context, topic string, data []byte, _ string) (engine.Position, error) {
			return m.Log.Append(ctx, topic, data, "")
		}
	}},
	"MixesIds": {found: "AppendTwice", bug: func(m *mutant) {
		known := make(map[string]engine.Position)
		m.append = func(ctx context.Context, topic string, data []byte, id string) (engine.Position, error) {
			if at, ok := known[id]; ok && id != "" {
				return at, nil
			}
			at, err := m.Log.Append(ctx, topic, data, id)
			known[id] = at
			return at, err
		}
	}},
	"EmptyIdIsAnId": {found: "AppendTwice", bug: func(m *mutant) {
		m.append = func(ctx context.Context, topic string, data []byte, id string) (engine.Position, error) {
			return m.Log.Append(ctx, topic, data, "id "+id)
		}
	}},
	"SkipsToTheEnd": {found: "ReadPages", bug: func(m *mutant) {
		m.read = func(ctx context.Context, topic string, after engine.Position, max int) (engine.Page, error) {
			page, err := m.Log.Read(ctx, topic, after, max)
			if tops, err := m.Log.Tops(ctx, []string{topic}); err == nil {
				page.Now = tops[0].Now
			}
			return page, err
		}
	}},
	"HidesMore": {found: "ReadPages", bug: func(m *mutant) {
		reading(m, func(_ engine.Position, p *engine.Page) { p.More = false })
	}},
	"NeverComplete": {found: "ReadPages", bug: func(m *mutant) {
		reading(m, func(_ engine.Position, p *engine.Page) { p.Complete = false })
	}},
	"ReadsInclusively": {found: "ReadPages", bug: func(m *mutant) {
		m.read = func(ctx context.Context, topic string, after engine.Position, max int) (engine.Page, error) {
			if after.Offset > 0 {
				after.Offset--
			}
			return m.Log.Read(ctx, topic, after, max)
		}
	}},
	"ReadsALaggingReplica": {found: "ReadElsewhere", bug: func(m *mutant) {
		reading(m, func(_ engine.Position, p *engine.Page) { p.Entries = p.Entries[:max(0, len(p.Entries)-1)] })
	}},
	"TopsOfALaggingReplica": {found: "ReadElsewhere", bug: func(m *mutant) {
		var last []engine.Top
		m.tops = func(ctx context.Context, topics []string) ([]engine.Top, error) {
			tops, err := m.Log.Tops(ctx, topics)
			if last == nil {
				last = tops
			}
			tops, last = last, tops
			return tops, err
		}
	}},
	"HasNoEnd": {found: "Tops", bug: func(m *mutant) {
		m.tops = func(ctx context.Context, topics []string) ([]engine.Top, error) {
			tops, err := m.Log.Tops(ctx, topics)
			for i := range tops {
				tops[i].Now = tops[i].Last
			}
			return tops, err
		}
	}},
	"MixesTopics": {found: "Topics", bug: func(m *mutant) {
		m.append = func(ctx context.Context, topic string, data []byte, id string) (engine.Position, error) {
			return m.Log.Append(ctx, strings.ToLower(topic), data, id)
		}
	}},
	"LogsEverything": {found: "NotLogged", bug: func(m *mutant) {
		m.publish = func(ctx context.Context, s string, data []byte) error {
			_, err := m.Log.Append(ctx, s, data, "")
			return err
		}
	}},
	"EmptyIsIncomplete": {found: "QuietTopic", bug: func(m *mutant) {
		reading(m, func(_ engine.Position, p *engine.Page) { p.Complete = p.Complete && len(p.Entries) > 0 })
	}},
	"TakesForeignPositions": {found: "ForeignPositions", bug: func(m *mutant) {
		m.read = func(ctx context.Context, topic string, after engine.Position, max int) (engine.Page, error) {
			tops, err := m.Log.Tops(ctx, []string{topic})
			if err == nil && !after.IsZero() {
				after.Epoch = tops[0].Now.Epoch
			}
			return m.Log.Read(ctx, topic, after, max)
		}
	}},
	"LosesWhenFollowed": {found: "Follow", bug: func(m *mutant) {
		ninth := every(9)
		m.deliver = func(in engine.Inlet, subject string, d engine.Delivery) {
			if ninth() {
				d.Prev.Offset = 0 // and the one before is lost
			} else if d.Data[0] == '2' {
				return
			}
			in.Deliver(subject, d)
		}
		reading(m, func(_ engine.Position, p *engine.Page) { p.Entries = nil })
	}},

	"KeepsEverything": {found: "Evict", options: func(m *engine.Memory) { m.History = 10_000 }},
	"KeepsLittle":     {found: "Evict", options: func(m *engine.Memory) { m.History = 10 }},
	"AlwaysComplete": {found: "Evict", bug: func(m *mutant) {
		reading(m, func(_ engine.Position, p *engine.Page) { p.Complete = true })
	}},
	"CompleteIfAnything": {found: "EvictAndFollow", bug: func(m *mutant) {
		reading(m, func(_ engine.Position, p *engine.Page) { p.Complete = p.Complete || len(p.Entries) > 0 })
	}},
	"NeverExpires": {found: "Age", options: func(m *engine.Memory) { m.MaxAge = -1 }},
	"HasOneEpoch": {found: "Restart", bug: func(m *mutant) {
		m.append = func(ctx context.Context, topic string, data []byte, id string) (engine.Position, error) {
			at, err := m.Log.Append(ctx, topic, data, id)
			at.Epoch = 7
			return at, err
		}
	}},
	"ReturnsSilently": {found: "Disconnect", bug: func(m *mutant) { m.lost = func(engine.Inlet) {} }},
	"ForgetsWhenAway": {found: "Disconnect", bug: func(m *mutant) {
		m.lost = func(in engine.Inlet) {
			m.Bus.Unsubscribe("a")
			in.Lost(nil, nil)
		}
	}},
	"WaitsWhileAway": {found: "Disconnect", bug: func(m *mutant) {
		m.tops = func(ctx context.Context, topics []string) ([]engine.Top, error) {
			tops, err := m.Log.Tops(ctx, topics)
			if errors.Is(err, engine.ErrAway) {
				time.Sleep(time.Minute)
			}
			return tops, err
		}
	}},
	"ReturnsAndDropsTheLog": {found: "DisconnectAndFollow", bug: func(m *mutant) {
		m.lost = func(in engine.Inlet) { in.Lost([]string{"another"}, nil) }
	}},
	"PutsOnce": {found: "DisconnectAndPut", bug: func(m *mutant) {
		known := make(map[string]string)
		m.put = func(ctx context.Context, topic string, members []byte) error {
			if known[topic] == string(members) {
				return nil
			}
			known[topic] = string(members)
			return m.Roster.Put(ctx, topic, members)
		}
	}},
	"IsLostInPart": {found: "DisconnectAndPut", bug: func(m *mutant) {
		m.lost = func(in engine.Inlet) { in.Lost([]string{"room"}, nil) }
	}},

	"KnowsItself": {found: "Nodes", bug: func(m *mutant) { m.nodes = func() []engine.NodeID { return []engine.NodeID{{}} } }},
	"PutAdds": {found: "Put", bug: func(m *mutant) {
		all := make(map[string][]byte)
		m.put = func(ctx context.Context, topic string, members []byte) error {
			all[topic] = append(all[topic], members...)
			return m.Roster.Put(ctx, topic, all[topic])
		}
	}},
	"KeepsEmptyRecords": {found: "Put", bug: func(m *mutant) {
		m.put = func(ctx context.Context, topic string, members []byte) error {
			return m.Roster.Put(ctx, topic, append([]byte(" "), members...))
		}
	}},
	"KeepsTheClosed": {found: "CloseLeavesTheRoster", bug: func(m *mutant) {
		var most []engine.Members
		m.list = func(ctx context.Context, topic string) ([]engine.Members, error) {
			list, err := m.Roster.List(ctx, topic)
			if len(list) > len(most) {
				most = list
			}
			return most, err
		}
	}},
	"KeepsTheDead": {found: "CrashLeavesTheRoster", bug: func(m *mutant) {
		var most []engine.NodeID
		m.nodes = func() []engine.NodeID {
			if all := slices.Collect(m.Roster.Nodes()); len(all) > len(most) {
				most = all
			}
			return most
		}
	}},
}

// turn is taken by one node at a time, for a mutant that runs in a process of its own.
var turn chan struct{}

const brokenEnv = "ENGINETEST_BROKEN"

// TestSuiteOnBroken is run by TestSuiteFindsBugs, in another process.
func TestSuiteOnBroken(t *testing.T) {
	b, ok := broken[os.Getenv(brokenEnv)]
	if !ok {
		t.Skip("runs in a process of its own")
	}
	if b.options == nil {
		b.options = func(*engine.Memory) {}
	}
	runFaulty(t, b.options, func(e engine.Engine) engine.Engine {
		m := &mutant{Engine: e}
		if b.bug != nil {
			b.bug(m)
		}
		return m.engine()
	})
}

func TestSuiteFindsBugs(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range broken {
		t.Run(name, func(t *testing.T) {
			for range 5 { // a race is found in some runs and not in others
				cmd := exec.Command(exe, "-test.timeout=60s", "-test.run=^TestSuiteOnBroken$/^"+b.found+"$")
				cmd.Env = append(os.Environ(), brokenEnv+"="+name)
				out, _ := cmd.CombinedOutput()
				if strings.Contains(string(out), "--- FAIL: TestSuiteOnBroken/"+b.found) {
					return
				}
				if !strings.Contains(string(out), "PASS") {
					t.Fatalf("%s", out)
				}
			}
			t.Errorf("the suite does not find it in %s", b.found)
		})
	}
}

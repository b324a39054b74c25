package main

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/centrifugal/centrifuge"

	"github.com/webwire-go/webwire/protocol"
	wwserver "github.com/webwire-go/webwire/server"
)

// topicWork is what is published, and to whom. Every member gets a publication before the
// next one is made; without members only publishing is measured.
type topicWork struct {
	name    string // the shape of the rows
	topics  int
	members int // of each topic
	conns   int
	idle    bool // the connections are members of nothing
}

// topicWorks returns the works. One topic has as many members as this process may have
// files for both ends of, with all contenders connected at once, at most 10,000.
func topicWorks() []topicWork {
	most := 10_000
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil {
		most = min(most, int(limit.Cur-500)/2/len(topicFanouts)/100*100)
	}
	return []topicWork{
		{name: fmt.Sprintf("1 topic, %d members", most), topics: 1, members: most, conns: most},
		{name: "10000 topics, 10 members each", topics: 10_000, members: 10, conns: 1000},
		{name: "a topic without members", topics: 1},
	}
}

// topic returns the name of a topic. All are of the same length, because some servers send
// them.
func (w topicWork) topic(i int) string { return fmt.Sprintf("topic.%05d", i%w.topics) }

// of returns the topics of a connection: its share of them.
func (w topicWork) of(conn int) (names []string) {
	if w.idle {
		return nil
	}
	groups := w.conns / w.members
	for i := conn / w.members % groups; i < w.topics; i += groups {
		names = append(names, w.topic(i))
	}
	return names
}

// topicFanout is a server that has the topics of a work.
type topicFanout struct {
	name  string
	about string
	join  func(w topicWork) fanout
}

var topicFanouts = []topicFanout{
	{ofDefault, "Topic.Publish, engine.Memory, no history, every connection joined by the server, protocol 2.0", webwireTopics},
	{"centrifuge", "Node.Publish, memory broker, no history, every connection subscribed by the server, Protobuf protocol, no compression", centrifugeTopics},
	{rawTopicsName, "one frame encoded once, written to one connection after the other: no topics, no limits, nothing kept", rawTopics},
}

const rawTopicsName = "raw/gobwas"

func topicsPart(r *report, e effort, _ []contender) error {
	return publications(r, e, topicWorks())
}

func publications(r *report, e effort, works []topicWork) error {
	for _, w := range works {
		var runners []*runner
		for _, f := range topicFanouts {
			if w.conns == 0 && f.name == rawTopicsName {
				continue // it has nothing to write
			}
			progress("  %s: %s", f.name, w.name)
			run, err := w.runner(f)
			if err != nil {
				for _, r := range runners {
					r.close()
				}
				return fmt.Errorf("%s, %s: %w", f.name, w.name, err)
			}
			runners = append(runners, run)
			if err := w.subscriptions(r, f); err != nil {
				return err
			}
			r.topics = append(r.topics, run.series)
		}
		if err := interleave(e, runners); err != nil {
			return err
		}
	}
	return nil
}

// subscriptionBytes is the memory, in bytes, that a member of a topic costs the server.
type subscriptionBytes struct {
	Contender string  `json:"contender"`
	Shape     string  `json:"shape"`
	Bytes     float64 `json:"bytes"`
}

// subscriptions measures what subscriptions cost, where there are many more of them than
// connections. It compares the heap with that of connections that are members of nothing.
func (w topicWork) subscriptions(r *report, f topicFanout) error {
	if w.conns == 0 || w.topics < w.conns || f.name == rawTopicsName {
		return nil
	}
	var heap [2]float64
	for i, idle := range []bool{true, false} {
		w := w
		w.idle = idle
		var err error
		if heap[i], err = w.heap(f.join(w)); err != nil {
			return fmt.Errorf("%s, %s: %w", f.name, w.name, err)
		}
	}
	bytes := (heap[1] - heap[0]) / float64(w.topics*w.members)
	r.subscriptions = append(r.subscriptions, subscriptionBytes{f.name, w.name, bytes})
	return nil
}

// heap returns the bytes that all connections hold together, at both ends.
func (w topicWork) heap(f fanout) (float64, error) {
	before := heapInUse()
	b, err := f.start(w.conns)
	if err != nil {
		return 0, err
	}
	defer b.close()
	s := newSinks()
	defer s.close()
	if err := s.open(b.addr, w.conns, f.join); err != nil {
		return 0, err
	}
	if err := waitFor(func() bool { return b.count() == w.conns }); err != nil {
		return 0, err
	}
	return heapInUse() - before, nil
}

func (w topicWork) runner(f topicFanout) (*runner, error) {
	series := &series{contender: f.name, payload: payloads[0], shape: w.name}
	if w.conns > 0 {
		f := f.join(w)
		f.name = series.contender
		run, err := f.runnerOf(w.conns, w.members)
		if run != nil {
			run.series = series
		}
		return run, err
	}
	b, err := f.join(w).start(0)
	if err != nil {
		return nil, err
	}
	load := func(r *run) error { return r.calls(1, func() func() error { return b.send }) }
	return &runner{series, func(d time.Duration) (sample, error) { return measureLoad(d, 2, load) }, b.close}, nil
}

// rawTopics writes to the connections of a topic.
func rawTopics(w topicWork) fanout {
	return fanout{join: joinWebSocket, start: func(int) (broadcaster, error) {
		b, l, err := rawFanout()
		next := 0
		b.send = func() error {
			next++
			first := next % w.topics % (w.conns / w.members) * w.members
			return l.sendTo(first, first+w.members)
		}
		return b, err
	}}
}

func webwireTopics(w topicWork) fanout {
	return fanout{join: joinWebSocket, start: func(int) (broadcaster, error) {
		var s *wwserver.Server
		var conns, joined, sent atomic.Int64
		o := webwireOptions(websocketUpgrader, protocol.V2_0)
		o.ReadTimeout = 24 * time.Hour // see fanoutServer
		o.Hooks.OnClientConnected = func(ctx context.Context, c *wwserver.Conn) error {
			for _, name := range w.of(int(conns.Add(1) - 1)) {
				if err := s.Topic(name).Join(ctx, c); err != nil {
					return err
				}
			}
			joined.Add(1)
			return nil
		}
		s = wwserver.New(o)
		addr, stop, err := serveHTTP(s)
		msg := protocol.Bytes(payload(payloads[0]))
		return broadcaster{addr, func() int { return int(joined.Load()) }, func() error {
			_, err := s.Topic(w.topic(int(sent.Add(1)))).Publish(background, name, msg)
			return err
		}, func() { stop(); s.Close() }}, err
	}}
}

func centrifugeTopics(w topicWork) fanout {
	return fanout{join: joinCentrifuge, start: func(int) (broadcaster, error) {
		node, err := centrifuge.New(centrifuge.Config{ClientChannelLimit: max(128, w.topics)})
		if err != nil {
			return broadcaster{}, err
		}
		var conns, joined, sent atomic.Int64
		node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
			reply := centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{}, Subscriptions: make(map[string]centrifuge.SubscribeOptions)}
			for _, name := range w.of(int(conns.Add(1) - 1)) {
				reply.Subscriptions[name] = centrifuge.SubscribeOptions{}
			}
			return reply, nil
		})
		node.OnConnect(func(*centrifuge.Client) { joined.Add(1) })
		var handler http.Handler = centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
			PingPongConfig: centrifuge.PingPongConfig{PingInterval: -1}})
		addr, stop, err := startCentrifuge(node, handler)
		msg := payload(payloads[0])
		return broadcaster{addr, func() int { return int(joined.Load()) }, func() error {
			_, err := node.Publish(w.topic(int(sent.Add(1))), msg)
			return err
		}, stop}, err
	}}
}

func (r *report) sayTopics(b *[]byte) {
	if len(r.topics) == 0 {
		return
	}
	*b = fmt.Appendf(*b, "## Publications of %s\n\n", bytesName(payloads[0]))
	*b = append(*b, "A publication is made when the previous one has reached all members, which are connections that count bytes. The\n"+
		"rate is that of deliveries, and that of publications where there are no members.\n\n"...)
	t := newTable(b, "members", "contender", "per second", "CPU µs", "allocs", "p50 µs", "p99 µs")
	for _, s := range r.topics {
		t.row(s.shape, s.contender, figure(s.median(rps)), figure(s.median(cpu)), fmt.Sprintf("%.2f", s.median(allocs)),
			figure(s.median(p50)), figure(s.median(p99)))
	}
	*b = append(*b, '\n')
	t = newTable(b, "members", "contender", "bytes per subscription")
	for _, s := range r.subscriptions {
		t.row(s.Shape, s.Contender, figure(s.Bytes))
	}
	*b = append(*b, '\n')
	t = newTable(b, "contender", "publishes by")
	for _, f := range topicFanouts {
		t.row(f.name, f.about)
	}
	*b = append(*b, '\n')
}

package main

import (
	"fmt"
	"io"
	"net"
	"slices"
	"time"
)

// listeners is how many connections a broadcast goes to.
const listeners = 1000

const broadcast = "broadcast" // the shape of the rows about them

// fanout sends one message to all connections of a server.
type fanout struct {
	name  string
	about string
	join  func(c net.Conn, addr string) error // opens a connection
	start func(listeners int) (broadcaster, error)
}

type broadcaster struct {
	addr  string
	count func() int   // connections so far
	send  func() error // to all of them
	close func()
}

// fanouts are groups of contenders that are measured in the same rounds. The first of
// a group is ours, the second is a loop of raw writes.
var fanouts = [][]fanout{
	{
		{ofDefault, "server.Broadcast", joinWebSocket, websocketFanout},
		{"raw/gobwas", "one frame encoded once, written to one connection after the other", joinWebSocket, gobwasFanout},
		{"centrifuge", "Node.Publish, memory broker, no history, every connection subscribed by the server, Protobuf protocol, no compression", joinCentrifuge, centrifugeFanout},
		{"gorilla hub", "the hub of the chat example of github.com/gorilla/websocket: a queue of 256 and two goroutines per connection; one PreparedMessage per message", joinWebSocket, gorillaFanout},
	},
	{
		{"webwire/stream", "server.Broadcast", joinStream, streamFanout},
		{"raw/tcp", "one frame encoded once, written to one connection after the other", joinNothing, tcpFanout},
	},
}

// broadcastPart measures how fast a message reaches all connections. A message is sent
// when the previous one has arrived everywhere. A group is measured as a whole if one
// of its members is chosen.
func broadcastPart(r *report, e effort, all []contender) error {
	return broadcasts(r, e, all, listeners)
}

func broadcasts(r *report, e effort, all []contender, listeners int) error {
	for _, group := range fanouts {
		if !slices.ContainsFunc(group, func(f fanout) bool {
			return slices.ContainsFunc(all, func(c contender) bool { return c.name == f.name })
		}) {
			continue
		}
		var runners []*runner
		for _, f := range group {
			progress("  %s", f.name)
			run, err := f.runner(listeners)
			if err != nil {
				for _, r := range runners {
					r.close()
				}
				return fmt.Errorf("%s: %w", f.name, err)
			}
			runners = append(runners, run)
			r.broadcast = append(r.broadcast, run.series)
		}
		if err := interleave(e, runners); err != nil {
			return err
		}
	}
	return nil
}

func (f fanout) runner(listeners int) (*runner, error) { return f.runnerOf(listeners, listeners) }

// runnerOf is runner for messages that go to some of the connections, always as many.
func (f fanout) runnerOf(listeners, receivers int) (*runner, error) {
	b, err := f.start(listeners)
	if err != nil {
		return nil, err
	}
	s := newSinks()
	stop := func() { s.close(); b.close() }
	size, err := f.first(b, s, listeners, receivers)
	if err != nil {
		stop()
		return nil, err
	}
	load := func(r *run) error {
		l := r.lane()
		for {
			begin := time.Now()
			s.expect(size)
			if err := b.send(); err != nil {
				return err
			}
			if err := s.await(); err != nil {
				return err
			}
			l.latencies.add(time.Since(begin)) // until it has arrived everywhere
			l.count += uint64(receivers)
			if r.over() {
				return nil
			}
		}
	}
	return &runner{
		&series{contender: f.name, payload: payloads[0], shape: broadcast},
		func(d time.Duration) (sample, error) { return measureLoad(d, 1, load) },
		stop,
	}, nil
}

// first opens the connections and sends the first message to the receivers. It returns the
// bytes that a message takes on the wire, summed over all connections.
func (f fanout) first(b broadcaster, s *sinks, listeners, receivers int) (size int64, err error) {
	if err := s.open(b.addr, listeners, f.join); err != nil {
		return 0, err
	}
	if err := waitFor(func() bool { return b.count() == listeners }); err != nil {
		return 0, err
	}
	if err := b.send(); err != nil {
		return 0, err
	}
	return s.settle(receivers)
}

func joinNothing(net.Conn, string) error { return nil }

// joinStream makes the first exchange of transport/stream: an offer and an answer.
func joinStream(c net.Conn, _ string) error {
	const token = "webwire-1.2"
	if _, err := c.Write(append([]byte{0x84, 0, 0, byte(len(token))}, token...)); err != nil {
		return err
	}
	answer := make([]byte, 4+len(token))
	if _, err := io.ReadFull(c, answer); err != nil {
		return err
	}
	if answer[0] != 0x85 || string(answer[4:]) != token {
		return fmt.Errorf("the answer to an offer is %q", answer)
	}
	return nil
}

func joinWebSocket(c net.Conn, addr string) error { return shakeHands(c, addr, "") }

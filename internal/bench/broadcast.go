package main

import (
	"fmt"
	"slices"
	"time"
)

// listeners is how many connections a broadcast goes to.
const listeners = 1000

// fanout sends one message to all connections of a server.
type fanout struct {
	name  string
	plain bool // connections need no WebSocket handshake
	start func() (broadcaster, error)
}

type broadcaster struct {
	addr  string
	count func() int   // connections so far
	send  func() error // to all of them
	close func()
}

// fanouts are pairs: ours, and a loop of writes of what was prepared once, with the
// library below it.
var fanouts = [][2]fanout{
	{{"webwire/websocket", false, webwireFanout(websocketUpgrader)}, {"raw/nhooyr", false, nhooyrFanout}},
	{{"webwire/coder", false, webwireFanout(coderUpgrader)}, {"raw/coder", false, coderFanout}},
	{{"webwire/gobwas", false, webwireFanout(gobwasUpgrader)}, {"raw/gobwas", false, gobwasFanout}},
	{{"webwire/stream", true, streamFanout}, {"raw/tcp", true, tcpFanout}},
}

// broadcastPart measures how fast a message reaches everybody. Each is sent when
// the one before has arrived everywhere.
func broadcastPart(r *report, e effort, all []contender) error {
	for _, pair := range fanouts {
		if !slices.ContainsFunc(all, func(c contender) bool { return c.name == pair[0].name }) {
			continue
		}
		progress("  %s and %s", pair[0].name, pair[1].name)
		var runners []*runner
		for _, f := range pair {
			run, err := f.runner()
			if err != nil {
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

func (f fanout) runner() (*runner, error) {
	b, err := f.start()
	if err != nil {
		return nil, err
	}
	s := newSinks()
	if err := s.open(b.addr, listeners, f.plain); err != nil {
		return nil, err
	}
	if err := waitFor(func() bool { return b.count() == listeners }); err != nil {
		return nil, err
	}
	// The first message tells how long it is on the wire.
	if err := b.send(); err != nil {
		return nil, err
	}
	size, err := s.settle()
	if err != nil {
		return nil, err
	}
	load := func(r *run) error {
		l := r.lane()
		for !r.over() {
			begin := time.Now()
			s.expect(size)
			if err := b.send(); err != nil {
				return err
			}
			<-s.arrived
			l.latencies.add(time.Since(begin)) // until everybody has it
			l.count += listeners
		}
		return nil
	}
	return &runner{
		&series{contender: f.name, payload: payloads[0], shape: "broadcast"},
		func(d time.Duration) (sample, error) { return measureLoad(d, 1, load) },
		func() { s.close(); b.close() },
	}, nil
}

package main

import (
	"fmt"
	"net"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/webwire-go/webwire/protocol"
	wwserver "github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/stream"
)

// others is how many connections go on while one does not read.
const others = 16

// stalledResult is what a connection that does not read does to the others.
type stalledResult struct {
	Contender string  `json:"contender"`
	Without   float64 `json:"p99_us_without"`
	With      float64 `json:"p99_us_with"`
	Ratio     float64 `json:"ratio"`    // of the two p99, each over the requests of all rounds
	Heap      float64 `json:"heap_kib"` // that the connection holds, both ends
}

// stalledRounds is more than elsewhere: the 99th percentile is not steady, and that of
// one round says little.
const stalledRounds = 3

// stalledPart measures the others' requests, in turn without a connection that
// sends requests and never reads a reply, and with one whose requests the server
// does not take any more.
func stalledPart(r *report, e effort, all []contender) error {
	e.rounds *= stalledRounds
	for _, c := range all {
		if c.kind != ours || c.name == "webwire/memory" || c.name == ofModern {
			continue
		}
		progress("  %s", c.name)
		s, err := stalled(e, c)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		r.stalled = append(r.stalled, s)
	}
	return nil
}

func stalled(e effort, c contender) (stalledResult, error) {
	result := stalledResult{Contender: c.name}
	s, dialer, stop, err := stallServer(c.name)
	if err != nil {
		return result, err
	}
	defer stop()
	var conns []conn
	for range others {
		c, err := dialWebwire(dialer, payloads[0], protocol.V2_0)
		if err != nil {
			return result, err
		}
		defer c.close()
		conns = append(conns, c)
	}
	var without, with histogram
	var heaps []float64
	load := loadOn(conns, 1)
	for range e.rounds {
		before := heapInUse()
		_, a, err := measureTimes(e.each, 1, load)
		if err != nil {
			return result, err
		}
		release, err := stall(dialer)
		if err != nil {
			return result, err
		}
		_, b, err := measureTimes(e.each, 1, load)
		if err != nil {
			return result, err
		}
		heaps = append(heaps, (heapInUse()-before)/(1<<10))
		release()
		if err := waitFor(func() bool { return s.Stats().Open == others }); err != nil {
			return result, err
		}
		without.merge(a)
		with.merge(b)
	}
	result.Without, result.With, result.Heap = without.quantile(0.99), with.quantile(0.99), median(heaps)
	result.Ratio = result.With / result.Without
	return result, nil
}

func stallServer(name string) (*wwserver.Server, transport.Dialer, func(), error) {
	if name == ofDefault {
		s := newWebwire(websocketUpgrader, protocol.V2_0)
		addr, stop, err := serveHTTP(s)
		if err != nil {
			return nil, nil, nil, err
		}
		return s, websocketDialer(addr), func() { stop(); s.Close() }, nil
	}
	s := newWebwire(nil, protocol.V2_0)
	l, err := stream.Listen("tcp", "127.0.0.1:0", nil)
	if err != nil {
		return nil, nil, nil, err
	}
	go s.Serve(l)
	return s, stream.Dialer{Address: l.Addr().String()}, func() { s.Close() }, nil
}

// stall opens a connection and sends requests until they are not taken any more.
func stall(d transport.Dialer) (release func(), err error) {
	c, err := d.Dial(background, transport.DialOptions{ // no version is offered: 1.2 is spoken
		Limits: transport.Limits{WriteTimeout: time.Hour},
	})
	if err != nil {
		return nil, err
	}
	msg, err := protocol.V1_2.Append(nil, protocol.Message{
		Kind: protocol.Request, ID: protocol.NewID(1), Name: name,
		Payload: protocol.Bytes(payload(1 << 10)),
	})
	if err != nil {
		return nil, err
	}
	var written atomic.Int64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for c.Write(msg) == nil {
			written.Add(1)
		}
	}()
	release = func() {
		c.Abort()
		<-ended
	}
	last := int64(-1)
	err = waitFor(func() bool {
		before := last
		last = written.Load()
		time.Sleep(50 * time.Millisecond)
		return last == before
	})
	if err == nil {
		select {
		case <-ended:
			err = net.ErrClosed
		default:
		}
	}
	if err != nil {
		release()
	}
	return release, err
}

func heapInUse() float64 {
	runtime.GC()
	runtime.GC() // empties the pools
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	return float64(mem.HeapAlloc)
}

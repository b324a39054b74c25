package natsengine

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/webwire-go/webwire/engine"
)

// laneSize is how many deliveries wait in a lane. What comes when it is full is
// dropped by nats.go, which reports a slow consumer: once, until something else of the
// same subject has found room.
const laneSize = 1 << 14

// lane passes deliveries of some of the subjects to the inlet, in order.
type lane struct {
	node    *node
	arrived chan *nats.Msg
	wake    chan struct{}      // one slot: there is something new in slow
	newest  map[*stream]uint64 // the latest sequence that was delivered; of run only

	mu   sync.Mutex
	slow map[*subscription]int // of which something was dropped: how much of that is told
}

func newLane(n *node) *lane {
	return &lane{
		node: n, arrived: make(chan *nats.Msg, laneSize), wake: make(chan struct{}, 1),
		newest: make(map[*stream]uint64), slow: make(map[*subscription]int),
	}
}

// overflow notes that deliveries of a subject were dropped. From now on its drops are
// counted.
func (l *lane) overflow(s *subscription) {
	l.mu.Lock()
	if _, known := l.slow[s]; !known {
		l.slow[s] = 0
	}
	l.mu.Unlock()
	signal(l.wake)
}

var errSlow = errors.New("natsengine: the node is too slow for its deliveries")

func (l *lane) run() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	due := false
	for {
		select {
		case <-l.node.ctx.Done():
			return
		case m := <-l.arrived:
			l.deliver(m)
		case <-l.wake:
			due = true
		case <-tick.C:
			due = true
		}
		// More may be dropped until the lane is empty: only then it is known that
		// whoever checks sees all of it.
		if due && len(l.arrived) == 0 {
			due = false
			l.report()
		}
	}
}

// report tells of the subjects of which more was dropped.
func (l *lane) report() {
	var names []string
	l.mu.Lock()
	for s, told := range l.slow {
		dropped, err := s.nats.Dropped()
		switch {
		case err != nil: // it was unsubscribed
			delete(l.slow, s)
		case dropped > told:
			l.slow[s] = dropped
			names = append(names, s.name)
		}
	}
	l.mu.Unlock()
	slices.Sort(names)
	if len(names) > 0 && l.node.ctx.Err() == nil {
		l.node.inlet.Lost(names, errSlow)
	}
}

func (l *lane) deliver(m *nats.Msg) {
	s := l.node.subscription(m.Sub)
	if s == nil || l.node.ctx.Err() != nil {
		return
	}
	d := engine.Delivery{Data: m.Data}
	if len(m.Header) > 0 {
		d.At, d.Prev = l.positions(m.Header)
	}
	l.node.inlet.Deliver(s.name, d)
}

// positions returns those of a message that a stream has republished.
func (l *lane) positions(h nats.Header) (at, prev engine.Position) {
	s := l.node.streamNamed(first(h, "Nats-Stream"))
	if s == nil {
		return at, prev
	}
	offset, err1 := number(h, "Nats-Sequence")
	before, err2 := number(h, "Nats-Last-Sequence")
	if err1 != nil || err2 != nil {
		return at, prev
	}
	epoch := s.delivered(offset, offset < l.newest[s])
	l.newest[s] = offset
	return engine.Position{Epoch: epoch, Offset: offset}, engine.Position{Epoch: epoch, Offset: before}
}

// first returns a header's value; NATS does not change the case of its own.
func first(h nats.Header, key string) string {
	if values := h[key]; len(values) > 0 {
		return values[0]
	}
	return ""
}

package server

import (
	"slices"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/protocol"
)

// lag is what waits for a member whose outbox was full, if its topic drops publications. A
// goroutine sends it. The topic's mu guards it.
type lag struct {
	waiting []lagging
	lost    uint64          // before the first of waiting, not told yet
	jumped  bool            // an unknown number was lost too
	to      engine.Position // of the last that was lost
}

type lagging struct {
	key *string // nil: it is nobody's latest
	enc encoder
}

// fallBehind begins to keep publications for a member. The caller holds mu.
func (m *member) fallBehind(e *topic, enc *encoder) {
	m.lag = &lag{}
	m.lag.push(e, enc)
	if !e.topics.work(func() { m.catchUp(e) }) {
		m.lag = nil
	}
}

// push adds a publication, and drops another if there is no room. To tell the place of
// each loss would need a gap for each: a gap comes before all that is kept.
func (l *lag) push(e *topic, enc *encoder) {
	next := lagging{enc: encoder{data: enc.data, at: enc.at}}
	drop := -1
	if e.opts.Overflow == LatestPerKey {
		next.key = enc.key
		if e.opts.Key == nil {
			name := enc.message().Name
			next.key = &name
		}
		drop = slices.IndexFunc(l.waiting, func(w lagging) bool {
			return w.key != nil && next.key != nil && *w.key == *next.key
		})
	}
	if drop < 0 && len(l.waiting) >= maxBacklog {
		drop = 0
	}
	if drop >= 0 {
		l.lost++
		e.topics.dropped.Add(1)
		l.waiting = slices.Delete(l.waiting, drop, drop+1)
	}
	l.waiting = append(l.waiting, next)
}

// jump drops what was kept: the topic goes on elsewhere. One without history goes on where
// it is.
func (l *lag) jump(to engine.Position) {
	if !to.IsZero() {
		l.waiting, l.lost = nil, 0
	}
	l.jumped, l.to = true, to
}

// catchUp sends what was kept, as the member reads.
func (m *member) catchUp(e *topic) {
	for {
		msg, ok := m.nextLagging(e)
		if !ok {
			return
		}
		err := m.conn.link.Send(m.conn.link.Context(), msg)
		switch {
		case err == nil:
		case m.conn.link.Cause() != nil:
			return
		default: // the version does not allow it, or the client takes no message of that length
			e.topics.dropped.Add(1)
			if msg.Kind == protocol.Publication {
				to := engine.Position{Epoch: e.epoch(), Offset: msg.Number}
				_ = m.conn.link.Send(m.conn.link.Context(), gapMessage(m.ref, 1, to)) // the next Send learns why not
			}
		}
	}
}

func (e *topic) epoch() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.position.Epoch
}

// nextLagging returns what is to be sent next. If there is nothing the member is live
// again.
func (m *member) nextLagging(e *topic) (msg protocol.Message, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := m.lag
	switch {
	case m.ref != 0 && l.jumped:
		l.jumped = false
		return gapMessage(m.ref, 0, l.to), true
	case m.ref != 0 && l.lost > 0:
		lost := l.lost
		l.lost = 0
		to := engine.Position{Epoch: e.position.Epoch}
		if len(l.waiting) > 0 && l.waiting[0].enc.at.Offset > 0 {
			to.Offset = l.waiting[0].enc.at.Offset - 1
		}
		if to.Offset == 0 {
			to = engine.Position{}
		}
		return gapMessage(m.ref, lost, to), true
	case len(l.waiting) == 0:
		m.lag = nil
		return protocol.Message{}, false
	}
	enc := l.waiting[0].enc
	l.waiting = l.waiting[1:]
	msg = enc.message()
	if m.ref == 0 {
		return asSignal(msg), true
	}
	msg.Ref, msg.Number = m.ref, enc.at.Offset
	return msg, true
}

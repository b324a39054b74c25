package server

import (
	"errors"
	"math"
	"slices"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/internal/outbox"
	"github.com/webwire-go/webwire/protocol"
)

// lagFrom is how many bytes wait to be sent on a connection when its members of topics that
// drop publications fall behind. What waits there is sent before the latest. It is what an
// outbox holds back at most while more is to come, and what a burst may take.
const lagFrom = 64 << 10

// limit returns from how many bytes in the outbox of a member on it is applied.
func (o Overflow) limit() int {
	if o == Disconnect {
		return math.MaxInt // the outbox has a limit itself
	}
	return lagFrom
}

// lag is what waits for a member with too much in its outbox, if its topic drops publications.
// The outbox calls when it is time to go on. The topic's mu guards it.
type lag struct {
	waiting []lagging
	lost    uint64          // before the first of waiting, not told yet
	jumped  bool            // an unknown number was lost too
	to      engine.Position // of the last that was lost
	sending bool            // goOn sends what came first: nothing may overtake it
}

type lagging struct {
	key *string // nil: it is nobody's latest
	enc encoder
}

// missBehind begins with a gap of n publications, zero if nobody knows how many, for which there
// was no room. The caller holds mu.
func (m *member) missBehind(n uint64, to engine.Position) {
	m.lag = &lag{jumped: n == 0, lost: n, to: to}
	m.awaitRoom(0)
}

// fallBehind begins to keep publications for a member, for the first of which, a message of
// size bytes, there was no room. The caller holds mu.
func (m *member) fallBehind(enc *encoder, size int) {
	m.lag = &lag{}
	m.lag.push(m.topic, enc)
	m.awaitRoom(size)
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

// awaitRoom has goOn called when the outbox has room for a message of size bytes, or when all
// that is queued now is written.
func (m *member) awaitRoom(size int) {
	m.conn.link.WhenRoom(lagFrom, size, func(queued int) {
		m.topic.topics.work(func() { m.goOn(queued) })
	})
}

// goOn sends what was kept, as if the bytes that others have queued were not there. They may
// keep the outbox full, so the first message waits for its turn among them.
func (m *member) goOn(queued int) {
	var f fan
	defer f.flush()
	e := m.topic
	e.mu.Lock()
	defer e.mu.Unlock()
	l := m.lag
	if l == nil || l.sending {
		return
	}
	if msg, at, ok := m.first(); ok {
		l.sending = true
		e.mu.Unlock()
		err := m.conn.link.Send(m.conn.link.Context(), msg)
		e.mu.Lock()
		l.sending = false
		if err != nil && msg.Kind != protocol.Gap {
			m.unsendable(l, at)
		}
	}
	others := queued
	if queued < lagFrom {
		others = 0
	}
	m.catchUp(&f, others+lagFrom)
}

// first takes what is to be sent first out of what was kept. at is the position of a
// publication.
func (m *member) first() (msg protocol.Message, at engine.Position, ok bool) {
	l := m.lag
	switch {
	case m.ref != 0 && l.jumped:
		l.jumped = false
		return gapMessage(m.ref, 0, l.to), at, true
	case m.ref != 0 && l.lost > 0:
		lost := l.lost
		l.lost = 0
		return gapMessage(m.ref, lost, l.end()), at, true
	case len(l.waiting) == 0:
		return msg, at, false
	}
	enc := &l.waiting[0].enc
	msg, at = enc.message(), enc.at
	if m.ref == 0 {
		msg = asSignal(msg)
	} else {
		msg.Ref, msg.Number = m.ref, at.Offset
	}
	l.waiting = l.waiting[1:]
	return msg, at, true
}

// unsendable notes that the client cannot take the publication at a position.
func (m *member) unsendable(l *lag, at engine.Position) {
	m.topic.topics.dropped.Add(1)
	l.lost++
	l.to = at
}

// catchUp sends what was kept until limit bytes are queued or the outbox is full; then goOn goes
// on. When nothing is left the member is live again. The caller holds the topic's mu.
func (m *member) catchUp(f *fan, limit int) {
	for l := m.lag; m.lag != nil && !l.sending; {
		before := *l
		msg, at, ok := m.first()
		if !ok {
			m.lag = nil
			return
		}
		data, err := m.conn.info.Version.Append(nil, msg)
		if err == nil {
			err = m.conn.link.TrySendBelow(&f.out, data, limit)
		}
		switch {
		case err == nil:
		case errors.Is(err, outbox.ErrFull):
			*l = before
			m.awaitRoom(len(data))
			return
		case msg.Kind != protocol.Gap && m.conn.link.Cause() == nil:
			m.unsendable(l, at)
		default: // the connection has ended
			m.lag = nil
		}
	}
}

// end returns the position up to which a member that is told of lost has everything.
func (l *lag) end() engine.Position {
	if len(l.waiting) == 0 {
		return l.to
	}
	at := l.waiting[0].enc.at
	if at.Offset <= 1 {
		return engine.Position{}
	}
	return engine.Position{Epoch: at.Epoch, Offset: at.Offset - 1}
}

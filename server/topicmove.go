package server

import (
	"context"
	"errors"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/internal/logs"
	"github.com/webwire-go/webwire/internal/tasks"
)

// suspendTopics takes a connection out of its topics, whose members it cannot become before
// rejoin, and returns where it was in each. It reports false if that is not known yet:
// what it has missed is being sent. The caller calls rejoin then too.
func (c *Conn) suspendTopics() (all []*membership, ok bool) {
	ms := &c.members
	ms.mu.Lock()
	ms.moving = true
	for again := range ms.again { // it is not yet what it is to be again
		if again.ref == 0 && !again.parted || again.ref != 0 && ms.refs[again.ref] == again.reserved {
			at := *again
			all = append(all, &at)
			again.departure = nil // the copy has it
		}
	}
	ms.again = nil
	ms.await(all...)
	var members []*member
	for _, r := range ms.refs {
		if r.member != nil {
			members = append(members, r.member)
		}
	}
	for _, m := range ms.joined {
		members = append(members, m)
	}
	ms.mu.Unlock()
	for _, m := range members {
		at, known := m.suspend()
		if !known {
			return all, false
		}
		all = append(all, at)
		ms.mu.Lock()
		if m.ref != 0 {
			delete(ms.refs, m.ref)
		} else {
			at.parted = ms.joined[at.topic] != m // since mu was released
			delete(ms.joined, at.topic)
		}
		ms.await(at)
		ms.mu.Unlock()
		if at.departure == nil {
			m.topic.release()
		}
	}
	return all, true
}

// suspend ends a membership and returns where it is. It reports false if that is not known,
// and changes nothing then. The caller releases the topic, unless there is a departure.
func (m *member) suspend() (at *membership, known bool) {
	var f fan
	defer f.flush()
	e := m.topic
	e.mu.Lock()
	defer e.mu.Unlock()
	m.catchUp(&f, lagFrom) // an outbox that is away has room
	if m.left || m.index < 0 || m.lag != nil || m.cut || e.presence.telling(m) {
		return nil, false
	}
	at = &membership{topic: e.name, ref: m.ref, watching: m.watching, info: m.info()}
	if e.opts.History {
		at.at = e.position
		if m.has(at.at) {
			at.at = *m.read
		}
	}
	if !e.opts.Presence {
		e.dismiss(m)
		return at, true
	}
	m.left = true
	e.remove(m)
	e.unwatch(m)
	at.departure = e.depart(m)
	at.id = at.departure.present.ID
	return at, true
}

// rejoin makes a connection a member again of what suspendTopics took it out of, here or at
// another node. It does not wait for the engine.
func (c *Conn) rejoin(all []*membership) {
	ms := &c.members
	ms.mu.Lock()
	ms.moving, ms.coming = false, false
	if ms.over {
		ms.mu.Unlock()
		for _, at := range all {
			at.departure.end(true)
		}
		return
	}
	for _, at := range all {
		if at.ref != 0 {
			at.reserved = ms.reserveLocked(at.ref)
		}
	}
	ms.await(all...)
	ms.mu.Unlock()
	for _, at := range all {
		c.server.topics.work(func() { c.rejoinTopic(at) })
	}
}

// settle makes m the member that at is to become again. It reports whether that is still
// wanted and, if not, whether the membership has ended: else it moves on with the connection.
func (ms *memberships) settle(at *membership, m *member) (wanted, ended bool) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if _, wanted := ms.again[at]; !wanted {
		return false, ms.over && !ms.moving
	}
	delete(ms.again, at)
	if at.ref != 0 {
		if ms.refs[at.ref] != at.reserved {
			return false, true // the client has unsubscribed
		}
		at.reserved.member = m
		return true, false
	}
	if at.parted || ms.joined[at.topic] != nil {
		return false, true // the application was first
	}
	if ms.joined == nil {
		ms.joined = make(map[string]*member)
	}
	ms.joined[at.topic] = m
	return true, false
}

// rejoinTopic tries until it has made the connection a member.
func (c *Conn) rejoinTopic(at *membership) {
	defer c.members.arrived(at)
	t := &c.server.topics
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()
	pause := 50 * time.Millisecond
	for {
		h := &holding{topics: t, ctx: ctx, name: at.topic}
		tasks.RunApart(h)
		if h.err == nil {
			c.rejoinHeld(ctx, h.topic, at)
			return
		}
		if !wait(ctx, pause) {
			return
		}
		pause = min(2*pause, time.Second)
	}
}

// holding is a call of hold that no handler makes, which would recover from a panic of
// Options.Topics.
type holding struct {
	topics *topics
	ctx    context.Context
	name   string
	topic  *topic
	err    error
}

func (h *holding) Run() { h.topic, h.err = h.topics.hold(h.ctx, h.name) }

func (h *holding) Panicked(value any, stack []byte) {
	h.err = errTopicsPanicked
	logPanic(&h.topics.server.log, "Options.Topics", value, stack, "topic", logs.Clean(h.name))
}

var errTopicsPanicked = errors.New("server: Options.Topics panicked")

// rejoinHeld makes the connection a member of a topic that is held for it.
func (c *Conn) rejoinHeld(ctx context.Context, e *topic, at *membership) {
	m := newMember(e, c)
	m.ref, m.watching = at.ref, at.watching && e.opts.Presence
	m.tell(at.id, at.info)
	if wanted, ended := c.members.settle(at, m); !wanted {
		if ended {
			e.neverArrived(at)
		}
		e.release()
		return
	}
	r := &recovery{topic: e, m: m, at: at.at, told: true}
	if !e.opts.History || at.at == (engine.Position{}) {
		r.lost = true
		r.join()
		return
	}
	e.catchingUp(1)
	defer e.catchingUp(-1)
	r.run(ctx)
}

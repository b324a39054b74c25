package server

import (
	"encoding/json"
	"sync"

	"github.com/webwire-go/webwire/engine"
)

// maxSubscriptions is the number of subscriptions of a connection at once.
const maxSubscriptions = 4096

// member is a connection that gets the publications of a topic: once for each subscription
// of its client, and once if the server let it join.
type member struct {
	topic  *topic
	conn   *Conn
	number uint64   // never used twice on this node
	about  *present // what others see of it, see tell; nil if it began here and has no info
	ref    uint32   // that the client has chosen; zero: it gets signals

	// The topic's mu guards the rest.

	index    int32            // in topic.members, -1: it is not live
	read     *engine.Position // up to here it has everything, from the log; nil: it is not ahead of the topic
	lag      *lag             // nil: it keeps up
	watching bool             // it wants to know who else is there; does not change
	left     bool
	cut      bool // its connection is about to end, because its outbox was full
}

// tell sets what others see of the member: the ID that it had at another node, or "", and what
// OnSubscribe returned, or nil.
func (m *member) tell(id string, info json.RawMessage) {
	if id != "" || info != nil {
		m.about = &present{id, info}
	}
}

func (m *member) info() json.RawMessage {
	if m.about == nil {
		return nil
	}
	return m.about.Info
}

// has reports whether the member has what is published at a position, from the log.
func (m *member) has(at engine.Position) bool {
	return m.read != nil && at.Epoch == m.read.Epoch && at.Offset <= m.read.Offset && !at.IsZero()
}

// memberships are what a connection is a member of.
type memberships struct {
	mu     sync.Mutex
	over   bool // the connection has ended
	moving bool // to another node: nothing is joined
	coming bool // from another node: what it is a member of is yet to come, see rejoin
	refs   map[uint32]*reservation
	joined map[string]*member
	again  map[*membership]struct{} // that the connection is to become a member of again, see rejoin
}

// reservation is a ref that is taken. A client that ends a subscription before it is a member
// may take the ref again: then there is another one.
type reservation struct {
	member *member // nil: not a member yet
}

// reserve takes a ref for a subscription to come. It returns nil if it is in use, or if there
// are too many, and reports which.
func (ms *memberships) reserve(ref uint32) (r *reservation, full bool) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if ms.refs[ref] != nil {
		return nil, false
	}
	if len(ms.refs) >= maxSubscriptions {
		return nil, true
	}
	return ms.reserveLocked(ref), false
}

func (ms *memberships) reserveLocked(ref uint32) *reservation {
	if ms.refs == nil {
		ms.refs = make(map[uint32]*reservation)
	}
	r := new(reservation)
	ms.refs[ref] = r
	return r
}

// attach makes m the member with the ref that was reserved for it, and reports whether it is
// still wanted.
func (ms *memberships) attach(m *member, r *reservation) bool {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if ms.refs[m.ref] != r || ms.over || ms.moving {
		return false
	}
	r.member = m
	return true
}

// free undoes reserve, and returns the member, nil if there is none. It reports false, and does
// nothing, if the client has ended the subscription.
func (ms *memberships) free(ref uint32, r *reservation) (m *member, wanted bool) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if ms.refs[ref] != r {
		return nil, false
	}
	delete(ms.refs, ref)
	return r.member, true
}

func (ms *memberships) isMoving() bool {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	return ms.moving
}

// detach frees a ref and returns its member, nil if there is none.
func (ms *memberships) detach(ref uint32) *member {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	r := ms.refs[ref]
	if r == nil {
		return nil
	}
	delete(ms.refs, ref)
	return r.member
}

// join makes m a member by the server's will, unless there is one, or will be one as soon as the
// connection has come from another node. err is why it cannot: after errMoving it may later.
func (ms *memberships) join(m *member) (joined bool, err error) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	awaited := ms.awaits(m.topic.name)
	switch {
	case ms.over:
		return false, ErrConnClosed
	case ms.joined[m.topic.name] != nil, awaited && ms.coming:
		return false, nil
	case awaited, ms.moving: // another member would miss what was published since the connection was one
		return false, errMoving
	}
	if ms.joined == nil {
		ms.joined = make(map[string]*member)
	}
	ms.joined[m.topic.name] = m
	return true, nil
}

// hasParted reports whether a connection that moves has left a topic since it began to.
func (ms *memberships) hasParted() bool {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	for at := range ms.again {
		if at.parted {
			return true
		}
	}
	return false
}

func (ms *memberships) has(topic string) bool {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	return ms.joined[topic] != nil || ms.awaits(topic)
}

// await notes what the connection is to become a member of again. The caller holds mu.
func (ms *memberships) await(all ...*membership) {
	if ms.over || len(all) == 0 {
		return
	}
	if ms.again == nil {
		ms.again = make(map[*membership]struct{}, len(all))
	}
	for _, at := range all {
		ms.again[at] = struct{}{}
	}
}

// awaits reports whether the connection is to become a member of a topic again by the server's
// will. The caller holds mu.
func (ms *memberships) awaits(topic string) bool {
	for at := range ms.again {
		if at.ref == 0 && at.topic == topic && !at.parted {
			return true
		}
	}
	return false
}

func (ms *memberships) part(topic string) *member {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	for at := range ms.again {
		at.parted = at.parted || at.ref == 0 && at.topic == topic
	}
	m := ms.joined[topic]
	delete(ms.joined, topic)
	return m
}

// end returns all members, for the last time.
func (ms *memberships) end() (all []*member) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	ms.over = true
	for _, r := range ms.refs {
		if r.member != nil {
			all = append(all, r.member)
		}
	}
	for _, m := range ms.joined {
		all = append(all, m)
	}
	ms.refs, ms.joined, ms.again = nil, nil, nil
	return all
}

// leaveTopics ends all memberships of a connection that has ended.
func (c *Conn) leaveTopics() {
	for _, m := range c.members.end() {
		m.leave()
	}
}

// admit makes m a live member. The caller holds mu.
func (e *topic) admit(m *member) {
	if m.left {
		return
	}
	m.index = int32(len(e.members))
	e.members = append(e.members, m)
	e.entered(m)
}

// leave ends a membership, once.
func (m *member) leave() {
	e := m.topic
	e.mu.Lock()
	left := m.left
	e.dismiss(m)
	e.mu.Unlock()
	if !left {
		e.release()
	}
}

// dismiss makes m nothing that the topic knows. The caller holds mu, and calls release
// afterwards if m had not left.
func (e *topic) dismiss(m *member) {
	if m.left {
		return
	}
	m.left = true
	if m.lag != nil {
		e.topics.dropped.Add(uint64(len(m.lag.waiting)))
		m.lag = nil
	}
	if m.index >= 0 {
		e.remove(m)
		e.exited(m)
	}
}

// remove takes a live member from the list of them.
func (e *topic) remove(m *member) {
	last := len(e.members) - 1
	moved := e.members[last]
	moved.index, e.members[m.index] = m.index, moved
	e.members[last] = nil
	e.members = e.members[:last]
	m.index = -1
}

// conns returns the connections of this node that are members, each once.
func (e *topic) conns() []*Conn {
	e.mu.Lock()
	defer e.mu.Unlock()
	seen := make(map[*Conn]struct{}, len(e.members))
	all := make([]*Conn, 0, len(e.members))
	for _, m := range e.members {
		if _, ok := seen[m.conn]; !ok {
			seen[m.conn] = struct{}{}
			all = append(all, m.conn)
		}
	}
	return all
}

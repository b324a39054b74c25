package client

import (
	"encoding/json"
	"slices"
	"sync"

	"github.com/webwire-go/webwire/protocol"
)

// subscriptions finds subscriptions by the refs that the client has chosen for them. No ref
// is used twice, on any connection.
type subscriptions struct {
	mu    sync.Mutex
	last  uint32
	byRef map[uint32]*Subscription
}

// add returns a ref for a subscription.
func (t *subscriptions) add(s *Subscription) uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byRef == nil {
		t.byRef = make(map[uint32]*Subscription)
	}
	t.last++
	t.byRef[t.last] = s
	return t.last
}

func (t *subscriptions) forget(ref uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byRef, ref)
}

func (t *subscriptions) find(ref uint32) *Subscription {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byRef[ref]
}

// doubt tells all subscriptions that messages were lost, of which nobody knows whose.
func (t *subscriptions) doubt() {
	t.mu.Lock()
	all := make([]*Subscription, 0, len(t.byRef))
	for _, s := range t.byRef {
		all = append(all, s)
	}
	t.mu.Unlock()
	for _, s := range all {
		s.doubt()
	}
}

// subscribed passes a message on to its subscription, if there still is one.
func (s *serving) subscribed(m protocol.Message) {
	to := s.client.subs.find(m.Ref)
	if to == nil {
		s.link.Drop()
		return
	}
	if err := to.receive(s.link, m); err != nil {
		s.violated(err)
	}
}

// seen is what the application knows of the members of a topic.
type seen struct {
	members map[string]json.RawMessage
	loading map[string]json.RawMessage // a snapshot that is not complete
	ref     uint32                     // of that
}

// seenMember is a member as the server tells of it.
type seenMember struct {
	ID   string          `json:"id"`
	Info json.RawMessage `json:"data"`
}

// tellPresence tells the application what a presence message changes. What cannot be read
// it ignores.
func (s *Subscription) tellPresence(p *protocol.PresenceBody) {
	for _, e := range s.seen.changes(p) {
		s.opts.Presence(e)
	}
}

// changes returns what a presence message changes.
func (s *seen) changes(p *protocol.PresenceBody) []PresenceEvent {
	switch p.Op {
	case protocol.PresencePart, protocol.PresenceEnd:
		return s.load(p)
	case protocol.PresenceEnter, protocol.PresenceUpdate, protocol.PresenceLeave:
		var m seenMember
		if json.Unmarshal(p.Data, &m) != nil {
			return nil
		}
		return s.set(nil, m, p.Op == protocol.PresenceLeave)
	}
	return nil
}

// load takes a part of a snapshot, which counts when it is complete.
func (s *seen) load(p *protocol.PresenceBody) (events []PresenceEvent) {
	if s.loading == nil || s.ref != p.Ref {
		s.loading, s.ref = make(map[string]json.RawMessage), p.Ref
	}
	var part []seenMember
	_ = json.Unmarshal(p.Data, &part) // see tellPresence
	for _, m := range part {
		s.loading[m.ID] = m.Info
	}
	if p.Op != protocol.PresenceEnd {
		return nil
	}
	for id := range s.members {
		if _, there := s.loading[id]; !there {
			events = s.set(events, seenMember{ID: id}, true)
		}
	}
	for id, info := range s.loading {
		events = s.set(events, seenMember{id, info}, false)
	}
	s.loading = nil
	return events
}

// set changes what is known of a member, and appends the event if that is new.
func (s *seen) set(events []PresenceEvent, m seenMember, gone bool) []PresenceEvent {
	before, known := s.members[m.ID]
	op := protocol.PresenceEnter
	switch {
	case gone && !known, !gone && known && slices.Equal(before, m.Info):
		return events
	case gone:
		delete(s.members, m.ID)
		return append(events, PresenceEvent{Op: protocol.PresenceLeave, ID: m.ID})
	case known:
		op = protocol.PresenceUpdate
	}
	if s.members == nil {
		s.members = make(map[string]json.RawMessage)
	}
	s.members[m.ID] = m.Info
	return append(events, PresenceEvent{op, m.ID, m.Info})
}

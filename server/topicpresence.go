package server

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/protocol"
)

const (
	maxPresent    = 1000 // members of a topic and node that are listed; above that they are counted
	recordEvery   = 250 * time.Millisecond
	refreshEvery  = 10 * time.Second // of what watchers know
	settling      = 5 * time.Second  // for which a record may contradict what was told
	snapshotParts = 100              // members
)

// present is a member as nodes and clients see it.
type present struct {
	ID   string          `json:"id"`
	Info json.RawMessage `json:"data,omitempty"`
}

// record is what a node puts into the roster for a topic.
type record struct {
	Count   int       `json:"count"`
	Members []present `json:"members,omitempty"` // none if there are more than maxPresent
	Moving  []present `json:"moving,omitempty"`  // to other nodes, see departure; in Count if Members is missing
}

// presence is who is known to be in a topic. The topic's mu guards it.
type presence struct {
	events  []protocol.PresenceBody // of this node, to be told
	dirty   bool                    // the record of this node has changed
	running bool                    // announce
	leaving map[string]*departure   // by id

	watchers map[*member]bool // true: it has its snapshot; nil: nobody watches
	known    map[string]seen  // nil: not loaded yet
	early    []protocol.PresenceBody
	refresh  *time.Timer
}

type seen struct {
	present
	here  bool
	gone  bool      // its node has said that it left: an ID is never used again
	since time.Time // when it came, or left
}

func (p *presence) stop() {
	if p != nil && p.refresh != nil {
		p.refresh.Stop()
	}
}

// present returns how others see m.
func (m *member) present() present {
	var p present
	if m.about != nil {
		p = *m.about
	}
	if p.ID == "" {
		p.ID = m.topic.topics.self.String() + "." + strconv.FormatUint(m.number, 36)
	}
	return p
}

// entered and exited tell that m is or was a live member. The caller holds mu.
func (e *topic) entered(m *member) {
	if !e.opts.Presence {
		return
	}
	who := m.present()
	delete(e.presence.leaving, who.ID)
	e.announceLater(protocol.PresenceEnter, who) // who knows it already ignores that
	if m.watching {
		if e.presence.watchers == nil {
			e.presence.watchers = make(map[*member]bool)
		}
		e.presence.watchers[m] = false
		if e.presence.known == nil {
			e.topics.work(e.refreshPresence)
		} else {
			e.showPresence()
		}
	}
}

func (e *topic) exited(m *member) {
	if !e.opts.Presence {
		return
	}
	e.announceLater(protocol.PresenceLeave, m.present())
	e.unwatch(m)
}

func (e *topic) unwatch(m *member) {
	p := e.presence
	delete(p.watchers, m)
	if len(p.watchers) == 0 {
		p.known, p.early = nil, nil
		p.stop()
	}
}

func (e *topic) announceLater(op protocol.PresenceOp, who present) {
	data, err := json.Marshal(who)
	if err != nil {
		return // OnSubscribe's result was encoded before
	}
	e.presence.events = append(e.presence.events, protocol.PresenceBody{Ref: 1, Op: op, Data: data})
	e.presence.dirty = true
	e.startAnnouncing()
}

// changed has the record of this node put again.
func (e *topic) changed() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.opts.Presence {
		e.presence.dirty = true
		e.startAnnouncing()
	}
}

func (e *topic) startAnnouncing() {
	p := e.presence
	if !p.running {
		p.running = e.topics.work(e.announce)
	}
}

// announce tells all nodes what has changed, and puts the record of this node, at most
// every recordEvery.
func (e *topic) announce() {
	t := e.topics
	for {
		e.mu.Lock()
		p := e.presence
		events, dirty := p.events, p.dirty
		p.events, p.dirty = nil, false
		obsolete := e.stopped && t.find(e.name) != nil // another topic of this name puts the record
		if len(events) == 0 && !dirty || obsolete {
			p.running = false
			e.mu.Unlock()
			return
		}
		data := e.record()
		e.mu.Unlock()
		if !e.tell(events, data) {
			e.changedAgain()
			if !wait(t.ctx, time.Second) {
				return
			}
		}
		if !wait(t.ctx, recordEvery) {
			return
		}
	}
}

func (e *topic) changedAgain() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.presence.dirty = true
}

// tell reports whether the record could be put. Watchers that miss an event learn of it by
// the next refresh.
func (e *topic) tell(events []protocol.PresenceBody, record []byte) bool {
	t := e.topics
	ctx, cancel := context.WithTimeout(t.ctx, engineTimeout)
	defer cancel()
	err := t.engine.Roster.Put(ctx, e.name, record)
	for _, event := range events {
		if msg, err := protocol.V3_0.Append(nil, event.Message()); err == nil {
			_ = t.fault("publish", e.name, t.engine.Bus.Publish(ctx, e.name, msg)) // it is logged
		}
	}
	return t.fault("put", e.name, err) == nil
}

// record returns the record of this node, nil if it has no members.
func (e *topic) record() []byte {
	moving := e.presence.leaving
	r := record{Count: len(e.members)}
	switch all := len(e.members) + len(moving); {
	case all == 0:
		return nil
	case all > maxPresent:
		r.Count = all
	default:
		for _, m := range e.members {
			r.Members = append(r.Members, m.present())
		}
		for _, d := range moving {
			r.Moving = append(r.Moving, d.present)
		}
	}
	data, _ := json.Marshal(r) // infos were encoded before
	return data
}

// records returns what all nodes have put about a topic. That of this node is up to date.
func (t *topics) records(ctx context.Context, name string) (map[engine.NodeID]record, error) {
	lists, err := t.engine.Roster.List(ctx, name)
	if err != nil {
		return nil, t.fault("list", name, err)
	}
	all := make(map[engine.NodeID]record, len(lists))
	for _, l := range lists {
		var r record
		if l.Node != t.self && json.Unmarshal(l.Data, &r) == nil {
			all[l.Node] = r
		}
	}
	if e := t.find(name); e != nil {
		e.mu.Lock()
		defer e.mu.Unlock()
		var r record
		if json.Unmarshal(e.record(), &r) == nil {
			all[t.self] = r
		}
	}
	return all, nil
}

// everybody returns the members that records list, each once, and how many members there are.
// One whose connection has just moved may be in the records of two nodes.
func everybody(records map[engine.NodeID]record) (all []present, count int) {
	known := make(map[string]struct{})
	add := func(who present) (added int) {
		if _, ok := known[who.ID]; ok {
			return 0
		}
		known[who.ID] = struct{}{}
		all = append(all, who)
		return 1
	}
	for _, r := range records {
		count += r.Count - len(r.Members)
		for _, who := range r.Members {
			count += add(who)
		}
	}
	for _, r := range records {
		for _, who := range r.Moving {
			count += add(who)
		}
	}
	return all, count
}

// hear reports whether a delivery is about presence, which it handles.
func (e *topic) hear(d engine.Delivery) bool {
	m, err := protocol.V3_0.Parse(d.Data)
	if err != nil || m.Kind != protocol.Presence || !d.At.IsZero() {
		return false
	}
	event, err := m.Presence()
	if err != nil {
		return true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch p := e.presence; {
	case p == nil || len(p.watchers) == 0:
	case p.known == nil:
		p.early = append(p.early, event)
	default:
		e.noticePresence(event)
	}
	return true
}

// noticePresence tells the watchers that somebody came or left, as a node has said. The caller
// holds mu.
func (e *topic) noticePresence(event protocol.PresenceBody) {
	var who present
	if json.Unmarshal(event.Data, &who) != nil {
		return
	}
	e.notice(event, who)
	if event.Op == protocol.PresenceLeave {
		now := e.presence.known[who.ID]
		if now.since.IsZero() {
			now.since = time.Now()
		}
		now.present, now.gone = who, true // that it came may be heard later, from a node where it was before
		e.presence.known[who.ID] = now
	}
}

// notice tells the watchers that somebody came or left, if that is new. The caller holds mu.
func (e *topic) notice(event protocol.PresenceBody, who present) {
	here := event.Op == protocol.PresenceEnter
	before := e.presence.known[who.ID]
	if here == before.here || before.gone {
		return
	}
	e.presence.known[who.ID] = seen{present: who, here: here, since: time.Now()}
	for m, shown := range e.presence.watchers {
		if shown {
			e.sendPresence(m, event.Op, event.Data)
		}
	}
}

// refreshPresence loads who is present, and finds what was not told: a node that has gone
// tells nothing.
func (e *topic) refreshPresence() {
	ctx, cancel := context.WithTimeout(e.topics.ctx, engineTimeout)
	defer cancel()
	records, err := e.topics.records(ctx, e.name)
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.presence
	if len(p.watchers) == 0 || e.stopped {
		return
	}
	if p.refresh == nil {
		p.refresh = time.AfterFunc(refreshEvery, func() { e.topics.work(e.refreshPresence) })
	} else {
		p.refresh.Reset(refreshEvery)
	}
	if err != nil {
		return
	}
	if p.known == nil {
		p.known = make(map[string]seen)
	}
	now := make(map[string]struct{})
	all, _ := everybody(records)
	for _, who := range all {
		now[who.ID] = struct{}{}
		if before := p.known[who.ID]; !before.here && time.Since(before.since) > settling {
			e.noticeAs(protocol.PresenceEnter, who)
		}
	}
	for id, before := range p.known {
		if _, here := now[id]; !here && time.Since(before.since) > settling {
			if before.here {
				e.noticeAs(protocol.PresenceLeave, before.present)
			} else {
				delete(p.known, id)
			}
		}
	}
	for _, event := range p.early {
		e.noticePresence(event)
	}
	p.early = nil
	e.showPresence()
}

func (e *topic) noticeAs(op protocol.PresenceOp, who present) {
	data, _ := json.Marshal(who) // it was decoded
	e.notice(protocol.PresenceBody{Op: op, Data: data}, who)
}

// showPresence sends the snapshot to watchers that do not have it. The caller holds mu.
func (e *topic) showPresence() {
	var all []present
	for _, who := range e.presence.known {
		if who.here {
			all = append(all, who.present)
		}
	}
	for m, shown := range e.presence.watchers {
		if shown {
			continue
		}
		e.presence.watchers[m] = true
		rest := all
		for len(rest) > snapshotParts {
			e.sendSnapshot(m, protocol.PresencePart, rest[:snapshotParts])
			rest = rest[snapshotParts:]
		}
		e.sendSnapshot(m, protocol.PresenceEnd, rest)
	}
}

func (e *topic) sendSnapshot(m *member, op protocol.PresenceOp, part []present) {
	if part == nil {
		part = []present{}
	}
	data, _ := json.Marshal(part) // it was decoded
	e.sendPresence(m, op, data)
}

func (e *topic) sendPresence(m *member, op protocol.PresenceOp, data []byte) {
	msg, err := protocol.V3_0.Append(nil, protocol.PresenceBody{Ref: m.ref, Op: op, Data: data}.Message())
	if err == nil {
		err = m.conn.link.TrySendEncoded(msg)
	}
	if err != nil {
		m.conn.tooSlow() // does nothing if the connection has ended
	}
}

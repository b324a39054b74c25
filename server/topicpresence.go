package server

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/internal/logs"
	"github.com/webwire-go/webwire/protocol"
)

const (
	maxPresent  = 1000      // members of a topic and node that are listed; above that they are counted
	maxRecord   = 1_000_000 // bytes of a record that lists members; NATS takes 1 MiB by default
	recordEvery = 250 * time.Millisecond
)

// present is a member as nodes and clients see it.
type present struct {
	ID   string          `json:"id"`
	Info json.RawMessage `json:"data,omitempty"`
}

// record is what a node puts into the roster for a topic.
type record struct {
	Count   int       `json:"count"`
	Members []present `json:"members,omitempty"` // none if there are too many
	Moving  []present `json:"moving,omitempty"`  // to other nodes, see departure; in Count if Members is missing
}

// counts reports whether r has members that it does not list.
func (r record) counts() bool { return r.Count > len(r.Members) }

// news is what nodes tell one another of a member that comes or leaves.
type news struct {
	present
	Node string `json:"node,omitempty"` // where it is
}

// presence is who is known to be in a topic. The topic's mu guards it.
type presence struct {
	events  []protocol.PresenceBody // of this node, to be told; the data is news
	dirty   bool                    // the record of this node has changed
	running bool                    // announce
	hurried chan struct{}           // see hurry
	most    int                     // bytes of a record that lists members
	leaving map[string]*departure   // by id

	watchers map[*member]*watch // nil: it has yet to get its snapshot
	known    map[string]seen    // nil: not loaded yet
	loading  bool               // refreshPresence runs
	early    []protocol.PresenceBody
	again    bool // more was heard than early takes: what is being loaded is not all
	refresh  *time.Timer
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
		e.watch(m)
	}
}

func (e *topic) exited(m *member) {
	if !e.opts.Presence {
		return
	}
	e.announceLater(protocol.PresenceLeave, m.present())
	e.unwatch(m)
}

func (e *topic) announceLater(op protocol.PresenceOp, who present) {
	data, err := json.Marshal(news{who, e.topics.self.String()})
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
		e.presence.most = maxRecord // the engine may take more than before
		e.startAnnouncing()
	}
}

func (e *topic) startAnnouncing() {
	p := e.presence
	if !p.running && !e.stopped {
		p.running = e.topics.work(e.announce)
	}
}

// announce tells all nodes what has changed, and puts the record of this node, at most
// every recordEvery, unless the topic is spare.
func (e *topic) announce() {
	t := e.topics
	for {
		e.mu.Lock()
		p := e.presence
		events, dirty := p.events, p.dirty
		p.events, p.dirty = nil, false
		if len(events) == 0 && !dirty {
			p.running = false
			e.mu.Unlock()
			e.told()
			return
		}
		data := e.record()
		e.mu.Unlock()
		if err := e.tell(events, data); err != nil && !e.shorten(err, len(data)) && !wait(t.ctx, time.Second) {
			return
		}
		if !e.pause() {
			return
		}
	}
}

// pause waits for recordEvery, or until the topic is spare. It reports false if the server is closed.
func (e *topic) pause() bool {
	ctx := e.topics.ctx
	if e.isSpare() {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(recordEvery)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-e.presence.hurried:
		return true
	case <-ctx.Done():
		return false
	}
}

// hurry ends a pause of announce.
func (p *presence) hurry() {
	select {
	case p.hurried <- struct{}{}:
	default: // it ends already
	}
}

// shorten has the record put again that the engine has not taken. It reports whether that was
// too long: then it is put without members.
func (e *topic) shorten(err error, size int) bool {
	e.mu.Lock()
	p := e.presence
	p.dirty = true
	first, long := p.most == maxRecord, errors.Is(err, engine.ErrTooBig) && size <= p.most
	if long {
		p.most = size - 1
	}
	e.mu.Unlock()
	if long && first {
		e.topics.server.log.Write(engineFailed, "webwire: engine failed", "operation", "put", "topic", logs.Clean(e.name),
			"error", logs.Text(err)+"; the members on this node are counted, and not listed")
	}
	return long
}

// tell returns why the record could not be put. Watchers that miss an event learn of it by
// the next refresh.
func (e *topic) tell(events []protocol.PresenceBody, record []byte) error {
	t := e.topics
	ctx, cancel := context.WithTimeout(t.ctx, engineTimeout)
	defer cancel()
	err := t.engine.Roster.Put(ctx, e.name, record)
	for _, event := range events {
		if msg, err := protocol.V3_0.Append(nil, event.Message()); err == nil {
			_ = t.fault("publish", e.name, t.engine.Bus.Publish(ctx, e.name, msg)) // it is logged
		}
	}
	return t.fault("put", e.name, err)
}

// record returns the record of this node, nil if it has no members.
func (e *topic) record() []byte {
	moving := e.presence.leaving
	all := len(e.members) + len(moving)
	if all == 0 {
		return nil
	}
	if all <= maxPresent {
		r := record{Count: len(e.members)}
		for _, m := range e.members {
			r.Members = append(r.Members, m.present())
		}
		for _, d := range moving {
			r.Moving = append(r.Moving, d.present)
		}
		if data, _ := json.Marshal(r); len(data) <= e.presence.most { // infos were encoded before
			return data
		}
	}
	data, _ := json.Marshal(record{Count: all})
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

package server

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/internal/outbox"
	"github.com/webwire-go/webwire/protocol"
)

const (
	refreshEvery = 10 * time.Second // of what watchers know
	settling     = 5 * time.Second  // for which a record may contradict what was told
	maxChanges   = maxPresent       // that wait for a watcher; above that it gets another snapshot
	partSize     = 16 << 10         // bytes of a part of a snapshot, unless one member needs more
	maxFlush     = time.Second      // for which a part waits until it is written
	presenceHead = 6                // bytes of a message before its JSON
)

// seen is what this node knows of a member.
type seen struct {
	present
	node  string // where it is; "": unknown
	here  bool
	gone  bool      // its node has said that it left: an ID is never used again
	since time.Time // when it came, or left
}

// watch is what a watcher has yet to get. The topic's mu guards it.
type watch struct {
	sending bool     // by a goroutine: the snapshot, and then waiting
	waiting []change // since the snapshot
	missed  bool     // too much has changed since
}

// change is what watchers are told of a member.
type change struct {
	op   protocol.PresenceOp
	who  present
	data []byte // who
}

func (p *presence) stop() {
	if p.refresh != nil {
		p.refresh.Stop()
	}
}

// telling reports whether m has yet to get some of what is there for it.
func (p *presence) telling(m *member) bool {
	if p == nil {
		return false
	}
	w := p.watchers[m]
	return w != nil && w.sending
}

// watch tells m who is present from now on. The caller holds mu.
func (e *topic) watch(m *member) {
	p := e.presence
	if p.watchers == nil {
		p.watchers = make(map[*member]*watch)
	}
	p.watchers[m] = nil
	if p.known == nil {
		e.loadPresence()
	} else {
		e.showPresence()
	}
}

func (e *topic) unwatch(m *member) {
	p := e.presence
	delete(p.watchers, m)
	if len(p.watchers) > 0 {
		return
	}
	p.known = nil
	p.stop()
	if !p.loading { // for a watcher that comes meanwhile
		p.early = nil
	}
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
	case p == nil || len(p.watchers) == 0 && !p.loading:
	case p.known != nil:
		e.noticePresence(event)
	case len(p.early) < maxChanges:
		p.early = append(p.early, event)
	default:
		p.early, p.again = nil, true
	}
	return true
}

// noticePresence tells the watchers that somebody came or left, as a node has said. The caller
// holds mu.
func (e *topic) noticePresence(event protocol.PresenceBody) {
	var who news
	if json.Unmarshal(event.Data, &who) != nil {
		return
	}
	e.notice(event.Op, who.present)
	now := e.presence.known[who.ID]
	switch {
	case event.Op == protocol.PresenceLeave:
		if now.since.IsZero() {
			now.since = time.Now()
		}
		now.present, now.gone = who.present, true // that it came may be heard later, from a node where it was before
	case now.here:
		now.node = who.Node
	default:
		return
	}
	e.presence.known[who.ID] = now
}

// notice tells the watchers that somebody came or left, if that is new. The caller holds mu.
func (e *topic) notice(op protocol.PresenceOp, who present) {
	here := op == protocol.PresenceEnter
	before := e.presence.known[who.ID]
	if here == before.here || before.gone {
		return
	}
	e.presence.known[who.ID] = seen{present: who, here: here, since: time.Now()}
	data, _ := json.Marshal(who) // it was decoded
	now := change{op, who, data}
	for m, w := range e.presence.watchers {
		switch {
		case w == nil: // its snapshot will have it
		case !w.sending && m.trySendPresence(m.presenceOf(now)):
		case len(w.waiting) < maxChanges:
			w.waiting = append(w.waiting, now)
			e.startShowing(m, w, nil)
		default:
			w.waiting, w.missed = nil, true
		}
	}
}

// loadPresence loads who is present, unless that is being done.
func (e *topic) loadPresence() {
	p := e.presence
	if !p.loading && !e.stopped {
		p.loading = e.topics.work(e.refreshPresence)
	}
}

// refreshPresence loads who is present, and finds what was not told: a node that has gone
// tells nothing.
func (e *topic) refreshPresence() {
	ctx, cancel := context.WithTimeout(e.topics.ctx, engineTimeout)
	defer cancel()
	asked := time.Now()
	records, err := e.topics.records(ctx, e.name)
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.presence
	p.loading = false
	if len(p.watchers) == 0 || e.stopped {
		p.early = nil
		return
	}
	if p.refresh == nil {
		p.refresh = time.AfterFunc(refreshEvery, func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.loadPresence()
		})
	} else {
		p.refresh.Reset(refreshEvery)
	}
	if err != nil {
		p.forget(asked)
		return
	}
	if p.again { // too much has changed meanwhile
		p.again = false
		e.loadPresence()
		return
	}
	if p.known == nil {
		p.known = make(map[string]seen)
	}
	e.compareRecords(records, asked)
	for _, event := range p.early {
		e.noticePresence(event)
	}
	p.early = nil
	e.showPresence()
}

// forget forgets who left long before a time.
func (p *presence) forget(at time.Time) {
	for id, who := range p.known {
		if !who.here && at.Sub(who.since) > settling {
			delete(p.known, id)
		}
	}
}

// compareRecords tells the watchers what they do not know yet from records that were asked for at
// a time. The caller holds mu.
func (e *topic) compareRecords(records map[engine.NodeID]record, asked time.Time) {
	p := e.presence
	at := make(map[string]string)   // the node of each member that is listed
	counts := make(map[string]bool) // nodes that do not list their members; "": there is one
	for node, r := range records {
		if r.counts() {
			counts[node.String()], counts[""] = true, true
		}
		for _, who := range r.Members {
			at[who.ID] = node.String()
		}
	}
	all, _ := everybody(records)
	listed := make(map[string]struct{}, len(all))
	for _, who := range all {
		listed[who.ID] = struct{}{}
		if before := p.known[who.ID]; !before.here && asked.Sub(before.since) > settling {
			e.notice(protocol.PresenceEnter, who)
		}
		if now := p.known[who.ID]; now.here {
			now.node = at[who.ID]
			p.known[who.ID] = now
		}
	}
	for id, before := range p.known {
		_, here := listed[id]
		switch {
		case here || asked.Sub(before.since) <= settling:
		case !before.here:
			delete(p.known, id)
		case !counts[before.node]:
			e.notice(protocol.PresenceLeave, before.present)
		}
	}
}

// here returns the members that this node knows, not nil. The caller holds mu.
func (p *presence) here() []present {
	all := make([]present, 0, len(p.known))
	for _, who := range p.known {
		if who.here {
			all = append(all, who.present)
		}
	}
	return all
}

// showPresence has the snapshot sent to watchers that do not have it. The caller holds mu.
func (e *topic) showPresence() {
	all := e.presence.here()
	for m, w := range e.presence.watchers {
		if w == nil {
			w = new(watch)
			e.presence.watchers[m] = w
			e.startShowing(m, w, all)
		}
	}
}

// startShowing has a watcher told of all, and then of what waits for it. The caller holds mu.
func (e *topic) startShowing(m *member, w *watch, all []present) {
	if !w.sending {
		w.sending = e.topics.work(func() { e.show(m, w, all) })
	}
}

// show sends a watcher the snapshot, unless it is nil, and then what has changed meanwhile, as it
// reads.
func (e *topic) show(m *member, w *watch, all []present) {
	var changes []change
	for ok := true; ok; changes, all, ok = e.nextChanges(m, w) {
		if all != nil && !e.sendSnapshot(m, w, all) {
			return
		}
		sent := 0 // bytes since it was waited for
		for _, c := range changes {
			body := m.presenceOf(c)
			sent += len(body.Data)
			if !m.sendPresence(body, sent >= partSize) {
				return
			}
			sent %= partSize
		}
	}
}

// nextChanges returns what a watcher has to be told next, or the snapshot that it needs instead.
// It reports false if there is nothing, and then the watcher is told at once what changes.
func (e *topic) nextChanges(m *member, w *watch) (changes []change, all []present, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	changes, w.waiting = w.waiting, nil
	switch {
	case e.presence.watchers[m] != w:
		return nil, nil, false
	case w.missed:
		w.missed = false
		return nil, e.presence.here(), true
	case len(changes) == 0:
		w.sending = false
	}
	return changes, nil, w.sending
}

func (e *topic) isWatching(m *member, w *watch) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.presence.watchers[m] == w
}

// sendSnapshot reports false if it is not wanted any more.
func (e *topic) sendSnapshot(m *member, w *watch, all []present) bool {
	for op := protocol.PresencePart; op == protocol.PresencePart; {
		data, n := m.part(all)
		if all = all[n:]; len(all) == 0 {
			op = protocol.PresenceEnd
		}
		if !e.isWatching(m, w) || !m.sendPresence(protocol.PresenceBody{Ref: m.ref, Op: op, Data: data}, true) {
			return false
		}
	}
	return true
}

// sendPresence waits for room, and if written is true until the message is written: there must be
// room in the outbox for what does not wait. It reports false if the connection has ended.
func (m *member) sendPresence(body protocol.PresenceBody, written bool) bool {
	l := m.conn.link
	_ = l.Send(l.Context(), body.Message()) // fails if the connection has ended, see below
	if written {
		done := make(chan struct{})
		l.WhenRoom(0, 0, func(int) { close(done) }) // it has no room for anything: when all is written
		timer := time.NewTimer(maxFlush)
		defer timer.Stop()
		select {
		case <-done:
		case <-timer.C:
		case <-l.Context().Done():
		}
	}
	return l.Cause() == nil
}

// trySendPresence reports whether there is room in the outbox, or will be none any more.
func (m *member) trySendPresence(body protocol.PresenceBody) bool {
	msg, err := protocol.V3_0.Append(nil, body.Message())
	if err == nil {
		err = m.conn.link.TrySendEncoded(msg)
	}
	return !errors.Is(err, outbox.ErrFull)
}

// part encodes members until a part of a snapshot is full, and returns their number.
func (m *member) part(all []present) (data []byte, n int) {
	room := partSize
	if limit := m.conn.limit; limit > 0 {
		room = min(room, limit-presenceHead)
	}
	data = append(data, '[')
	for ; n < len(all); n++ {
		who, _ := json.Marshal(all[n]) // it was decoded
		who = m.fit(all[n], who)
		if n > 0 {
			if len(data)+len(",")+len(who)+len("]") > room {
				break
			}
			data = append(data, ',')
		}
		data = append(data, who...)
	}
	return append(data, ']'), n
}

func (m *member) presenceOf(c change) protocol.PresenceBody {
	return protocol.PresenceBody{Ref: m.ref, Op: c.op, Data: m.fit(c.who, c.data)}
}

// fit returns data, which is who, or who without its info if the client of m takes no message of
// that length.
func (m *member) fit(who present, data []byte) []byte {
	if limit := m.conn.limit; limit > 0 && presenceHead+len("[]")+len(data) > limit {
		data, _ = json.Marshal(present{ID: who.ID}) // it was decoded
	}
	return data
}

package client

import (
	"bytes"
	"encoding/json"

	"github.com/webwire-go/webwire/protocol"
)

const (
	maxMembers = 5 << 20 // bytes of a set of members; the documentation names the limit
	memberCost = 96      // bytes of a member besides its id and info: its place in the map, and rounding
)

// members are members of a topic: their infos by id, as JSON, empty for none.
type members struct {
	infos map[string]string
	bytes int
}

// add adds a member, or changes its info.
func (s *members) add(id string, info []byte) error {
	before, there := s.infos[id]
	bytes := s.bytes + len(info) - len(before)
	if !there {
		bytes += len(id) + memberCost
	}
	if bytes > maxMembers {
		return ErrTooManyMembers
	}
	if s.infos == nil {
		s.infos = make(map[string]string)
	}
	s.infos[id], s.bytes = string(info), bytes
	return nil
}

// remove reports whether the member was there.
func (s *members) remove(id string) bool {
	info, there := s.infos[id]
	if there {
		delete(s.infos, id)
		s.bytes -= len(id) + len(info) + memberCost
	}
	return there
}

// seen is what the application knows of the members of a topic.
type seen struct {
	known   members
	loading members // a snapshot that is not complete
	ref     uint32  // of that; zero: there is none
}

// seenMember is a member as the server tells of it.
type seenMember struct {
	ID   string          `json:"id"`
	Info json.RawMessage `json:"data"`
}

// tellPresence tells the application what a presence message changes, and ends the
// subscription if there are too many members.
func (s *Subscription) tellPresence(p *protocol.PresenceBody) {
	if err := s.seen.take(p, s.opts.Presence); err != nil {
		s.seen = seen{}
		s.forsake(err)
	}
}

// take tells what a presence message changes. What cannot be read it ignores.
func (s *seen) take(p *protocol.PresenceBody, tell func(PresenceEvent)) error {
	if p.Op == protocol.PresencePart || p.Op == protocol.PresenceEnd {
		return s.load(p, tell)
	}
	var m seenMember
	if json.Unmarshal(p.Data, &m) != nil {
		return nil
	}
	if p.Op == protocol.PresenceLeave {
		if s.known.remove(m.ID) {
			tell(PresenceEvent{Op: protocol.PresenceLeave, ID: m.ID})
		}
		return nil
	}
	before, known := s.known.infos[m.ID]
	if err := s.known.add(m.ID, m.Info); err != nil {
		return err
	}
	tellOf(m.ID, m.Info, before, known, tell)
	return nil
}

// load takes a part of a snapshot, which counts when it is complete.
func (s *seen) load(p *protocol.PresenceBody, tell func(PresenceEvent)) error {
	if s.ref != p.Ref {
		s.loading, s.ref = members{}, p.Ref
	}
	if err := s.loading.addPart(p.Data); err != nil || p.Op != protocol.PresenceEnd {
		return err
	}
	before := s.known
	s.known, s.loading, s.ref = s.loading, members{}, 0
	for id := range before.infos {
		if _, there := s.known.infos[id]; !there {
			tell(PresenceEvent{Op: protocol.PresenceLeave, ID: id})
		}
	}
	for id, info := range s.known.infos {
		old, known := before.infos[id]
		tellOf(id, []byte(info), old, known, tell)
	}
	return nil
}

// addPart adds the members of a part of a snapshot, one by one: a list of them all could take
// many times the memory of the message.
func (s *members) addPart(list []byte) error {
	if !json.Valid(list) {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(list))
	if start, _ := d.Token(); start != json.Delim('[') {
		return nil
	}
	for d.More() {
		var m seenMember
		if d.Decode(&m) != nil {
			continue // it is no member
		}
		if err := s.add(m.ID, m.Info); err != nil {
			return err
		}
	}
	return nil
}

// tellOf tells of a member that is there, unless before, what was known of it, says the same.
func tellOf(id string, info []byte, before string, known bool, tell func(PresenceEvent)) {
	e := PresenceEvent{Op: protocol.PresenceEnter, ID: id}
	switch {
	case known && before == string(info):
		return
	case known:
		e.Op = protocol.PresenceUpdate
	}
	if len(info) > 0 {
		e.Info = info
	}
	tell(e)
}

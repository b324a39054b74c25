package server

import (
	"time"

	"github.com/webwire-go/webwire/protocol"
)

// departing is for how long a node goes on listing the members of a connection that it has
// handed over: the other node puts its record in the meantime, and is not missed by anybody who
// lists the members.
const departing = 2 * time.Second

// departure is a member on its way to another node, or back. To the others it is there all
// the time, with the same id. It holds the topic.
type departure struct {
	topic   *topic
	present present
}

// depart notes that a member of a topic with presence leaves this node, or may do so. The
// caller holds mu and has removed it.
func (e *topic) depart(m *member) *departure {
	d := &departure{e, m.present()}
	if e.presence.leaving == nil {
		e.presence.leaving = make(map[string]*departure)
	}
	e.presence.leaving[d.present.ID] = d
	return d
}

// end ends a departure, once. Unless the member is back, this node lists it no longer; gone
// says that it is nowhere else either, which the others are told.
func (d *departure) end(gone bool) {
	if d == nil {
		return
	}
	e := d.topic
	e.mu.Lock()
	if e.presence.leaving[d.present.ID] == d {
		delete(e.presence.leaving, d.present.ID)
		if gone {
			e.announceLater(protocol.PresenceLeave, d.present)
		} else {
			e.presence.dirty = true
			e.startAnnouncing()
		}
	}
	e.mu.Unlock()
	e.release()
}

// arrived ends the departure of a membership that this node has given up after all.
func (ms *memberships) arrived(at *membership) {
	ms.mu.Lock()
	d := at.departure
	at.departure = nil
	ms.mu.Unlock()
	d.end(true)
}

// seeOff ends the departures of members that another node has now, after a while for which
// Shutdown waits.
func (s *Server) seeOff(all []*membership) {
	var departures []*departure
	for _, at := range all {
		if at.departure != nil {
			departures = append(departures, at.departure)
		}
	}
	if len(departures) == 0 || !s.begin() {
		return
	}
	waiting := s.topics.work(func() {
		defer s.end()
		wait(s.topics.ctx, departing)
		for _, d := range departures {
			d.end(false)
		}
	})
	if !waiting {
		s.end() // the server is closed
	}
}

// neverArrived tells the others that a member that came from another node has left before it
// was one here.
func (e *topic) neverArrived(at *membership) {
	if at.id == "" || !e.opts.Presence {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.announceLater(protocol.PresenceLeave, present{at.id, at.info})
}

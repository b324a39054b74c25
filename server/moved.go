package server

import (
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/protocol"
)

// place is where a connection is: its node, and its id there.
type place struct {
	node engine.NodeID
	conn protocol.ConnID
}

func (p place) append(f *form) {
	f.raw(p.node[:])
	f.raw(p.conn[:])
}

func (r *formReader) place() place { return place{r.node(), r.conn()} }

// named returns the connection with an id, nil if there is none, or where it has moved to.
func (s *Server) named(id protocol.ConnID) (c *Conn, to *place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c = s.resumable[id]; c != nil {
		if relay := c.resumption.relay.Load(); relay != nil {
			to := relay.place()
			return c, &to
		}
		return c, nil
	}
	if m, ok := s.moved.of[id]; ok {
		return nil, &m.to
	}
	return nil, nil
}

// movedConns are connections that other nodes have, as long as clients may ask for them.
type movedConns struct {
	of    map[protocol.ConnID]movedConn
	order []movedID // the first is the first to be forgotten
}

type movedConn struct{ first, to place }

type movedID struct {
	id    protocol.ConnID
	until time.Time
}

// add notes that a connection is elsewhere. The caller holds Server.mu.
func (m *movedConns) add(id protocol.ConnID, to place, window time.Duration) {
	now := time.Now()
	n := 0
	for n < len(m.order) && m.order[n].until.Before(now) {
		delete(m.of, m.order[n].id)
		n++
	}
	m.order = append(m.order[n:], movedID{id, now.Add(window)})
	if m.of == nil {
		m.of = make(map[protocol.ConnID]movedConn)
	}
	m.of[id] = movedConn{to, to}
}

// follow notes that a connection has moved on.
func (m *movedConns) follow(id protocol.ConnID, to place) {
	if moved, ok := m.of[id]; ok {
		moved.to = to
		m.of[id] = moved
	}
}

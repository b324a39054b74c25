package chat

import (
	"cmp"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/webwire-go/webwire/server"
)

// grace is how long a user stays a member after the last connection is lost: reloading
// a page or changing networks is not leaving.
const grace = 5 * time.Second

// maxMembers is the number of people in a room at most: a reply has all their names.
const maxMembers = 128

// members are the people in a room, each with any number of connections.
type members struct {
	limit int               // of people; zero: none
	left  func(name string) // called after somebody has left

	mu     sync.Mutex
	people map[string]*member // by folded name
	conns  map[*server.Conn]*member
	closed bool
}

type member struct {
	name    string
	conns   int
	leaving *time.Timer // runs while there are no connections
}

func newMembers(limit int, left func(name string)) *members {
	return &members{limit: limit, left: left, people: make(map[string]*member), conns: make(map[*server.Conn]*member)}
}

// join adds a connection, and reports whether its user was not a member before. It fails
// with ErrRoomFull if the room is full.
func (s *members) join(c *server.Conn, name string) (news bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns[c] != nil {
		return false, nil
	}
	m := s.people[fold(name)]
	if m == nil {
		if s.limit > 0 && len(s.people) >= s.limit {
			return false, ErrRoomFull
		}
		m = &member{name: name}
		s.people[fold(name)] = m
		news = true
	}
	if m.leaving != nil {
		m.leaving.Stop()
		m.leaving = nil
	}
	m.conns++
	s.conns[c] = m
	return news, nil
}

// leave removes a connection. If it was the user's last, the user leaves: on purpose at
// once, otherwise after grace.
func (s *members) leave(c *server.Conn, onPurpose bool) {
	s.mu.Lock()
	m := s.conns[c]
	delete(s.conns, c)
	if m != nil {
		m.conns--
	}
	gone := m != nil && m.conns == 0 && onPurpose
	switch {
	case gone:
		delete(s.people, fold(m.name))
	case m != nil && m.conns == 0 && !s.closed:
		var timer *time.Timer
		timer = time.AfterFunc(grace, func() { s.expire(m, &timer) })
		m.leaving = timer
	}
	s.mu.Unlock()
	if gone {
		s.left(m.name)
	}
}

// expire removes a member, unless the timer was stopped after it had fired.
func (s *members) expire(m *member, timer **time.Timer) {
	s.mu.Lock()
	gone := m.leaving != nil && m.leaving == *timer
	if gone {
		delete(s.people, fold(m.name))
	}
	s.mu.Unlock()
	if gone {
		s.left(m.name)
	}
}

// drop removes a member with all connections.
func (s *members) drop(name string) {
	s.mu.Lock()
	m := s.people[fold(name)]
	if m != nil {
		if m.leaving != nil {
			m.leaving.Stop()
			m.leaving = nil
		}
		delete(s.people, fold(name))
		for c, of := range s.conns {
			if of == m {
				delete(s.conns, c)
			}
		}
	}
	s.mu.Unlock()
	if m != nil {
		s.left(m.name)
	}
}

// has reports whether a connection has joined.
func (s *members) has(c *server.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns[c] != nil
}

// names returns the names of the members, in alphabetical order.
func (s *members) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make([]string, 0, len(s.people))
	for _, m := range s.people {
		names = append(names, m.name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(fold(a), fold(b)) })
	return names
}

func (s *members) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.people)
}

// all returns the current connections, without those of the member but, if any.
func (s *members) all(but string) iter.Seq[*server.Conn] {
	return func(yield func(*server.Conn) bool) {
		s.mu.Lock()
		conns := make([]*server.Conn, 0, len(s.conns))
		for c, m := range s.conns {
			if but == "" || fold(m.name) != fold(but) {
				conns = append(conns, c)
			}
		}
		s.mu.Unlock()
		for _, c := range conns {
			if !yield(c) {
				return
			}
		}
	}
}

// close stops the timers: nobody leaves from now on.
func (s *members) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, m := range s.people {
		if m.leaving != nil {
			m.leaving.Stop()
			m.leaving = nil
		}
	}
}

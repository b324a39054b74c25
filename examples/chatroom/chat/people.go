package chat

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/webwire-go/webwire/server"
)

// grace is how long a user stays in a room after the last connection is lost: reloading a
// page or changing networks is not leaving. A connection that may resume counts as lost: it
// does not let a user who has gone seem to be there until the server gives it up.
const grace = 5 * time.Second

// maxMembers is the number of people in a room at most: a reply has all their names.
const maxMembers = 128

// people are the users in a room. Which connections are in it is known to its topic. That could
// also tell the members on all nodes, see server.Topic.Members; but the rooms of this chat are
// files of one process, and a user who reloads the page is still a member of a room.
type people struct {
	topic   server.Topic
	tell    func(signal, name string, again bool) // called in order; must not wait
	changed func()                                // called when the number of people has changed

	mu     sync.Mutex
	all    map[string]*person // by folded name
	closed bool
}

type person struct {
	name    string
	leaving *time.Timer // runs while there are no connections
}

// join adds a connection. It fails with ErrRoomFull if the room is full.
func (s *people) join(ctx context.Context, c *server.Conn, name string, again bool) error {
	news, err := s.enter(ctx, c, name, again)
	if news {
		s.changed()
	}
	return err
}

func (s *people) enter(ctx context.Context, c *server.Conn, name string, again bool) (news bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.all[fold(name)]
	if p == nil && len(s.all) >= maxMembers {
		return false, ErrRoomFull
	}
	if err := s.topic.Join(ctx, c); err != nil {
		return false, err
	}
	if p != nil {
		p.stay()
		return false, nil
	}
	s.add(name, again)
	return true, nil
}

// add adds somebody. The caller holds mu.
func (s *people) add(name string, again bool) {
	if s.all == nil {
		s.all = make(map[string]*person)
	}
	s.all[fold(name)] = &person{name: name}
	s.tell("joined", name, again)
}

// leave removes a connection. If it was the user's last, the user leaves at once.
func (s *people) leave(c *server.Conn, name string) {
	s.topic.Leave(c)
	s.look(name, 0)
}

// look finds out whether a user is in the room, after a connection of the user was lost, has
// come back or has left. A user without a connection leaves after the pause.
func (s *people) look(name string, pause time.Duration) {
	if s.update(name, pause) {
		s.changed()
	}
}

func (s *people) update(name string, pause time.Duration) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.all[fold(name)]
	conns := s.connsOf(name)
	switch {
	case len(conns) > 0 && p != nil:
		p.stay()
	case len(conns) > 0 && len(s.all) < maxMembers:
		s.add(name, true)
		return true
	case len(conns) > 0: // others have come meanwhile
		for _, c := range conns {
			s.topic.Leave(c)
		}
	case p == nil || s.closed:
	case pause == 0:
		p.stay()
		delete(s.all, fold(name))
		s.tell("left", p.name, false)
		return true
	case p.leaving == nil:
		p.leaving = time.AfterFunc(pause, func() { s.look(p.name, 0) })
	}
	return false
}

// connsOf returns the connections of a user in the room that are neither lost nor away.
func (s *people) connsOf(name string) (conns []*server.Conn) {
	for c := range s.topic.Conns() {
		if owner, ok := owner(c); ok && fold(owner) == fold(name) && !isAway(c) && c.Context().Err() == nil {
			conns = append(conns, c)
		}
	}
	return conns
}

// stay undoes that somebody is about to leave.
func (p *person) stay() {
	if p.leaving != nil {
		p.leaving.Stop()
		p.leaving = nil
	}
}

// names returns the names of the users, in alphabetical order.
func (s *people) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make([]string, 0, len(s.all))
	for _, p := range s.all {
		names = append(names, p.name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(fold(a), fold(b)) })
	return names
}

func (s *people) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

// close stops the timers: nobody leaves from now on.
func (s *people) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, p := range s.all {
		p.stay()
	}
}

package chat

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/webwire-go/webwire/server"
)

// permanent are the rooms that always exist, in the order of the list.
var permanent = []string{"lobby", "help", "random"}

const maxRooms = 32

// rooms are all rooms, by folded name. A room is created when somebody joins it, and
// forgotten when everybody has left and it has no messages.
type rooms struct {
	dir     string
	server  *server.Server
	log     *slog.Logger
	changed func()

	mu     sync.Mutex
	byName map[string]*room
}

// openRooms opens the rooms that have a file in dir, and the permanent ones.
func openRooms(dir string, srv *server.Server, log *slog.Logger, changed func()) (*rooms, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := slices.Clone(permanent)
	for _, f := range files {
		name, isRoom := strings.CutSuffix(f.Name(), suffix)
		if isRoom && checkRoom(name) == nil && name == fold(name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	s := &rooms{dir: dir, server: srv, log: log, changed: changed, byName: make(map[string]*room)}
	for _, name := range names {
		if err := s.add(name); err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	return s, nil
}

const suffix = ".jsonl"

// add opens the room with this name. Its messages have the name as it was spelled first.
func (s *rooms) add(name string) error {
	h, err := openHistory(filepath.Join(s.dir, fold(name)+suffix), keptMessages, s.log)
	if err != nil {
		return err
	}
	if m, ok := h.newest(); ok && fold(m.Room) == fold(name) {
		name = m.Room
	}
	s.byName[fold(name)] = newRoom(name, s.server.Topic("room."+fold(name)), h, s.log, s.changed)
	return nil
}

// find returns a room by its name, in any case.
func (s *rooms) find(name string) (*room, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.byName[fold(name)]
	return r, ok
}

// join adds a connection to a room.
func (s *rooms) join(ctx context.Context, c *server.Conn, name string, in Join) (Joined, error) {
	for {
		r, err := s.enter(in.Room)
		if err != nil {
			return Joined{}, err
		}
		out, err := r.join(ctx, c, name, in)
		if err != nil {
			return Joined{}, err
		}
		if now, _ := s.find(in.Room); now == r { // otherwise it was forgotten meanwhile
			return out, nil
		}
	}
}

// enter returns a room, and creates it if it does not exist.
func (s *rooms) enter(name string) (*room, error) {
	if err := checkRoom(name); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byName[fold(name)] == nil {
		s.forgetIdle()
		if len(s.byName) >= maxRooms {
			return nil, ErrTooManyRooms
		}
		if err := s.add(name); err != nil {
			return nil, err
		}
	}
	return s.byName[fold(name)], nil
}

// forgetIdle forgets rooms without members and messages.
func (s *rooms) forgetIdle() {
	for name, r := range s.byName {
		if !slices.Contains(permanent, name) && r.idle() {
			delete(s.byName, name)
		}
	}
}

// list returns the permanent rooms, then the others in alphabetical order.
func (s *rooms) list() []*room {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*room, 0, len(s.byName))
	for _, name := range permanent {
		all = append(all, s.byName[name])
	}
	for name, r := range s.byName {
		if !slices.Contains(permanent, name) && !r.idle() {
			all = append(all, r)
		}
	}
	slices.SortFunc(all[len(permanent):], func(a, b *room) int { return strings.Compare(fold(a.name), fold(b.name)) })
	return all
}

// all returns the rooms in no order.
func (s *rooms) all() []*room {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.byName))
}

func (s *rooms) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, r := range s.byName {
		r.people.close()
		errs = append(errs, r.history.close())
	}
	return errors.Join(errs...)
}

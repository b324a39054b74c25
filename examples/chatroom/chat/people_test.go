package chat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/transport"
)

// line is how a guest reaches the house. It can be cut, as when a terminal is killed or a
// laptop is closed: the server is not told anything.
type line struct {
	house *house
	mu    sync.Mutex
	conn  transport.Conn
	dead  bool
}

func (l *line) Dial(ctx context.Context, opts transport.DialOptions) (transport.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return nil, errors.New("no network")
	}
	conn, err := l.house.Dial(ctx, opts)
	if err != nil {
		return nil, err
	}
	l.conn = conn
	return wire{conn, l}, nil
}

// wire is a connection of a line.
type wire struct {
	transport.Conn
	*line
}

// Read fails as that of a network does: the client has not aborted the connection.
func (w wire) Read(buf []byte) ([]byte, error) {
	buf, err := w.Conn.Read(buf)
	if w.isCut() {
		err = io.ErrUnexpectedEOF
	}
	return buf, err
}

func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = true
	l.conn.Abort()
}

func (l *line) isCut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dead
}

func (l *line) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = false
}

// enterBy is enter with a line that can be cut.
func (h *house) enterBy(name string, l *line) *guest {
	h.t.Helper()
	l.house = h
	g := h.guestAt(l, nil)
	ask[SignIn](g, "signin", SignIn{Name: name}, nil)
	ask[Joined](g, "join", Join{Room: "lobby"}, nil)
	return g
}

func (g *guest) sees(want ...string) {
	g.t.Helper()
	if who := ask[[]string](g, "who", InRoom{"lobby"}, nil); !slices.Equal(who, want) {
		g.t.Errorf("%q are there, want %q", who, want)
	}
}

// A user who was killed is gone after grace, although the connection may resume for longer,
// and is there again when it does.
func TestPeopleAway(t *testing.T) {
	test(t, func(t *testing.T, h *house) {
		ada := h.enter("Ada")
		var l line
		bob := h.enterBy("Bob", &l)
		ada.hears("joined lobby Bob")

		l.cut()
		synctest.Wait()
		l.mend()
		time.Sleep(30 * time.Second) // virtual: the client comes back at once
		if n := bob.client.Stats().Resumes; n != 1 {
			t.Fatalf("%d resumes", n)
		}
		ada.hears()
		ada.sees("Ada", "Bob")

		l.cut()
		time.Sleep(grace)
		ada.hears("left lobby Bob")
		ada.sees("Ada")
		if n := h.chat.Server.Stats().Away; n != 1 {
			t.Errorf("%d connections may resume, want 1", n)
		}
		ada.say("message-1", "Bob?")
		ada.hears("message lobby Ada Bob?")
		l.mend()
		time.Sleep(30 * time.Second)
		ada.hears("joined lobby Bob again")
		// On the same connection, which has missed nothing.
		bob.hears("message lobby Ada Bob?")
		bob.sees("Ada", "Bob")

		l.cut()
		time.Sleep(10 * time.Minute)
		ada.hears("left lobby Bob")
		if n := h.chat.Server.Stats().Open; n != 1 {
			t.Errorf("%d connections are left", n)
		}
	})
}

// Two tabs of a user are one person, of whom one may be away.
func TestPeopleTabs(t *testing.T) {
	test(t, func(t *testing.T, h *house) {
		ada := h.enter("Ada")
		var l line
		bob := h.enterBy("Bob", &l)
		s, _ := bob.client.Session()
		two := h.guest(keyOf(s.Key))
		ask[any](two, "join", Join{Room: "lobby"}, nil)
		ada.hears("joined lobby Bob")
		l.cut()
		time.Sleep(time.Minute) // virtual
		ada.hears()
		two.client.Close()
		time.Sleep(grace)
		ada.hears("left lobby Bob")
		l.mend()
		time.Sleep(30 * time.Second)
		ada.hears("joined lobby Bob again")
		ask[any](bob, "leave", InRoom{"lobby"}, nil)
		ada.hears("left lobby Bob")
	})
}

// Who is away when signed out elsewhere does not come back to the room.
func TestPeopleSignedOutAway(t *testing.T) {
	test(t, func(t *testing.T, h *house) {
		ada := h.enter("Ada")
		var l line
		bob := h.enterBy("Bob", &l)
		s, _ := bob.client.Session()
		two := h.guest(keyOf(s.Key))
		ask[any](two, "join", Join{Room: "lobby"}, nil)
		l.cut()
		if err := two.client.CloseSession(context.Background()); err != nil {
			t.Error(err)
		}
		ada.hears("joined lobby Bob", "left lobby Bob")
		l.mend()
		time.Sleep(time.Minute) // virtual
		ada.hears()
		ada.sees("Ada")
		ask[any](bob, "who", InRoom{"lobby"}, ErrSignedOut)
	})
}

// A full room has no place for who was away when others have taken it.
func TestPeopleFull(t *testing.T) {
	test(t, func(t *testing.T, h *house) {
		h.chat.signIns.burst, h.chat.calls.burst = 1000, 10_000 // all come from one address
		var l line
		bob := h.enterBy("Bob", &l)
		l.cut()
		time.Sleep(grace) // virtual
		for i := range maxMembers {
			g := h.guest(nil)
			ask[any](g, "signin", SignIn{Name: fmt.Sprint("guest ", i)}, nil)
			ask[any](g, "join", Join{Room: "lobby"}, nil)
		}
		if h.chat.Server.Stats().Away != 1 {
			t.Fatal("the connection is not kept for long enough")
		}
		l.mend()
		time.Sleep(time.Minute)
		ask[any](bob, "say", Say{Room: "lobby", ID: "message-1", Text: "x"}, ErrNotInRoom)
		ask[any](bob, "join", Join{Room: "lobby"}, ErrRoomFull)
		if n := len(h.chat.rooms.byName["lobby"].people.names()); n != maxMembers {
			t.Errorf("%d people", n)
		}
	})
}

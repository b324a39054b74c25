package chat

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/webwiretest"
)

// enterBy is enter over a link that can be cut.
func (h *house) enterBy(name string, l *webwiretest.Link) *guest {
	h.t.Helper()
	g := h.guestBy(l, nil)
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
		l := h.network.Link()
		bob := h.enterBy("Bob", l)
		ada.hears("joined lobby Bob")

		l.Offline()
		synctest.Wait()
		l.Online()
		time.Sleep(30 * time.Second) // virtual: the client comes back at once
		if n := bob.client.Stats().Resumes; n != 1 {
			t.Fatalf("%d resumes", n)
		}
		ada.hears()
		ada.sees("Ada", "Bob")

		l.Offline()
		time.Sleep(grace)
		ada.hears("left lobby Bob")
		ada.sees("Ada")
		if n := h.chat.Server.Stats().Away; n != 1 {
			t.Errorf("%d connections may resume, want 1", n)
		}
		ada.say("message-1", "Bob?")
		ada.hears("message lobby Ada Bob?")
		l.Online()
		time.Sleep(30 * time.Second)
		ada.hears("joined lobby Bob again")
		// On the same connection, which has missed nothing.
		bob.hears("message lobby Ada Bob?")
		bob.sees("Ada", "Bob")

		l.Offline()
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
		l := h.network.Link()
		bob := h.enterBy("Bob", l)
		s, _ := bob.client.Session()
		two := h.guest(keyOf(s.Key))
		ask[any](two, "join", Join{Room: "lobby"}, nil)
		ada.hears("joined lobby Bob")
		l.Offline()
		time.Sleep(time.Minute) // virtual
		ada.hears()
		two.client.Close()
		time.Sleep(grace)
		ada.hears("left lobby Bob")
		l.Online()
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
		l := h.network.Link()
		bob := h.enterBy("Bob", l)
		s, _ := bob.client.Session()
		two := h.guest(keyOf(s.Key))
		ask[any](two, "join", Join{Room: "lobby"}, nil)
		l.Offline()
		if err := two.client.CloseSession(context.Background()); err != nil {
			t.Error(err)
		}
		ada.hears("joined lobby Bob", "left lobby Bob")
		l.Online()
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
		l := h.network.Link()
		bob := h.enterBy("Bob", l)
		l.Offline()
		time.Sleep(grace) // virtual
		for i := range maxMembers {
			g := h.guest(nil)
			ask[any](g, "signin", SignIn{Name: fmt.Sprint("guest ", i)}, nil)
			ask[any](g, "join", Join{Room: "lobby"}, nil)
		}
		if h.chat.Server.Stats().Away != 1 {
			t.Fatal("the connection is not kept for long enough")
		}
		l.Online()
		time.Sleep(time.Minute)
		ask[any](bob, "say", Say{Room: "lobby", ID: "message-1", Text: "x"}, ErrNotInRoom)
		ask[any](bob, "join", Join{Room: "lobby"}, ErrRoomFull)
		if n := len(h.chat.rooms.byName["lobby"].people.names()); n != maxMembers {
			t.Errorf("%d people", n)
		}
	})
}

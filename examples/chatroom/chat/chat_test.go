package chat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/webwiretest"
)

// house is a chat that can be started anew, as after a crash.
type house struct {
	t       *testing.T
	dir     string
	chat    *Chat
	network *webwiretest.Network
}

// test runs a test in virtual time.
func test(t *testing.T, run func(t *testing.T, h *house)) {
	// One thread at a time: when two fire timers of one bubble, for hundreds of clients at
	// the same moment, they share what the race detector keeps about the bubble's timers,
	// and it crashes (seen with Go 1.26).
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, func(t *testing.T) {
		h := &house{t: t, dir: tempDir(t)}
		h.start()
		t.Cleanup(h.crash)
		run(t, h)
	})
}

// tempDir returns a directory in memory if the system has one: syncing thousands of
// messages to a busy disk takes minutes.
func tempDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "chatroom-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (h *house) start() {
	h.t.Helper()
	var err error
	if h.chat, err = Open(h.dir, Options{Logger: slog.New(slog.NewTextHandler(h.t.Output(), nil))}); err != nil {
		h.t.Fatal(err)
	}
	if h.network == nil {
		h.network = webwiretest.Serve(h.t, h.chat.Server)
	} else {
		h.network.Replace(h.chat.Server)
	}
}

// crash drops all connections, and leaves of the chat what is in its files.
func (h *house) crash() {
	h.t.Helper()
	h.chat.Server.Close()
	if err := h.chat.Server.Shutdown(context.Background()); err != nil {
		h.t.Error(err)
	}
	if err := h.chat.Close(); err != nil {
		h.t.Error(err)
	}
}

// guest is somebody who uses the chat.
type guest struct {
	t      *testing.T
	client *client.Client
	heard  chan string // signals: name, then what matters of the payload
}

func (h *house) guest(keys client.KeyStore) *guest { return h.guestBy(h.network.Link(), keys) }

func (h *house) guestBy(l *webwiretest.Link, keys client.KeyStore) *guest {
	g := &guest{t: h.t, heard: make(chan string, 1000)}
	g.client = l.Client(client.Options{Keys: keys, Hooks: client.Hooks{
		OnServerSignal: func(_ context.Context, s *client.Signal) {
			if s.Name == "rooms" {
				return
			}
			me, _ := g.client.Session()
			info, _ := session.InfoAs[SignIn](me)
			var m struct {
				Presence
				Text string
			}
			if err := s.Payload.DecodeJSON(&m); err != nil {
				h.t.Error(err)
			}
			if s.Name != "message" && m.Name == info.Name {
				return // clients do not show that
			}
			text := strings.TrimSpace(s.Name + " " + m.Room + " " + m.Name + " " + m.Text)
			if m.Again {
				text += " again"
			}
			g.heard <- text
		},
		OnSessionClosed: func(context.Context) { g.heard <- "session closed" },
	}})
	return g
}

// enter signs in and joins the lobby.
func (h *house) enter(name string) *guest {
	h.t.Helper()
	g := h.guest(nil)
	ask[SignIn](g, "signin", SignIn{Name: name}, nil)
	ask[Joined](g, "join", Join{Room: "lobby"}, nil)
	return g
}

// ask sends a request that shall have the outcome want.
func ask[Out, In any](g *guest, name string, in In, want error) Out {
	g.t.Helper()
	out, err := client.Call[Out](context.Background(), g.client, name, in)
	if !errors.Is(err, want) {
		g.t.Errorf("%s %+v: %v, want %v", name, in, err, want)
	}
	if p, err := protocol.JSON(out); err != nil || len(p.Data) > maxMessageSize {
		g.t.Fatalf("%s: the answer has %d bytes, of at most %d, %v", name, len(p.Data), maxMessageSize, err)
	}
	return out
}

func (g *guest) say(id, text string) Message {
	g.t.Helper()
	return ask[Message](g, "say", Say{Room: "lobby", ID: id, Text: text}, nil)
}

// hears checks that the signals since the last time are these.
func (g *guest) hears(want ...string) {
	g.t.Helper()
	synctest.Wait()
	var got []string
	for len(g.heard) > 0 {
		got = append(got, <-g.heard)
	}
	if !slices.Equal(got, want) {
		g.t.Errorf("heard %q, want %q", got, want)
	}
}

func TestTalk(t *testing.T) {
	test(t, func(t *testing.T, h *house) {
		ada, bob := h.enter("Ada"), h.enter("Bob")
		ada.hears("joined lobby Bob")
		m := ada.say("message-1", " hello\n")
		if m.Seq != 1 || m.Name != "Ada" || m.Text != "hello" || m.Room != "lobby" {
			t.Errorf("said %+v", m)
		}
		if again := ada.say("message-1", "hello"); again != m {
			t.Errorf("sent again it is %+v, was %+v", again, m)
		}
		ada.hears("message lobby Ada hello")
		bob.hears("message lobby Ada hello")

		ask[any](bob, "earlier", Earlier{Room: "lobby", Before: 2}, nil)
		if who := ask[[]string](bob, "who", InRoom{"lobby"}, nil); !slices.Equal(who, []string{"Ada", "Bob"}) {
			t.Errorf("%q are there", who)
		}
		eve := h.enter("Eve")
		joined := ask[Joined](eve, "join", Join{Room: "lobby"}, nil)
		if len(joined.Messages) != 1 || joined.Messages[0] != m || joined.Earlier || len(joined.Members) != 3 {
			t.Errorf("who joins gets %+v", joined)
		}
	})
}

func TestNamesAreUnique(t *testing.T) {
	test(t, func(t *testing.T, h *house) {
		ada := h.enter("Ada")
		bob := h.guest(nil)
		ask[any](bob, "signin", SignIn{Name: "ada"}, ErrNameTaken)
		ask[any](bob, "signin", SignIn{Name: "<Ada>"}, ErrBadName)
		ask[any](bob, "join", Join{Room: "lobby"}, ErrSignedOut)
		ask[any](ada, "signin", SignIn{Name: "Ada"}, nil) // the answer may have been lost
		ask[any](ada, "signin", SignIn{Name: "Other"}, server.ErrSessionActive)

		ada.client.Close()
		ask[any](bob, "signin", SignIn{Name: "Ada"}, ErrNameTaken)

		eve := h.enter("Eve")
		if err := eve.client.CloseSession(context.Background()); err != nil {
			t.Error(err)
		}
		ask[any](eve, "say", Say{Room: "lobby", ID: "message-1", Text: "x"}, ErrSignedOut)
		ask[any](bob, "signin", SignIn{Name: "Eve"}, nil)
	})
}

func TestLeaving(t *testing.T) {
	test(t, func(t *testing.T, h *house) {
		ada, bob, eve, tom := h.enter("Ada"), h.enter("Bob"), h.enter("Eve"), h.enter("Tom")
		ada.hears("joined lobby Bob", "joined lobby Eve", "joined lobby Tom")
		if err := bob.client.CloseSession(context.Background()); err != nil {
			t.Error(err)
		}
		ada.hears("left lobby Bob")
		eve.client.Close()
		ada.hears()
		time.Sleep(grace) // virtual
		ada.hears("left lobby Eve")
		ask[any](tom, "leave", InRoom{"lobby"}, nil)
		ada.hears("left lobby Tom")
		ask[any](tom, "say", Say{Room: "lobby", ID: "message-1", Text: "x"}, ErrNotInRoom)
		ask[any](tom, "who", InRoom{"lobby"}, ErrNotInRoom)
	})
}

func TestTyping(t *testing.T) {
	test(t, func(t *testing.T, h *house) {
		ada, bob := h.enter("Ada"), h.enter("Bob")
		ada.hears("joined lobby Bob")
		p, _ := protocol.JSON(InRoom{"lobby"})
		for range 10 {
			if err := ada.client.Signal(context.Background(), "typing", p); err != nil {
				t.Fatal(err)
			}
		}
		ada.hears()
		bob.hears("typing lobby Ada", "typing lobby Ada", "typing lobby Ada") // and not ten times
	})
}

func TestRooms(t *testing.T) {
	test(t, func(t *testing.T, h *house) {
		ada := h.enter("Ada")
		ask[Joined](ada, "join", Join{Room: "tea"}, nil)
		ask[any](ada, "join", Join{Room: "../etc"}, ErrBadRoom)
		rooms := ask[[]Room, any](ada, "rooms", nil, nil)
		if want := []Room{{"lobby", 1}, {"help", 0}, {"random", 0}, {"tea", 1}}; !slices.Equal(rooms, want) {
			t.Errorf("rooms %v, want %v", rooms, want)
		}
		ask[Message](ada, "say", Say{Room: "tea", ID: "message-1", Text: "x"}, nil)
		ask[any](ada, "leave", InRoom{"tea"}, nil)
		ask[any](ada, "join", Join{Room: "void"}, nil)
		ask[any](ada, "leave", InRoom{"void"}, nil)
		h.crash()
		h.start()
		bob := h.enter("Bob")
		rooms = ask[[]Room, any](bob, "rooms", nil, nil)
		if want := []Room{{"lobby", 1}, {"help", 0}, {"random", 0}, {"tea", 0}}; !slices.Equal(rooms, want) {
			t.Errorf("after a restart: rooms %v, want %v", rooms, want)
		}
		full := false
		for i := range maxRooms {
			_, err := client.Call[any](context.Background(), bob.client, "join", Join{Room: fmt.Sprint("room-", i)})
			full = full || errors.Is(err, ErrTooManyRooms)
		}
		if !full {
			t.Error("there may be any number of rooms")
		}
	})
}

// Case does not tell rooms apart. The first spelling is shown.
func TestRoomNamesIgnoreCase(t *testing.T) {
	test(t, func(t *testing.T, h *house) {
		ada, bob := h.enter("Ada"), h.enter("Bob")
		if out := ask[Joined](ada, "join", Join{Room: "Tea-Time"}, nil); out.Room != "Tea-Time" {
			t.Errorf("made as %s", out.Room)
		}
		if out := ask[Joined](bob, "join", Join{Room: "tea-TIME"}, nil); out.Room != "Tea-Time" || len(out.Members) != 2 {
			t.Errorf("joined %+v", out)
		}
		if out := ask[Joined](bob, "join", Join{Room: "LOBBY"}, nil); out.Room != "lobby" {
			t.Errorf("joined %s", out.Room)
		}
		ada.hears("joined lobby Bob", "joined Tea-Time Bob")
		m := ask[Message](bob, "say", Say{Room: "TEA-time", ID: "message-1", Text: "x"}, nil)
		if m.Room != "Tea-Time" {
			t.Errorf("said in %s", m.Room)
		}
		ask[any](bob, "earlier", Earlier{Room: "tea-time", Before: 1}, nil)
		ask[any](bob, "who", InRoom{"tea-time"}, nil)
		ask[any](bob, "leave", InRoom{"tea-time"}, nil)
		ada.hears("message Tea-Time Bob x", "left Tea-Time Bob")
		h.crash()
		h.start()
		eve := h.enter("Eve")
		rooms := ask[[]Room, any](eve, "rooms", nil, nil)
		if want := []Room{{"lobby", 1}, {"help", 0}, {"random", 0}, {"Tea-Time", 0}}; !slices.Equal(rooms, want) {
			t.Errorf("after a restart: rooms %v, want %v", rooms, want)
		}
	})
}

func TestRestart(t *testing.T) {
	test(t, func(t *testing.T, h *house) {
		ada, bob := h.enter("Ada"), h.enter("Bob")
		ada.say("message-1", "before")
		ada.hears("joined lobby Bob", "message lobby Ada before")
		bob.hears("message lobby Ada before")
		h.crash()
		h.start()
		time.Sleep(time.Minute) // virtual: they connect again, with their sessions
		if name := ask[SignIn](ada, "signin", SignIn{Name: "Ada"}, nil).Name; name != "Ada" {
			t.Errorf("Ada is %q", name)
		}
		ask[any](ada, "say", Say{Room: "lobby", ID: "message-1", Text: "before"}, ErrNotInRoom)
		ask[Joined](bob, "join", Join{Room: "lobby", After: 1, Again: true}, nil)
		missed := ask[Joined](ada, "join", Join{Room: "lobby", After: 0, Again: true}, nil)
		if len(missed.Messages) != 1 || missed.Messages[0].Text != "before" {
			t.Errorf("after the restart there is %+v", missed)
		}
		bob.hears("joined lobby Ada again")
		ada.say("message-1", "before") // the answer may have been lost
		ada.say("message-2", "after")
		bob.hears("message lobby Ada after")
		ask[any](h.guest(nil), "signin", SignIn{Name: "Ada"}, ErrNameTaken)
	})
}

func TestValidation(t *testing.T) {
	test(t, func(t *testing.T, h *house) {
		ada := h.enter("Ada")
		for _, bad := range []struct {
			say  Say
			want error
		}{
			{Say{Room: "lobby", ID: "message-1", Text: " "}, ErrBadText},
			{Say{Room: "lobby", ID: "message-1", Text: long("x", maxText+1)}, ErrBadText},
			{Say{Room: "lobby", ID: "x", Text: "x"}, ErrBadID},
			{Say{Room: "help", ID: "message-1", Text: "x"}, ErrNotInRoom},
		} {
			ask[any](ada, "say", bad.say, bad.want)
		}
		ask[any](ada, "say", "no object", &protocol.Error{Code: protocol.CodeBadRequest})
		ask[any, any](ada, "nonsense", nil, &protocol.Error{Code: protocol.CodeNotFound})

		refused := 0
		for i := range 30 {
			_, err := client.Call[any](context.Background(), ada.client, "say", Say{Room: "lobby", ID: fmt.Sprint("message-", i), Text: "x"})
			if errors.Is(err, ErrTooFast) {
				refused++
			}
		}
		if refused != 10 {
			t.Errorf("%d of 30 messages at once were refused, want 10", refused)
		}
	})
}

// Whoever lost the connection before learning of the session gets the name again.
func TestNameOfLostSession(t *testing.T) {
	test(t, func(t *testing.T, h *house) {
		ada := h.guest(nil)
		ask[any](ada, "signin", SignIn{Name: "Ada"}, nil)
		ada.client.Close()
		again := h.guest(nil)
		ask[any](again, "signin", SignIn{Name: "Ada"}, ErrNameTaken)
		time.Sleep(firstUse) // virtual
		ask[any](again, "signin", SignIn{Name: "Ada"}, nil)
	})
}

// keyOf is a client.KeyStore of a second tab, which has the key of the first.
type keyOf string

func (k keyOf) LoadKey() (string, error) { return string(k), nil }
func (k keyOf) SaveKey(string) error     { return nil }

func TestTabs(t *testing.T) {
	test(t, func(t *testing.T, h *house) {
		bob := h.enter("Bob")
		one := h.guest(nil)
		ask[any](one, "signin", SignIn{Name: "Ada"}, nil)
		ask[any](one, "join", Join{Room: "lobby"}, nil)
		s, _ := one.client.Session()
		two := h.guest(keyOf(s.Key))
		ask[any](two, "join", Join{Room: "lobby"}, nil)
		one.hears()
		bob.hears("joined lobby Ada")
		two.say("message-1", "from the second")
		one.hears("message lobby Ada from the second")
		two.hears("message lobby Ada from the second")
		bob.hears("message lobby Ada from the second")
		one.client.Close()
		time.Sleep(time.Minute) // virtual
		bob.hears()
		if err := two.client.CloseSession(context.Background()); err != nil {
			t.Error(err)
		}
		bob.hears("left lobby Ada")
	})
}

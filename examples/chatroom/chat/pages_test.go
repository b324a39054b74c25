package chat

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
)

// longest returns a text of the greatest length whose encoding is the longest: JSON
// escapes the character.
func longest(i int) string {
	return fmt.Sprintf("%d%s", i, long("<", maxText-utf8.RuneCountInString(fmt.Sprint(i))))
}

// A room full of long messages can be entered, and read back to its beginning.
func TestLongMessages(t *testing.T) {
	for _, char := range []string{"<", "\u2028", "ü", "\U0001F984", "x"} {
		test(t, func(t *testing.T, h *house) {
			ada, bob := h.enter("Ada"), h.enter("Bob")
			const count = 40 // more than fit in a message
			for i := range count {
				text := fmt.Sprintf("%03d%s", i, long(char, maxText-4)+".")
				ada.say(fmt.Sprintf("message-%d", i), text)
				time.Sleep(time.Second) // virtual: nobody is that fast
			}
			m := ask[Message](bob, "say", Say{Room: "lobby", ID: "message-last", Text: "I heard all of it"}, nil)
			if m.Seq != count+1 {
				t.Fatalf("%d messages are there", m.Seq)
			}

			eve := h.guest(nil)
			ask[SignIn](eve, "signin", SignIn{Name: "Eve"}, nil)
			joined := ask[Joined](eve, "join", Join{Room: "lobby"}, nil)
			page := Page{Messages: joined.Messages, Earlier: joined.Earlier}
			next := uint64(count + 1)
			for {
				if len(page.Messages) == 0 {
					t.Fatalf("%q: an empty page before message %d", char, next)
				}
				for i := len(page.Messages) - 1; i >= 0; i-- {
					if page.Messages[i].Seq != next {
						t.Fatalf("%q: message %d instead of %d", char, page.Messages[i].Seq, next)
					}
					next--
				}
				if !page.Earlier {
					break
				}
				page = ask[Page](eve, "earlier", Earlier{Room: "lobby", Before: next + 1}, nil)
				time.Sleep(time.Second) // virtual
			}
			if next != 0 {
				t.Errorf("%q: %d messages are missing", char, next)
			}
		})
	}
}

// The answer to a join has the names of all who are in the room: they are as many
// as fit in.
func TestFullRoom(t *testing.T) {
	test(t, func(t *testing.T, h *house) {
		ada := h.enter("Ada")
		ada.say("message-1", longest(1))
		name := func(i int) string { return fmt.Sprintf("%03d%s", i, long("\U00010400", maxName-3)) }
		entered := 0
		for i := range maxMembers + 10 {
			g := h.guest(nil)
			ask[SignIn](g, "signin", SignIn{Name: name(i)}, nil)
			out, err := client.Call[Joined](context.Background(), g.client, "join", Join{Room: "lobby"})
			switch {
			case err == nil:
				entered++
				if len(out.Messages) != 1 {
					t.Fatalf("%d messages for number %d", len(out.Messages), i)
				}
			case !errors.Is(err, ErrRoomFull):
				t.Fatalf("number %d: %v", i, err)
			}
			time.Sleep(5 * time.Second) // virtual: all are of one host
		}
		if entered != maxMembers-1 {
			t.Errorf("%d entered after Ada, want %d", entered, maxMembers-1)
		}
		if who := ask[[]string](ada, "who", InRoom{"lobby"}, nil); len(who) != maxMembers {
			t.Errorf("%d are there", len(who))
		}
		ask[Joined](ada, "join", Join{Room: "lobby"}, nil) // a member gets in again
	})
}

// No answer is longer than a message may be, whatever it has in it.
func TestLongestAnswers(t *testing.T) {
	m := Message{Room: long("r", maxRoom), Seq: 1 << 62, ID: long("i", maxID), Name: long("\U00010400", maxName), Text: longest(0), Time: time.Now()}
	joined := Joined{Room: m.Room, Earlier: true}
	for range maxMembers {
		joined.Members = append(joined.Members, m.Name)
	}
	for size := 0; ; {
		if size += encodedSize(m); size > pageBytes && len(joined.Messages) > 0 {
			break
		}
		joined.Messages = append(joined.Messages, m)
	}
	p, err := protocol.JSON(joined)
	if err != nil {
		t.Fatal(err)
	}
	const head = 256 // and more than what a message has besides its payload
	if len(p.Data)+head > maxMessageSize {
		t.Errorf("an answer may have %d bytes, of %d", len(p.Data), maxMessageSize)
	}
	if encodedSize(m) > pageBytes {
		t.Errorf("one message may have %d bytes, of a page's %d", encodedSize(m), pageBytes)
	}
}

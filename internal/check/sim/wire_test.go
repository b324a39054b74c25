package sim

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/webwire-go/webwire/protocol"
)

// What messages may not come in which order is found.
func TestWireOnForgedMessages(t *testing.T) {
	type said struct {
		ofClient bool
		m        protocol.Message
	}
	id := protocol.NewID(1)
	stream := said{true, protocol.Message{Kind: protocol.Request, ID: id, Head: protocol.Head(nil).AppendStream()}}
	request := said{true, protocol.Message{Kind: protocol.Request, ID: id}}
	asks := said{false, request.m}
	of := func(ofClient bool, kind protocol.Kind) said {
		return said{ofClient, protocol.Message{Kind: kind, ID: id}}
	}
	item := said{false, protocol.Message{Kind: protocol.Item, ID: id, Payload: protocol.Bytes(make([]byte, streamCredit))}}
	credit := said{true, protocol.Message{Kind: protocol.Credit, ID: id, Number: 2 * streamCredit}}
	reply := of(false, protocol.Reply)
	for _, c := range []struct {
		name string
		says []said
		open int
		want string
	}{
		{"request", []said{request, reply}, 0, ""},
		{"in both directions", []said{request, asks, of(true, protocol.ReplyFailure), of(false, protocol.ReplyError)}, 0, ""},
		{"no answer", []said{request, asks, reply}, 1, ""},
		{"two answers", []said{request, reply, of(false, protocol.ReplyFailure)}, 0, "a second answer"},
		{"answer to nothing", []said{reply}, 0, "nobody made"},
		{"answer to an own request", []said{request, of(true, protocol.Reply)}, 1, "nobody made"},
		{"id twice", []said{request, reply, request}, 0, "used twice"},
		{"stream", []said{stream, item, credit, item, reply}, 0, ""},
		{"item beyond the limit", []said{stream, item, item}, 1, "beyond the limit"},
		{"limit that falls", []said{stream, credit, {true, protocol.Message{Kind: protocol.Credit, ID: id, Number: 1}}, item, item}, 1, ""},
		{"item after the answer", []said{stream, reply, item}, 0, "after the answer"},
		{"item of a stream that is lost", []said{stream, {false, protocol.FailureStreamLost.Failure().Message(id)}, item}, 0, ""},
		{"item that nobody wants", []said{request, item}, 1, "nobody wants"},
		{"credit for no stream", []said{request, credit}, 1, "no stream"},
		{"cancel", []said{request, of(true, protocol.Cancel)}, 1, ""},
		{"cancel after the answer", []said{request, reply, of(true, protocol.Cancel)}, 0, ""},
		{"cancel before its request", []said{of(true, protocol.Cancel)}, 0, "before its request"},
	} {
		w := newWire(nil, newHistory(), new(sync.Mutex))
		found := ""
		for _, s := range c.says {
			found += w.saw(s.ofClient, s.m)
		}
		if (found != "") != (c.want != "") || !strings.Contains(found, c.want) {
			t.Errorf("%s: found %q, want %q", c.name, found, c.want)
		}
		if n := w.open(); n != c.open {
			t.Errorf("%s: %d requests are open", c.name, n)
		}
	}
}

// What ends of a connection may not say when it goes on is found.
func TestWireOnForgedResumes(t *testing.T) {
	const (
		sent     = 5 // messages to the client, of which it has received
		received = 3
		heard    = 2 // messages of the client
	)
	for _, c := range []struct {
		name    string
		claim   func(*protocol.Resume)
		welcome func(*protocol.WelcomeBody)
		want    string
	}{
		{"resumed", nil, nil, ""},
		{"a gap", nil, func(w *protocol.WelcomeBody) { w.From, w.Outcome = 9, protocol.OutcomeGap }, ""},
		{"late ones", nil, func(w *protocol.WelcomeBody) { w.From, w.Late = 6, 2 }, ""},
		{"too late", nil, func(w *protocol.WelcomeBody) { w.From++ }, "the server goes on at message 5"},
		{"too early", nil, func(w *protocol.WelcomeBody) { w.From-- }, "the server goes on at message 3"},
		{"a gap of nothing", nil, func(w *protocol.WelcomeBody) { w.Outcome = protocol.OutcomeGap }, "the server goes on at message"},
		{"late ones from nowhere", nil, func(w *protocol.WelcomeBody) { w.Late = 1 }, "the server goes on at message"},
		{"more received", nil, func(w *protocol.WelcomeBody) { w.Received++ }, "has received 3 messages, which are 2"},
		{"less received", nil, func(w *protocol.WelcomeBody) { w.Received-- }, "has received 1 messages, which are 2"},
		{"unknown", nil, func(w *protocol.WelcomeBody) { w.Conn[0]++ }, "never began"},
		{"guessed", func(r *protocol.Resume) { r.Secret[0]++ }, nil, "older than the last one"},
		{"old attempt", func(r *protocol.Resume) { r.Attempt = 0 }, nil, "takes attempt 0"},
		{"refused", func(r *protocol.Resume) { r.Secret[0]++ }, func(w *protocol.WelcomeBody) {
			w.Outcome, w.Conn[0] = protocol.OutcomeExpired, 9
		}, ""},
	} {
		h, mu := newHistory(), new(sync.Mutex)
		begun := protocol.WelcomeBody{Conn: protocol.ConnID{1}, Secret: protocol.Secret{1}, Window: time.Minute, From: 1}
		first, second := newWire(nil, h, mu), newWire(nil, h, mu)
		found := first.saw(false, begun.Message())
		for range sent {
			found += first.saw(false, protocol.Message{Kind: protocol.Signal})
		}
		for range heard {
			found += first.saw(true, protocol.Message{Kind: protocol.Signal})
		}
		found += first.saw(true, protocol.Message{Kind: protocol.Ack, Number: sent})
		found += first.saw(false, protocol.Message{Kind: protocol.Ack, Number: heard})
		if found != "" {
			t.Fatal(found)
		}
		if first.saw(true, protocol.Message{Kind: protocol.Ack, Number: sent + 1}) == "" || first.saw(false, protocol.Message{Kind: protocol.Ack, Number: heard + 1}) == "" {
			t.Error("an ack of more than was sent is not found")
		}
		claim := protocol.Resume{Conn: begun.Conn, Secret: begun.Secret, Attempt: 1, Received: received}
		if c.claim != nil {
			c.claim(&claim)
		}
		answer := protocol.WelcomeBody{Outcome: protocol.OutcomeResumed, Conn: begun.Conn, Secret: protocol.Secret{2}, Window: time.Minute, Received: heard, From: received + 1}
		if c.welcome != nil {
			c.welcome(&answer)
		}
		found = second.saw(true, protocol.HelloBody{Resume: &claim}.Message()) + second.saw(false, answer.Message())
		if (found != "") != (c.want != "") || !strings.Contains(found, c.want) {
			t.Errorf("%s: found %q, want %q", c.name, found, c.want)
		}
	}
}

package sim

import (
	"strings"
	"sync"
	"testing"

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

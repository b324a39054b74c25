package sim

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
)

// The checker finds every way in which a history can be wrong, and nothing in one
// that is right.
func TestCheckerOnForgedHistories(t *testing.T) {
	lost := func(sent bool) error { return &client.DisconnectedError{Sent: sent, Cause: net.ErrClosed} }
	// forged returns a history of one request.
	forged := func(executions int, outcomes ...outcome) func(*history) {
		return func(h *history) {
			r := h.request("echo")
			r.want = "re"
			for range executions {
				h.executed(r.id, "").end(context.Background())
			}
			for _, o := range outcomes {
				h.outcome(r, o.reply, o.err)
			}
		}
	}
	signals := func(h *history, from string, n int) {
		for i := range n {
			h.sending(signal{from, i + 1})
		}
	}
	for _, c := range []struct {
		name  string
		forge func(*history)
		want  string // part of the violation; empty: there is none
	}{
		{"reply", forged(1, outcome{"re", nil}), ""},
		{"no outcome", forged(1), "has 0 outcomes"},
		{"two outcomes", forged(1, outcome{"re", nil}, outcome{"re", nil}), "has 2 outcomes"},
		{"reply of another", forged(1, outcome{"other", nil}), "got the reply"},
		{"reply without execution", forged(0, outcome{"re", nil}), "was executed 0 times"},
		{"executed twice", forged(2, outcome{"re", nil}), "was executed 2 times"},
		{"executed twice, lost", forged(2, outcome{"", lost(true)}), "was executed 2 times"},
		{"sent, executed", forged(1, outcome{"", lost(true)}), ""},
		{"sent, not executed", forged(0, outcome{"", lost(true)}), ""},
		{"not sent", forged(0, outcome{"", lost(false)}), ""},
		{"not sent, executed", forged(1, outcome{"", lost(false)}), "was executed 1 times"},
		{"disconnected, executed", forged(1, outcome{"", client.ErrDisconnected}), "was executed 1 times"},
		{"closed, executed", forged(1, outcome{"", client.ErrClosed}), "was executed 1 times"},
		{"shutdown, executed", forged(1, outcome{"", protocol.ErrShutdown}), "was executed 1 times"},
		{"failed, not executed", forged(0, outcome{"", &protocol.Error{Code: "FAILED"}}), "was executed 0 times"},
		{"panicked, not executed", forged(0, outcome{"", protocol.ErrInternal}), "was executed 0 times"},
		{"cancelled", forged(1, outcome{"", context.Canceled}), ""},
		{"late", forged(1, outcome{"", &client.TimeoutError{Sent: true}}), ""},
		{"never connected, executed", forged(1, outcome{"", &client.TimeoutError{Cause: errors.New("x")}}), "was executed 1 times"},
		{"executed and never sent", func(h *history) { h.executed(7, "7").end(context.Background()) }, "nobody sent"},

		{"signals", func(h *history) {
			signals(h, "a", 3)
			h.received("b", signal{"a", 1})
			h.received("b", signal{"a", 3})
		}, ""},
		{"signals of an older connection later", func(h *history) {
			signals(h, "a", 3)
			h.received("b", signal{"a", 2})
			h.received("c", signal{"a", 1})
		}, ""},
		{"signals out of order", func(h *history) {
			signals(h, "a", 3)
			h.received("b", signal{"a", 2})
			h.received("b", signal{"a", 1})
		}, "arrived at b after 2"},
		{"signal twice", func(h *history) {
			signals(h, "a", 1)
			h.received("b", signal{"a", 1})
			h.received("c", signal{"a", 1})
		}, "more than once"},
		{"signal never sent", func(h *history) { h.received("b", signal{"a", 1}) }, "never sent"},
		{"signal refused", func(h *history) {
			signals(h, "a", 1)
			h.refused(signal{"a", 1})
			h.received("b", signal{"a", 1})
		}, "refused"},

		{"connection", func(h *history) {
			h.conn("a", evConnected)
			h.conn("a", evHandler)
			h.conn("a", evDisconnected)
		}, ""},
		{"handler before the connection", func(h *history) {
			h.conn("a", evHandler)
			h.conn("a", evConnected)
			h.conn("a", evDisconnected)
		}, "event 1 of 3"},
		{"handler after the connection", func(h *history) {
			h.conn("a", evConnected)
			h.conn("a", evDisconnected)
			h.conn("a", evHandler)
		}, "event 2 of 3"},
		{"connection without an end", func(h *history) { h.conn("a", evConnected) }, "event 1 of 1"},
		{"what was found before", func(h *history) { h.violated("this") }, "this"},
	} {
		h := newHistory()
		c.forge(h)
		found := strings.Join(h.check(), "; ")
		if (found != "") != (c.want != "") || !strings.Contains(found, c.want) {
			t.Errorf("%s: found %q, want %q", c.name, found, c.want)
		}
	}
}

// With damaged messages only the number of outcomes counts.
func TestCheckerOnDamage(t *testing.T) {
	h := newHistory()
	h.damaged = true
	h.outcome(h.request("echo"), "?", nil)
	h.executed(7, "7")
	h.received("b", signal{"a", 1})
	if found := h.check(); len(found) != 0 {
		t.Errorf("found %v", found)
	}
	h.request("echo")
	if found := h.check(); len(found) != 1 {
		t.Errorf("found %v", found)
	}
}

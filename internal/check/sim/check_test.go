package sim

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

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
			h.refused(signal{"a", 2})
			h.received("b", signal{"a", 1})
			h.received("b", signal{"a", 3})
		}, ""},
		{"signal missing", func(h *history) {
			signals(h, "a", 3)
			h.received("b", signal{"a", 1})
			h.received("b", signal{"a", 3})
		}, "{a 2} is missing at b"},
		{"signals on another connection", func(h *history) {
			signals(h, "client1", 3)
			h.received("conn1", signal{"client1", 1})
			h.received("conn2", signal{"client1", 3})
		}, ""},
		{"first signal missing", func(h *history) {
			signals(h, "conn1", 2)
			h.received("b", signal{"conn1", 2})
		}, "{conn1 1} is missing at b"},
		{"signals in a gap", func(h *history) {
			signals(h, "conn1", 4)
			h.received("b", signal{"conn1", 1})
			h.gap("b", 2)
			h.received("b", signal{"conn1", 4})
		}, ""},
		{"gap too small", func(h *history) {
			signals(h, "conn1", 4)
			h.gap("b", 1)
			h.received("b", signal{"conn1", 1})
			h.received("b", signal{"conn1", 4})
		}, "{conn1 3} is missing at b"},
		{"gap too late", func(h *history) {
			signals(h, "conn1", 2)
			h.received("b", signal{"conn1", 2})
			h.gap("b", 1)
		}, "{conn1 1} is missing at b"},
		{"gap of another", func(h *history) {
			signals(h, "conn1", 2)
			h.gap("c", 1)
			h.received("b", signal{"conn1", 2})
		}, "{conn1 1} is missing at b"},
		{"gap too early", func(h *history) {
			signals(h, "conn1", 4)
			h.gap("b", 1)
			h.received("b", signal{"conn1", 1})
			h.received("b", signal{"conn1", 2})
			h.received("b", signal{"conn1", 4})
		}, "{conn1 3} is missing at b"},
		{"gap too large", func(h *history) {
			signals(h, "conn1", 3)
			signals(h, "cast1", 1)
			h.received("b", signal{"conn1", 1})
			h.gap("b", 2)
			h.received("b", signal{"conn1", 3})
			h.received("b", signal{"cast1", 1})
			h.farewell = signal{"cast1", 1}
		}, "b was told of 1 lost messages"},
		{"gap of items", func(h *history) {
			signals(h, "cast1", 1)
			r := h.request("b count")
			r.items = &items{sent: 3, received: []int{0, 1}}
			h.outcome(r, "", context.Canceled)
			h.gap("b", 1)
			h.received("b", signal{"cast1", 1})
			h.farewell = signal{"cast1", 1}
		}, ""},
		{"gap of an older connection", func(h *history) {
			signals(h, "cast1", 1)
			h.gap("b", 2)
			h.fresh("b")
			h.received("b", signal{"cast1", 1})
			h.farewell = signal{"cast1", 1}
		}, ""},
		{"broadcast", func(h *history) {
			signals(h, "cast1", 3)
			h.received("b", signal{"cast1", 2})
			h.received("c", signal{"cast1", 2})
			h.received("c", signal{"cast1", 3})
			h.fresh("c")
		}, ""},
		{"broadcast missing", func(h *history) {
			signals(h, "cast1", 3)
			h.received("b", signal{"cast1", 1})
			h.received("b", signal{"cast1", 3})
		}, "{cast1 2} is missing at b"},
		{"broadcast missed between two connections", func(h *history) {
			signals(h, "cast1", 3)
			h.received("b", signal{"cast1", 1})
			h.fresh("b")
			h.received("b", signal{"cast1", 3})
		}, ""},
		{"broadcast twice", func(h *history) {
			signals(h, "cast1", 1)
			h.received("b", signal{"cast1", 1})
			h.received("b", signal{"cast1", 1})
		}, "more than once"},
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
		{"away", func(h *history) {
			for _, e := range []connEvent{evConnected, evAway, evHandler, evBack, evAway, evDisconnected} {
				h.conn("a", e)
			}
		}, ""},
		{"away twice", func(h *history) {
			for _, e := range []connEvent{evConnected, evAway, evAway, evDisconnected} {
				h.conn("a", e)
			}
		}, "event 3 of 4"},
		{"back from nowhere", func(h *history) {
			for _, e := range []connEvent{evConnected, evBack, evDisconnected} {
				h.conn("a", e)
			}
		}, "event 2 of 3"},
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
		{"handler that does not return", func(h *history) {
			r := h.request("echo")
			h.executed(r.id, "")
			h.outcome(r, "", context.Canceled)
		}, "has not returned"},
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

// forgery is a request of 3.0 and its handler, with times relative to a moment.
type forgery struct {
	due                time.Duration // zero: none
	err                error         // the outcome
	decided            time.Duration
	began, over, ended time.Duration // over: the deadline of the handler; zero: none
	waits              bool
	cause              error
	items              *items
}

// What handlers and streams of 3.0 may not do is found.
func TestCheckerOnForgedHandlers(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	gaveUp, passed := errors.New("webwire: the requester gave up"), errors.New("webwire: the deadline of the request has passed")
	failed := &protocol.Error{Code: "FAILED"}
	lost := &client.DisconnectedError{Sent: true, Cause: net.ErrClosed}
	n := func(k int) (all []int) {
		for i := range k {
			all = append(all, i)
		}
		return all
	}
	for _, c := range []struct {
		name string
		forgery
		want string
	}{
		{"cancelled", forgery{err: context.Canceled, decided: s, ended: s, waits: true, cause: gaveUp}, ""},
		{"deadline", forgery{due: s, err: context.DeadlineExceeded, decided: s, over: s + ms, ended: s + ms, waits: true, cause: passed}, ""},
		{"without a deadline", forgery{due: s, err: context.Canceled, decided: s, ended: s}, "has the deadline"},
		{"a deadline from nowhere", forgery{decided: s, over: s, ended: s}, "has the deadline"},
		{"early deadline", forgery{due: s, decided: s, over: s - ms, ended: ms}, "is 1ms early"},
		{"began late", forgery{due: s, decided: s, over: s, began: s + ms, ended: 2 * s}, "began 1ms after its deadline"},
		{"ran on", forgery{due: s, err: context.DeadlineExceeded, decided: s, over: s, ended: 2 * s, waits: true}, "ran for 1s after its deadline"},
		{"ran on, does not wait", forgery{due: s, err: context.DeadlineExceeded, decided: s, over: s, ended: 2 * s}, ""},
		{"stopped at no deadline", forgery{decided: s, ended: s, cause: passed}, "a deadline that there is not"},
		{"stopped before the deadline", forgery{due: s, decided: s, over: s, ended: s - ms, cause: passed}, "stopped 1ms before its deadline"},
		{"cancelled for another", forgery{decided: s, ended: s, waits: true, cause: gaveUp}, "was cancelled, but"},
		{"cancelled by the network", forgery{err: lost, decided: s, ended: s, waits: true, cause: gaveUp}, "was cancelled, but"},
		{"not cancelled", forgery{err: context.Canceled, decided: s, ended: 2 * time.Hour, waits: true}, "after the requester gave up"},
		{"not cancelled, does not wait", forgery{err: context.Canceled, decided: s, ended: 2 * time.Hour}, ""},
		{"began after the cancel", forgery{err: context.Canceled, decided: s, began: time.Hour, ended: time.Hour + s, waits: true}, ""},

		{"stream", forgery{items: &items{sent: 3, all: true, received: n(3)}}, ""},
		{"empty stream", forgery{items: &items{all: true}}, ""},
		{"stream with an error", forgery{err: failed, items: &items{sent: 3, all: true, received: n(3)}}, ""},
		{"stream that was lost", forgery{err: lost, items: &items{sent: 3, received: n(2)}}, ""},
		{"stream that was left", forgery{items: &items{sent: 3, received: n(2), left: true}, cause: gaveUp}, ""},
		{"left and not cancelled", forgery{decided: s, ended: time.Hour, waits: true, items: &items{sent: 3, received: n(2), left: true}}, "after the requester gave up"},
		{"stream without its end", forgery{items: &items{sent: 3, all: true, received: n(2)}}, "2 of 3 items"},
		{"stream without its end, error", forgery{err: failed, items: &items{sent: 3, all: true, received: n(2)}}, "2 of 3 items"},
		{"stream that ends early", forgery{items: &items{sent: 3, received: n(3)}}, "3 of 3 items"},
		{"stream with a hole", forgery{err: lost, items: &items{sent: 3, received: []int{0, 2}}}, "item 2 arrived instead of 1"},
		{"stream out of order", forgery{items: &items{sent: 2, all: true, received: []int{1, 0}}}, "item 1 arrived instead of 0"},
		{"item twice", forgery{err: lost, items: &items{sent: 2, received: []int{0, 0}}}, "item 0 arrived instead of 1"},
		{"items from nowhere", forgery{err: lost, items: &items{sent: 1, received: n(2)}}, "2 items arrived, 1 were sent"},
	} {
		h := newHistory()
		h.modern, h.notice = true, time.Minute
		start := time.Now()
		at := func(d time.Duration) time.Time { return start.Add(d) }
		r := h.request("echo")
		r.items = c.items
		e := h.executed(r.id, "")
		h.outcome(r, "", c.err)
		r.decided = at(c.decided)
		e.began, e.ended, e.waits, e.cause = at(c.began), at(c.ended), c.waits, c.cause
		if c.due > 0 {
			r.due = at(c.due)
		}
		if c.over > 0 {
			e.deadline = at(c.over)
		}
		found := strings.Join(h.check(), "; ")
		if (found != "") != (c.want != "") || !strings.Contains(found, c.want) {
			t.Errorf("%s: found %q, want %q", c.name, found, c.want)
		}
	}
}

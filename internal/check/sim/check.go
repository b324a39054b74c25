package sim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
)

// check returns how the history violates the rules.
func (h *history) check() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := checker{h: h, found: h.violations}
	c.requests()
	c.handlers()
	c.streams()
	c.signals()
	c.conns()
	return c.found
}

type checker struct {
	h     *history
	found []string
}

func (c *checker) add(format string, args ...any) {
	c.found = append(c.found, fmt.Sprintf(format, args...))
}

// requests have exactly one outcome, are executed at most once, and the outcome
// says the truth about that.
func (c *checker) requests() {
	for _, r := range c.h.requests {
		if len(r.outcomes) != 1 {
			c.add("request %d (%s) has %d outcomes", r.id, r.what, len(r.outcomes))
			continue
		}
		if c.h.damaged {
			continue
		}
		o := r.outcomes[0]
		times := len(r.executions)
		if times > 1 {
			c.add("request %d (%s) was executed %d times", r.id, r.what, times)
		}
		if must := mustExecute(o.err); must != maybe && (must == yes) != (times > 0) {
			c.add("request %d (%s) was executed %d times, but its outcome is: %v", r.id, r.what, times, o.err)
		}
		if o.err == nil && r.want != "" && o.reply != r.want {
			c.add("request %d (%s) got the reply %.60q, want %.60q", r.id, r.what, o.reply, r.want)
		}
	}
	if !c.h.damaged {
		for _, payload := range c.h.unknown {
			c.add("a request was executed that nobody sent: %.60q", payload)
		}
	}
}

type answer uint8

const (
	maybe answer = iota
	yes
	no
)

// mustExecute returns what an outcome says about whether the request was executed.
func mustExecute(err error) answer {
	var app *protocol.Error
	switch {
	case err == nil, errors.As(err, &app), errors.Is(err, protocol.ErrInternal):
		return yes
	case !client.MaybeExecuted(err):
		return no
	}
	return maybe
}

// conns begin with OnClientConnected and end with OnClientDisconnected, each once. If the
// server dropped the connection before its turn came there is neither. Between the two,
// OnClientAway and OnClientBack alternate.
func (c *checker) conns() {
	for name, events := range c.h.conns {
		away := false
		for i, e := range events {
			first, last := i == 0, i == len(events)-1
			if first != (e == evConnected) || last != (e == evDisconnected) || e == evAway && away || e == evBack && !away {
				c.add("connection %s: event %d of %d is %s", name, i+1, len(events), e)
				break
			}
			if e == evAway || e == evBack {
				away = e == evAway
			}
		}
	}
}

// handlers return. In 3.0 they know the deadline of their requester, begin before it, and
// stop when it has passed or the requester has given up, for no other reason than that.
func (c *checker) handlers() {
	for _, r := range c.h.requests {
		for _, e := range r.executions {
			if e.ended.IsZero() {
				c.add("request %d (%s): its handler has not returned", r.id, r.what)
				continue
			}
			if c.h.modern && !c.h.damaged && len(r.outcomes) == 1 {
				c.deadline(r, e)
				c.cancel(r, e)
			}
		}
	}
}

// deadline: that of a handler is the requester's, plus the time on the way.
func (c *checker) deadline(r *request, e *handling) {
	passed := isDeadline(e.cause)
	switch {
	case r.due.IsZero() != e.deadline.IsZero():
		c.add("request %d (%s) has the deadline %v, its handler %v", r.id, r.what, r.due, e.deadline)
	case r.due.IsZero():
		if passed {
			c.add("request %d (%s): its handler stopped at a deadline that there is not", r.id, r.what)
		}
		return
	}
	if d := r.due.Sub(e.deadline); d > 0 {
		c.add("request %d (%s): the deadline of its handler is %v early", r.id, r.what, d)
	}
	if d := e.began.Sub(e.deadline); d > 0 {
		c.add("request %d (%s): its handler began %v after its deadline", r.id, r.what, d)
	}
	if d := e.ended.Sub(e.deadline); d > time.Millisecond && e.waits {
		c.add("request %d (%s): its handler ran for %v after its deadline", r.id, r.what, d)
	}
	if passed && e.ended.Before(e.deadline) {
		c.add("request %d (%s): its handler stopped %v before its deadline", r.id, r.what, e.deadline.Sub(e.ended))
	}
}

// cancel reaches the handler if the requester gave up, and only then.
func (c *checker) cancel(r *request, e *handling) {
	o := r.outcomes[0]
	gaveUp := errors.Is(o.err, context.Canceled) || errors.Is(o.err, context.DeadlineExceeded) || r.items != nil && r.items.left
	if !gaveUp && isCancel(e.cause) {
		c.add("request %d (%s): its handler was cancelled, but the outcome is: %v", r.id, r.what, o.err)
	}
	late := e.ended.Sub(r.decided)
	if gaveUp && e.waits && late > c.h.notice && e.ended.Sub(e.began) > c.h.notice {
		c.add("request %d (%s): its handler ran for %v after the requester gave up", r.id, r.what, late)
	}
}

// isCancel and isDeadline report what the cause of the end of a handler's context is. The
// types are not public.
func isCancel(cause error) bool {
	return cause != nil && strings.HasPrefix(cause.Error(), "webwire: the requester")
}

func isDeadline(cause error) bool {
	return cause != nil && cause.Error() == "webwire: the deadline of the request has passed"
}

// streams deliver items in order and without holes, from the first on, and all of them if
// they end by an answer of the handler.
func (c *checker) streams() {
	if c.h.damaged {
		return
	}
	for _, r := range c.h.requests {
		if r.items == nil || len(r.outcomes) != 1 {
			continue
		}
		for i, n := range r.items.received {
			if n != i {
				c.add("request %d (%s): item %d arrived instead of %d", r.id, r.what, n, i)
				break
			}
		}
		got, sent := len(r.items.received), r.items.sent
		var app *protocol.Error
		err := r.outcomes[0].err
		if got > sent {
			c.add("request %d (%s): %d items arrived, %d were sent", r.id, r.what, got, sent)
		}
		if !r.items.left && (err == nil || errors.As(err, &app)) && (!r.items.all || got != sent) {
			c.add("request %d (%s): %d of %d items arrived, and the stream ended with: %v", r.id, r.what, got, sent, err)
		}
	}
}

package sim

import (
	"errors"
	"fmt"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
)

// check returns how the history violates the rules.
func (h *history) check() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := checker{h: h, found: h.violations}
	c.requests()
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
		if r.executions > 1 {
			c.add("request %d (%s) was executed %d times", r.id, r.what, r.executions)
		}
		if must := mustExecute(o.err); must != maybe && (must == yes) != (r.executions > 0) {
			c.add("request %d (%s) was executed %d times, but its outcome is: %v", r.id, r.what, r.executions, o.err)
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

// signals of a sender arrive at each receiver in order, at most once at all of
// them, and only if the sender was not told that they were not sent.
func (c *checker) signals() {
	if c.h.damaged {
		return
	}
	type stream struct{ at, from string }
	last := make(map[stream]int)
	times := make(map[signal]int)
	for _, r := range c.h.receipts {
		s := c.h.signals[r.signal]
		switch {
		case s == nil:
			c.add("signal %v arrived at %s and was never sent", r.signal, r.at)
		case s.refused:
			c.add("signal %v arrived at %s, though it was refused to its sender", r.signal, r.at)
		}
		if times[r.signal]++; times[r.signal] == 2 {
			c.add("signal %v arrived more than once", r.signal)
		}
		if before, ok := last[stream{r.at, r.from}]; ok && before >= r.seq {
			c.add("signal %v arrived at %s after %d", r.signal, r.at, before)
		}
		last[stream{r.at, r.from}] = r.seq
	}
}

// conns begin with OnClientConnected and end with OnClientDisconnected, each once.
// If the server dropped the connection before its turn came there is neither.
func (c *checker) conns() {
	for name, events := range c.h.conns {
		for i, e := range events {
			first, last := i == 0, i == len(events)-1
			if first != (e == evConnected) || last != (e == evDisconnected) {
				c.add("connection %s: event %d of %d is %s", name, i+1, len(events), e)
				break
			}
		}
	}
}

package sim

import "strings"

// way is that of the signals of a sender to a receiver.
type way struct{ at, from string }

// arrived is what has arrived on a way.
type arrived struct {
	seq  int // of the last signal
	gaps int // that the receiver had been told of then
}

// told is what a client was told of messages that are lost, on its connection.
type told struct {
	gaps int    // so often
	lost uint64 // that are not known to be missing
	cast uint64 // broadcasts before the first that arrived, which may be among them
}

// signals of a sender arrive at each receiver in order, at most once, and only if the sender
// was not told that they were not sent; those of a client at one connection only. Between two
// that arrive at the same end none is missing, unless a client is told between the two that
// so many are lost. A server's connection sends to one client, which gets its first signal,
// too. A client is not told of more than it misses.
func (c *checker) signals() {
	if c.h.damaged {
		return
	}
	last := make(map[way]arrived)
	times := make(map[receipt]int)
	gaps := make(map[string]*told)
	complete := make(map[string]bool) // clients that got the last broadcast, on the present connection
	of := func(at string) *told {
		if gaps[at] == nil {
			gaps[at] = new(told)
		}
		return gaps[at]
	}
	for _, r := range c.h.receipts {
		t := of(r.at)
		switch {
		case r.fresh:
			*t = told{gaps: t.gaps}
			complete[r.at] = false
			for w := range last {
				if w.at == r.at && isCast(w.from) {
					delete(last, w) // others were sent meanwhile
				}
			}
			continue
		case r.lost > 0:
			t.gaps++
			t.lost += r.lost
			continue
		}
		s := c.h.signals[r.signal]
		switch {
		case s == nil:
			c.add("signal %v arrived at %s and was never sent", r.signal, r.at)
		case s.refused:
			c.add("signal %v arrived at %s, though it was refused to its sender", r.signal, r.at)
		}
		one := receipt{signal: r.signal}
		if isCast(r.from) {
			one.at = r.at
		}
		if times[one]++; times[one] == 2 {
			c.add("signal %v arrived more than once", r.signal)
		}
		w := way{r.at, r.from}
		before, ok := last[w]
		if ok && before.seq >= r.seq {
			c.add("signal %v arrived at %s after %d", r.signal, r.at, before.seq)
		}
		last[w] = arrived{r.seq, t.gaps}
		complete[r.at] = complete[r.at] || r.signal == c.h.farewell
		if !ok && !strings.HasPrefix(r.from, "conn") {
			// Those before may have been sent on another connection, or be missing.
			if isCast(r.from) {
				t.cast += uint64(r.seq - 1)
			}
			continue
		}
		for seq := before.seq + 1; seq < r.seq; seq++ {
			switch missing := (signal{r.from, seq}); {
			case c.h.signals[missing] != nil && c.h.signals[missing].refused:
			case t.lost > 0 && (t.gaps > before.gaps || !ok):
				t.lost--
			default:
				c.add("signal %v is missing at %s", missing, r.at)
			}
		}
	}
	for at, t := range gaps {
		// Items are lost, too, and who reads the stream does not know how many.
		if items := c.unread(at); complete[at] && t.lost > items+t.cast {
			c.add("%s was told of %d lost messages that it does not miss; %d items are missing", at, t.lost, items)
		}
	}
}

// unread returns the number of items that were sent to a client, and did not arrive.
func (c *checker) unread(client string) (n uint64) {
	for _, r := range c.h.requests {
		if r.items != nil && strings.HasPrefix(r.what, client+" ") {
			n += uint64(max(0, r.items.sent-len(r.items.received)))
		}
	}
	return n
}

// isCast reports whether a sender is a server that broadcasts.
func isCast(from string) bool { return strings.HasPrefix(from, "cast") }

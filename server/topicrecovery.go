package server

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/protocol"
)

// maxDirect is the number of publications that are sent to a member at the moment when it
// becomes live, while the topic is locked. Before that they are sent as it reads.
const maxDirect = 16

// recovery brings a member to where its topic is.
type recovery struct {
	topic *topic
	m     *member
	at    engine.Position // up to here everything has been sent
	lost  bool            // something before at is gone, and that has not been told
	id    protocol.ID     // of the subscribe
	told  bool            // the subscribe has been answered
}

// recover answers the subscribe id, sends what was published after since, and makes m a
// live member. An error says that the subscribe has not been answered. end is called before
// the answer.
func (e *topic) recover(ctx context.Context, m *member, id protocol.ID, since *protocol.Position, end func()) error {
	r := &recovery{topic: e, m: m, id: id}
	if since == nil || !e.opts.History {
		end()
		r.lost = since != nil
		r.join()
		return nil
	}
	r.at = engine.Position(*since)
	e.catchingUp(1)
	defer e.catchingUp(-1)
	if !e.covers(r.at) {
		page, err := e.read(ctx, r.at)
		if err != nil {
			return err
		}
		end()
		if !r.send(m.conn.link.Context(), page) {
			return nil
		}
	} else {
		end()
	}
	r.run(m.conn.link.Context())
	return nil
}

// run reads the log, and what the node keeps, until m is live.
func (r *recovery) run(ctx context.Context) {
	e := r.topic
	for rounds := 0; rounds < maxRounds; {
		rest, covered, live := r.tryAdmit()
		switch {
		case live:
			return
		case covered:
			if !r.send(ctx, engine.Page{Entries: rest, Now: rest[len(rest)-1].At, Complete: true}) {
				return
			}
			rounds++
			continue
		case !e.sameEpoch(r.at) && !wait(ctx, 20*time.Millisecond): // the node has yet to learn of it
			return
		}
		page, err := e.read(ctx, r.at)
		if err != nil {
			// The client has its answer. It learns that it misses something.
			r.lost = true
			r.join()
			return
		}
		if !r.send(ctx, page) {
			return
		}
		if !page.More { // it was at the end, and the topic has moved on
			rounds++
		}
	}
	if e.opts.Overflow == Disconnect {
		r.m.conn.tooSlow()
		return
	}
	r.lost = true
	r.join()
}

// tryAdmit makes m live if little is missing. If not it returns what the node keeps, unless
// it does not cover the position.
func (r *recovery) tryAdmit() (rest []engine.Entry, covered, live bool) {
	var f fan
	defer f.flush()
	e := r.topic
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.covered(r.at) {
		if e.position.Epoch != r.at.Epoch {
			e.fill() // which finds out who is right
		}
		return nil, false, false
	}
	rest = e.ring
	for len(rest) > 0 && rest[0].At.Offset <= r.at.Offset {
		rest = rest[1:]
	}
	if len(rest) > maxDirect {
		return slices.Clone(rest), true, false
	}
	r.answer(&f)
	f.old = true
	for _, entry := range rest {
		if valid(entry.Data) {
			e.sendTo(&f, r.m, &encoder{data: entry.Data, at: entry.At})
		}
	}
	if r.at.Offset > e.position.Offset {
		at := r.at
		r.m.read = &at
	}
	e.admit(r.m)
	return nil, true, true
}

// join makes m live at the position of the topic.
func (r *recovery) join() {
	var f fan
	defer f.flush()
	e := r.topic
	e.mu.Lock()
	defer e.mu.Unlock()
	r.at = e.position
	r.answer(&f)
	e.admit(r.m)
}

// answer answers the subscribe if that has not been done, and tells of a gap.
func (r *recovery) answer(f *fan) {
	if r.lost {
		r.lost = false
		if r.topic.lose(f, r.m, 0, r.at) {
			f.cut(r.m) // the gap comes before the reply
		}
	}
	if r.told {
		return
	}
	r.told = true
	m := protocol.Message{Kind: protocol.Reply, ID: r.id, Payload: protocol.Position(r.at).Payload()}
	msg, _ := protocol.V3_0.Append(nil, m) // it can always be encoded
	if r.m.conn.link.TrySendIn(&f.out, msg) != nil {
		f.slow = append(f.slow, r.m.conn) // does nothing if the connection has ended
	}
}

// send sends the publications of a page as the client reads. It reports false if the
// connection has ended.
func (r *recovery) send(ctx context.Context, page engine.Page) bool {
	r.lost = r.lost || !page.Complete
	if !page.Complete || r.at.IsZero() { // the answer names the epoch
		r.at = before(page)
	}
	var f fan
	r.answer(&f)
	f.flush()
	for _, entry := range page.Entries {
		m, err := protocol.V3_0.Parse(entry.Data)
		if err == nil && m.Kind == protocol.Publication {
			m.Ref, m.Number = r.m.ref, entry.At.Offset
			if m.Ref == 0 {
				m = asSignal(m)
			}
			err := r.m.conn.link.Send(ctx, m)
			if errors.Is(err, protocol.ErrTooBig) {
				r.topic.topics.dropped.Add(1)
				err = r.m.conn.link.Send(ctx, r.m.gap(1, entry.At))
			}
			if err != nil && r.m.conn.link.Cause() != nil {
				return false
			}
		}
	}
	r.at = page.Now
	return true
}

// catchingUp counts members for whom the node keeps more.
func (e *topic) catchingUp(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.joining += n
}

// covers reports whether the node has all that follows the position.
func (e *topic) covers(at engine.Position) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.covered(at) && at.Offset <= e.position.Offset
}

// covered is covers for a caller that holds mu. A position ahead of the topic's is covered
// once the log has confirmed that it exists, which is left to the caller.
func (e *topic) covered(at engine.Position) bool {
	return at.Epoch == e.position.Epoch && at.Offset >= e.ringFrom.Offset
}

func (e *topic) sameEpoch(at engine.Position) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return at.Epoch == e.position.Epoch
}

package link

import (
	"context"
	"errors"

	"github.com/webwire-go/webwire/protocol"
)

// gaveUp says that a call was decided on this side, and why.
type gaveUp uint8

const (
	notGivenUp gaveUp = iota
	wasCancelled
	wasLate
	hadEnough
)

func (g gaveUp) reason() protocol.CancelReason {
	switch g {
	case wasLate:
		return protocol.CancelDeadline
	case hadEnough:
		return protocol.CancelEnough
	}
	return protocol.CancelGaveUp
}

// whyEnded returns which gaveUp the end of a context is.
func whyEnded(ctx context.Context) gaveUp {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return wasLate
	}
	return wasCancelled
}

// giveUp decides a call that waits, and reports whether it did. Then the caller calls
// withdraw.
func (l *Link) giveUp(number uint64, why gaveUp) bool {
	s := l.lock()
	defer l.unlock()
	return l.abandon(s.calls, number, why) != nil
}

// abandon is calls.decide for a call whose answer, if any, nobody waits for. In 3.0 the
// request counts until its answer arrives. The caller holds the lock.
func (l *Link) abandon(t *calls, number uint64, why gaveUp) *call {
	c := t.decide(number)
	if c != nil && l.modern != nil {
		if t.abandoned == nil {
			t.abandoned = make(map[uint64]abandoned)
		}
		t.abandoned[number] = abandoned{why, c.in != nil}
	}
	return c
}

// withdraw is called by the goroutine that made a request, after the call was given up. It
// takes the request out of the outbox, or tells the peer to stop. It returns the error of
// the outcome.
func (l *Link) withdraw(c *call, number uint64, out outcome) error {
	if c.place.IsZero() || l.out.Remove(&c.place) {
		l.answered(number)
		return unsent(out.err)
	}
	if l.modern != nil && c.cancels {
		l.Urge(protocol.CancelBody{ID: protocol.NewID(number), Reason: out.gaveUp.reason()}.Message())
	}
	return out.err
}

// answered records that a request that was given up has its answer, and reports whether
// there is such a request.
func (l *Link) answered(number uint64) bool {
	s := l.lock()
	defer l.unlock()
	if s.calls == nil {
		return false
	}
	given, ok := s.calls.abandoned[number]
	if ok {
		delete(s.calls.abandoned, number)
		if given.streamed {
			s.calls.streams--
		}
	}
	return ok
}

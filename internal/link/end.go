package link

import (
	"context"
	"errors"
	"time"

	"github.com/webwire-go/webwire/transport"
)

// Drain refuses new tasks from now on. The channel that it returns is closed once
// no task is waiting or running and no request is in flight.
func (l *Link) Drain() <-chan struct{} {
	s := l.lock()
	if s.drained == nil {
		s.drained = make(chan struct{})
	}
	drained := s.drained
	l.unlock()
	l.tasks.Stop()
	return drained
}

// Close drains the connection, flushes the outbox and closes the connection with
// the given status. It does not wait for any of that.
func (l *Link) Close(status transport.Status, reason string, cause error) {
	drained := l.Drain()
	l.goOwned(func() {
		for {
			select {
			case <-drained:
				l.Flush(l.ctx)
				l.Disconnect(status, reason, cause)
				return
			case <-l.SocketOver():
				if l.EndAway(cause) || l.Cause() != nil { // nobody gets the replies
					return
				}
			case <-l.ctx.Done():
				return
			}
		}
	})
}

// goOwned runs f on a goroutine that Run waits for, unless the connection has
// ended: there is nothing left to do then.
func (l *Link) goOwned(f func()) {
	if l.enter() {
		go func() {
			defer l.background.Done()
			f()
		}()
	}
}

// Flush waits until everything in the outbox is written, or never will be, or ctx
// ends.
func (l *Link) Flush(ctx context.Context) {
	select {
	case <-l.out.Empty():
	case <-l.SocketOver(): // nothing is written any more, or not before the connection is resumed
	case <-ctx.Done():
	}
}

// Disconnect ends the connection with a close status. cause becomes that of Run.
// It returns once the connection is closed, within the close timeout. If the
// connection is ending already it only waits for that.
func (l *Link) Disconnect(status transport.Status, reason string, cause error) {
	l.out.Let() // for Disconnect may be called by the reader, and waits
	s := l.lock()
	first := s.part(status, cause)
	gone := s.awaitGone()
	l.unlock()
	if first {
		l.part(status, reason)
	}
	<-gone
}

// DisconnectLater is Disconnect for callers that must not wait.
func (l *Link) DisconnectLater(status transport.Status, reason string, cause error) {
	s := l.lock()
	defer l.unlock()
	if s.part(status, cause) {
		l.background.Go(func() { l.part(status, reason) })
	}
}

// part closes the connection for the caller whom state.part chose: a second close
// would not wait for the first, and the drop after it would cut that short.
func (l *Link) part(status transport.Status, reason string) {
	// Its error is of no interest: the connection is over either way.
	_ = l.out.Conn().Close(status, reason)
	l.end(nil, true) // there is a cause
	l.drop()
}

// part reports whether the caller is the one to close the connection.
func (s *state) part(status transport.Status, cause error) bool {
	if s.closed || s.parting {
		return false
	}
	s.parting = true
	s.status, s.own = status, true
	s.cause = cause
	return true
}

// Abort drops the connection at once, and what waits for its handler.
func (l *Link) Abort(cause error) {
	l.tasks.Cut()
	l.end(cause, true)
	l.drop()
}

// AbortAway is Abort if the connection is away, and does nothing otherwise. It reports
// whether it ended the connection.
func (l *Link) AbortAway(cause error) bool { return l.endAway(cause, true) }

// EndAway is AbortAway except that the tasks of Order that wait are run.
func (l *Link) EndAway(cause error) bool { return l.endAway(cause, false) }

func (l *Link) endAway(cause error, cut bool) (ended bool) {
	if ended, _ = l.endOpen(cause, true, true); ended {
		if cut {
			l.tasks.Cut()
		}
		l.failAll(l.Cause())
		l.drop()
	}
	return ended
}

// Cause returns why the connection ended or is about to, nil before.
func (l *Link) Cause() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.cause
}

// EndedBy returns who ended a connection that has ended, this end, the peer or the network,
// by the names given to them, and the close status, zero if there was none.
func (l *Link) EndedBy(self, peer string) (by string, status transport.Status) {
	l.mu.Lock()
	cause, own, status := l.state.cause, l.state.own, l.state.status
	l.mu.Unlock()
	if own {
		return self, status
	}
	var closed *transport.CloseError
	if !errors.As(cause, &closed) || closed.Local {
		return "network", 0
	}
	if !closed.Status.Sendable() { // it stands for none
		return peer, 0
	}
	return peer, closed.Status
}

// end decides what is in flight, and drops the connection unless somebody is about
// to close it in good order: then what failed may well have failed for that. Tasks
// go on; their context ends. own says that this end decided it.
func (l *Link) end(cause error, own bool) {
	if ended, parting := l.endOpen(cause, own, false); ended {
		l.failAll(l.Cause())
		if !parting {
			l.drop()
		}
	}
}

// endRead is end for the reader. Somebody else may be writing: how much of that was
// sent is known once the dropped connection has released the write.
func (l *Link) endRead(cause error) {
	ended, parting := l.endOpen(cause, false, false)
	if !ended {
		return
	}
	if !parting {
		l.drop()
		l.out.Settle(settleTime)
	}
	l.failAll(l.Cause())
}

// settleTime bounds the wait for a write whose connection was dropped. Transports
// release it at once.
const settleTime = 100 * time.Millisecond

// endOpen makes the link closed and reports whether it was not before, and whether
// somebody is about to close the connection. If away is true it does so only if the
// connection is away.
func (l *Link) endOpen(cause error, own, away bool) (ended, parting bool) {
	s := l.lock()
	if s.closed || away && !s.away {
		l.unlock()
		return false, false
	}
	s.closed = true
	s.without, s.away = s.away, false
	l.modern.ended()
	if s.cause == nil {
		s.cause, s.own = cause, own
	}
	cause = s.cause
	parting = s.parting
	if e, ok := l.role.(Ender); ok {
		l.background.Go(e.Ended)
	}
	l.unlock()
	l.tasks.End()
	l.out.Fail(cause)
	l.cancel(cause)
	return true, parting
}

// drop releases what the connection holds.
func (l *Link) drop() {
	_ = l.out.Conn().Abort() // nothing can be done about an error
	s := l.lock()
	defer l.unlock()
	if !s.dropped && s.gone != nil {
		close(s.gone)
	}
	s.dropped = true
}

// awaitGone returns a channel that is closed once the connection is dropped.
func (s *state) awaitGone() <-chan struct{} {
	if s.gone == nil {
		s.gone = make(chan struct{})
		if s.dropped {
			close(s.gone)
		}
	}
	return s.gone
}

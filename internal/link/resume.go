package link

import (
	"context"
	"errors"
	"time"

	"github.com/webwire-go/webwire/internal/outbox"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// A connection of 3.0 may outlive its socket. When the socket ends without a word the
// connection is away: Run returns, handlers run on, and what is sent waits in the outbox.
// Resume gives it another socket. What ends the connection while it is away, ends it as
// always.

// ErrTakenOver is why a socket ends whose client has come back on another one.
var ErrTakenOver = errors.New("webwire: the client has come back on another socket")

// ErrCannotResume is why Resume fails if the ends do not agree on what was received.
var ErrCannotResume = outbox.ErrCannotResume

// KeepAll keeps what the peer has not acknowledged, within the budget of the outbox.
var KeepAll = &outbox.Keeping{}

// IsAway reports whether the connection has no socket, and may get another one.
func (l *Link) IsAway() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.away
}

// lostBy returns why the socket ended if the connection is away, else nil.
func (l *Link) lostBy() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state.away {
		return l.modern.lostBy
	}
	return nil
}

// loseSocket records that the socket has ended, and reports whether the connection goes
// on without it.
func (l *Link) loseSocket(cause error) bool {
	var closed *transport.CloseError
	if errors.As(cause, &closed) && (closed.Local || l.limits.Survives == nil || !l.limits.Survives(cause)) {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.state.away // then the cause is that we dropped it
	}
	return l.DropSocket(cause)
}

// leaveSocket makes the connection go on without its socket, which end closes, if it may,
// and reports whether it does.
func (l *Link) leaveSocket(cause error, end func(transport.Conn)) bool {
	s := l.lock()
	first := !s.away && s.resumes && !s.closed && !s.parting
	var conn transport.Conn
	if first {
		s.away, l.modern.lostBy = true, cause
		l.modern.ended()
		conn = l.out.Suspend() // under the lock: after it the connection may be resumed
	}
	away := s.away
	l.unlock()
	if first {
		end(conn)
	}
	return away
}

// DropSocket drops the socket, as if it had been lost for the given cause, and reports
// whether the connection goes on without one. If it cannot nothing happens.
func (l *Link) DropSocket(cause error) bool {
	return l.leaveSocket(cause, func(conn transport.Conn) { _ = conn.Abort() }) // nothing can be done about an error
}

// CloseSocket is DropSocket with a close status. It reports whether the connection goes on
// without a socket, and does not wait for the peer.
func (l *Link) CloseSocket(status transport.Status, reason string, cause error) bool {
	return l.leaveSocket(cause, func(conn transport.Conn) {
		l.goOwned(func() { _ = conn.Close(status, reason) })
	})
}

// endWritten ends the connection after a write that failed, unless it goes on without its
// socket, which it reports.
func (l *Link) endWritten(err error) (away bool) {
	if away = l.loseSocket(err); !away {
		l.end(err, false)
	}
	return away
}

// NeverResumes records that the server does not resume connections: neither end keeps anything for
// that, nor acknowledges it.
func (l *Link) NeverResumes() {
	l.lock().resumes = false
	l.unlock()
	l.modern.acks.on = false
	l.out.Forgo()
}

// Received returns the number of counted messages that were received. While the connection
// is away it does not change.
func (l *Link) Received() uint64 { return l.modern.acks.received.Load() }

// Resumption is how a connection goes on.
type Resumption struct {
	Conn     transport.Conn
	Received uint64 // counted messages that the peer has received

	// Opening returns the message to be sent first, at the server's end. It must not block.
	Opening func(outbox.Replay) protocol.Message

	// Of the peer, at the client's end:

	From uint64 // the number of the next counted message
	Late int    // messages that come before it and are not counted
}

// Resume gives a connection that is away another socket, after Run has returned. The error
// is ErrCannotResume, or the cause if the connection has ended or is about to; the
// socket is the caller's then. After it Run is called again.
func (l *Link) Resume(r Resumption) error {
	a := &l.modern.acks
	if r.From > 0 {
		a.goOn(r.From, r.Late)
	}
	a.sent.Store(a.received.Load()) // hello and welcome say it
	var opening func(outbox.Replay) []byte
	if r.Opening != nil {
		opening = func(plan outbox.Replay) []byte {
			msg, _ := protocol.V3_0.Append(nil, r.Opening(plan)) // it can always be encoded
			return msg
		}
	}
	l.out.Settle(time.Minute) // the socket before was dropped, which releases a write at once
	s := l.lock()             // until both know: meanwhile this socket, too, may be lost
	if s.closed || s.parting {
		defer l.unlock()
		return s.cause
	}
	flush, err := l.out.Resume(r.Conn, r.Received, opening)
	if err == nil {
		s.away, l.modern.lostBy, l.modern.over = false, nil, nil
		if l.modern.back != nil {
			close(l.modern.back)
			l.modern.back = nil
		}
	}
	l.unlock()
	if flush {
		l.out.Write(0)
	}
	if err != nil {
		return err
	}
	l.askAgain()
	return nil
}

// askAgain sends again what has no number: cancels of requests without an answer, and the
// limits of streams.
func (l *Link) askAgain() {
	var msgs []protocol.Message
	l.mu.Lock()
	if t := l.state.calls; t != nil {
		for number, given := range t.abandoned {
			msgs = append(msgs, protocol.CancelBody{ID: protocol.NewID(number), Reason: given.why.reason()}.Message())
		}
		for _, c := range t.all {
			if c.number != 0 && c.in != nil {
				if limit := c.in.raised(); limit > 0 {
					msgs = append(msgs, protocol.Message{Kind: protocol.Credit, ID: protocol.NewID(c.number), Number: limit})
				}
			}
		}
	}
	l.mu.Unlock()
	for _, m := range msgs {
		l.Urge(m)
	}
}

// raised returns the limit that the sender was told, zero if it knows no other than the
// first.
func (f *inflow) raised() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.limit == f.window {
		return 0
	}
	return f.limit
}

// FirstKept returns the number of the first message that can be sent again.
func (l *Link) FirstKept() uint64 { return l.out.FirstKept() }

// Unacknowledged returns how many signals the peer had not acknowledged when the connection
// ended, how many of them were not written to its last socket, and whether it ended while it
// was away.
func (l *Link) Unacknowledged() (all, unwritten int, away bool) {
	all, unwritten = l.out.Unacknowledged()
	l.mu.Lock()
	defer l.mu.Unlock()
	return all, unwritten, l.state.without
}

// Quiet returns a channel that is closed once no own request is in flight. Only connections
// of 3.0 have one.
func (l *Link) Quiet() <-chan struct{} {
	l.lock()
	defer l.unlock()
	if l.modern.quiet == nil {
		l.modern.quiet = make(chan struct{})
	}
	return l.modern.quiet
}

// Settled returns a channel that is closed once the peer has acknowledged everything, or
// the connection has ended.
func (l *Link) Settled() <-chan struct{} { return l.out.Settled() }

// SocketOver returns a channel that is closed when the socket ends; nil before 3.0.
func (l *Link) SocketOver() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.modern
	if x == nil {
		return nil
	}
	if x.over == nil {
		x.over = make(chan struct{})
		if l.state.closed || l.state.away {
			close(x.over)
		}
	}
	return x.over
}

// awaitSocket waits until the connection has a socket, or ctx ends.
func (l *Link) awaitSocket(ctx context.Context) {
	for {
		l.mu.Lock()
		away, x := l.state.away, l.modern
		if away && x.back == nil {
			x.back = make(chan struct{})
		}
		back := x.back
		l.mu.Unlock()
		if !away {
			return
		}
		select {
		case <-back:
		case <-ctx.Done():
			return
		}
	}
}

// ended wakes those that wait for the end of the socket.
func (x *modern) ended() {
	if x != nil && x.over != nil {
		select {
		case <-x.over:
		default:
			close(x.over)
		}
	}
}

// ErrStreamLost is the cause of the context of a request whose items are lost.
var ErrStreamLost = errors.New("webwire: items of the reply are lost: the requester was away for too long")

// loseStream ends the handler of a request whose items are lost.
func (x *modern) loseStream(id protocol.ID) {
	x.mu.Lock()
	in := x.incoming.find(id)
	x.mu.Unlock()
	if in != nil {
		in.cancel(ErrStreamLost)
	}
}

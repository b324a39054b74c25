package link

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"time"

	"github.com/webwire-go/webwire/internal/outbox"
	"github.com/webwire-go/webwire/internal/tasks"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// A connection that is away can move to another process: there New and Adopt make a Link
// that goes on with its State. Tasks that wait move with it (Withdraw). Those that run stay
// at this Link, whose socket is from then on one that leads to the other Link.

// State is what a Link at the server's end that is away has to be continued with.
type State struct {
	Received uint64 // counted messages
	Requests uint64 // own requests so far
	Asked    []protocol.ID
	Outbox   outbox.State
}

// requestGap is how many more requests a Link may make after its State was taken: the Link
// that goes on must not use their ids.
const requestGap = 1 << 16

// State returns the state of a connection that is away, after Run has returned. It reports
// false if the connection has ended, or is about to.
func (l *Link) State() (s State, ok bool) {
	l.out.Settle(time.Minute) // the socket was dropped, which releases a write at once
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.state.away || l.state.parting {
		return s, false
	}
	s.Received = l.Received()
	if t := l.state.calls; t != nil {
		s.Requests = t.count
		for _, c := range t.all {
			if c.number != 0 {
				s.Asked = append(s.Asked, protocol.NewID(c.number))
			}
		}
		for number := range t.abandoned {
			s.Asked = append(s.Asked, protocol.NewID(number))
		}
	}
	s.Outbox, ok = l.out.State()
	return s, ok
}

// Adopt makes a Link that was just made go on with a connection of another process. It is
// away until Resume. s is the Link's. What arrives for a request that this Link does not
// know is passed to elsewhere, which reports whether it took it; the message is valid until
// it returns.
func (l *Link) Adopt(s State, elsewhere func(protocol.Message) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state.away, l.modern.lostBy = true, errAdopted
	l.state.calls = &calls{count: s.Requests + requestGap}
	l.modern.acks.received.Store(s.Received)
	l.modern.elsewhere = elsewhere
	l.out.Adopt(s.Outbox)
	l.pulse.heard.Store(int64(now())) // the deadlines of requests that waited count from here
}

var errAdopted = errors.New("webwire: the connection comes from another process")

// Withdraw takes out the tasks that wait, and returns them in their order. The caller calls
// Incoming.Withdraw for those that are requests. ordered is closed once no task of Order
// runs. The connection is away, and Run has returned; the caller may call Role.Receive
// afterwards, as the goroutine that reads does.
func (l *Link) Withdraw() (waiting []tasks.Task, ordered <-chan struct{}) {
	l.tasks.BecomeReader(false)
	l.pulse.heard.Store(int64(now())) // Incoming.Withdraw leaves what is left of a deadline from here on
	return l.tasks.Withdraw(), l.tasks.Ordered()
}

// Withdraw removes a request whose task was taken out, and reports whether the request has
// no answer yet. It sets the deadline in head, which is the request's, to what is left.
func (in *Incoming) Withdraw(head protocol.Head) bool {
	x := in.link.modern
	if x == nil || !in.state.CompareAndSwap(stateWaiting, stateOver) {
		return false
	}
	x.unregister(in)
	if left, ok := head.Field(protocol.TagDeadline); ok && in.hasDeadline {
		ms := max(0, (in.deadline - now()).Milliseconds())
		binary.LittleEndian.PutUint32(left, uint32(ms))
	}
	return true
}

// Running returns the ids of the requests of the peer that have no answer yet.
func (l *Link) Running() (ids []protocol.ID) {
	x := l.modern
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, in := range x.incoming.buckets {
		for ; in != nil; in = in.next {
			ids = append(ids, in.id)
		}
	}
	return ids
}

// Relay sends a message that comes from another Link of the same connection, in the order
// of the calls. It waits for room until ctx ends.
func (l *Link) Relay(ctx context.Context, m protocol.Message) error {
	if !protocol.V3_0.Counted(m.Kind) {
		l.Urge(m)
		return nil
	}
	return l.out.Send(ctx, &m)
}

// Nowhere is the socket of a Link that adopts a connection, until Resume.
var Nowhere transport.Conn = nowhere{}

type nowhere struct{}

func (nowhere) Read([]byte) ([]byte, error)          { return nil, net.ErrClosed }
func (nowhere) Write(...[]byte) error                { return net.ErrClosed }
func (nowhere) Ping() error                          { return net.ErrClosed }
func (nowhere) Close(transport.Status, string) error { return nil }
func (nowhere) Abort() error                         { return nil }
func (nowhere) Protocol() string                     { return "" }
func (nowhere) LocalAddr() net.Addr                  { return noAddr{} }
func (nowhere) RemoteAddr() net.Addr                 { return noAddr{} }

type noAddr struct{}

func (noAddr) Network() string { return "unknown" }
func (noAddr) String() string  { return "unknown" }

package link

import (
	"errors"
	"fmt"
	"sync"

	"github.com/webwire-go/webwire/internal/outbox"
	"github.com/webwire-go/webwire/protocol"
)

// MaxStreams is the number of streamed replies that an end takes at once.
const MaxStreams = 128

var (
	errFirst    = fmt.Errorf("%w: another message comes first", protocol.ErrMalformed)
	errOverrun  = fmt.Errorf("%w: item beyond the limit of its stream", protocol.ErrMalformed)
	errAck      = fmt.Errorf("%w: more is acknowledged than was sent", protocol.ErrMalformed)
	errNoStream = fmt.Errorf("%w: item of a reply that is not to be streamed", protocol.ErrMalformed)
)

// errUnsupported is the outcome of a request whose reply has a critical field that is not known.
var errUnsupported error = &protocol.PeerError{Err: &protocol.FailureError{
	Code: protocol.FailureUnsupported, Executed: protocol.ExecutedMaybe, Text: "a critical field of the reply",
}}

// modern is what a connection of 3.0 needs in addition.
type modern struct {
	own, peer Terms
	first     protocol.Kind // that has to come next; zero: any; the reader's
	acks      acks
	controls  controls // the reader's

	elsewhere func(protocol.Message) bool // see Adopt; nil: the whole connection is here

	// Guarded by the mutex of the Link:

	lostBy error         // why the socket ended, if the connection is away
	over   chan struct{} // closed when the socket ends; nil if nobody waits for that
	back   chan struct{} // closed when there is a socket again; nil if nobody waits for that
	quiet  chan struct{} // closed once no request is in flight; nil if nobody waits for that

	mu       sync.Mutex
	incoming incomingTable
}

func newModern(conf Config) *modern {
	x := &modern{own: conf.Own, peer: conf.Peer, first: conf.First, controls: controls{began: now()}}
	x.acks.on = true
	if x.own.StreamCredit == 0 {
		x.own.StreamCredit = DefaultStreamCredit
	}
	return x
}

// receive does what a message of 3.0 asks for, except what the role has to do: then it
// returns false. err is what Parse said.
func (x *modern) receive(l *Link, m *protocol.Message, size int, err error) (done bool) {
	if x.first != 0 && err == nil {
		if m.Kind != x.first {
			err = errFirst
		}
		x.first = 0
	}
	if err == nil && isControl(m.Kind) && x.controls.exceed(l) {
		err = errFlood
	}
	if err == nil {
		if protocol.V3_0.Counted(m.Kind) && x.acks.count(l, size) {
			return true
		}
		done, err = x.dispatch(l, m)
	}
	if err != nil {
		l.role.Malformed(*m, err)
		return true
	}
	return done
}

func (x *modern) dispatch(l *Link, m *protocol.Message) (done bool, err error) {
	switch m.Kind {
	case protocol.Request:
		if _, unsupported := m.Head.Unsupported(); unsupported {
			l.Answer(protocol.FailureUnsupported.Failure().Message(m.ID))
			return true, nil
		}
		return false, nil
	case protocol.Reply, protocol.ReplyError:
		x.settle(l, m)
	case protocol.ReplyFailure:
		if _, err := m.Failure(); err != nil {
			return true, err
		}
		x.settle(l, m)
	case protocol.Signal, protocol.Publication:
		_, unsupported := m.Head.Unsupported()
		if unsupported {
			l.Drop()
		}
		return unsupported, nil
	case protocol.Item:
		return true, l.receiveItem(m)
	case protocol.Credit:
		if !x.credit(m) {
			x.isElsewhere(m)
		}
	case protocol.Cancel:
		c, err := m.Cancel()
		if err != nil {
			return true, err
		}
		if !x.cancel(l, c) {
			x.isElsewhere(m)
		}
	case protocol.Ack:
		if !l.out.Acknowledged(m.Number) {
			return true, errAck
		}
	default:
		return false, nil
	}
	return true, nil
}

// settle gives an answer to the request that waits for it, if there is one.
func (x *modern) settle(l *Link, m *protocol.Message) {
	if !l.settle(*m, nil) && !l.answered(m.ID.Uint64()) && !x.isElsewhere(m) {
		l.Drop()
	}
}

// isElsewhere passes on a message about a request that this Link does not know, and reports
// whether another one may know it.
func (x *modern) isElsewhere(m *protocol.Message) bool { return x.elsewhere != nil && x.elsewhere(*m) }

// Answer sends a short answer without waiting, for the goroutine that reads. It may
// exceed the budget of the outbox by outbox.Beyond, because what fills the outbox may have
// nothing to do with the request. If there is no room even so the connection ends.
func (l *Link) Answer(m protocol.Message) {
	flush, err := l.out.AddBeyond(&m)
	if flush {
		l.out.Write(0)
	}
	if errors.Is(err, outbox.ErrFull) {
		l.role.Overflow()
	}
}

// Urge sends a message without a number before all that waits. Nothing is left to do about
// an error: the connection has ended.
func (l *Link) Urge(m protocol.Message) {
	if flush, _ := l.out.Urge(&m); flush {
		l.out.Write(0)
	}
}

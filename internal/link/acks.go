package link

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"github.com/webwire-go/webwire/protocol"
)

// When a counted message is acknowledged (section 11.10).
const (
	ackMessages = 32          // messages after which an ack goes with the next write
	ackAlone    = 256         // messages after which it is sent at once
	ackBytes    = 64 << 10    // bytes after which it is sent at once
	ackTime     = time.Second // after which it is sent for a single message
)

// acks counts the messages of the peer that it counts too, and acknowledges them.
type acks struct {
	since uint64        // what was sent when bytes was 0; the reader's
	late  *lateMessages // nil: none are to come; the reader's

	received atomic.Uint64
	sent     atomic.Uint64 // the last acknowledgement
	due      atomic.Bool   // with the next write
	timing   atomic.Int32  // idle, armed or hasty

	mu    sync.Mutex
	timer *time.Timer // nil before the first message

	bytes int32   // received since since, until they are ackBytes; the reader's
	on    bool    // the peer may keep what it sends; the reader's
	space [9]byte // for ackDue; the flusher's
}

// What acks.timing says.
const (
	idle  = iota // the timer does not run
	armed        // it does
	hasty        // each message is acknowledged at once
)

// lateMessages are those that come first on a socket that goes on with a connection, and
// are not counted. If the socket is lost before the last of them has arrived the peer sends
// them again.
type lateMessages struct {
	left int    // number of those that are to come
	skip int    // how many of those have arrived on an earlier socket
	got  int    // number of those that have arrived
	then uint64 // what received is once all have arrived: what was between is lost
}

// goOn is called when the peer goes on at the message with a number, after a number of late
// ones.
func (a *acks) goOn(from uint64, late int) {
	if a.late == nil {
		a.late = new(lateMessages)
	}
	a.late.left, a.late.then = late, from-1
	a.late.skip = min(a.late.got, late)
	if late == 0 {
		a.caughtUp()
	}
}

func (a *acks) caughtUp() {
	a.received.Store(a.late.then)
	a.late = nil
}

// takeLate takes a message that is not counted, and reports whether it has arrived before.
func (a *acks) takeLate(l *Link) (again bool) {
	t := a.late
	if again = t.skip > 0; again {
		t.skip--
	} else {
		t.got++
	}
	if t.left--; t.left == 0 {
		a.caughtUp()
		if a.on && a.timing.Load() == hasty {
			a.send(l)
		} else if a.on {
			a.arm(l)
		}
	}
	return again
}

// count counts a message. It reports whether the message has arrived before.
func (a *acks) count(l *Link, size int) (again bool) {
	if a.late != nil {
		return a.takeLate(l)
	}
	received := a.received.Add(1)
	if !a.on {
		return false
	}
	sent := a.sent.Load()
	if sent != a.since {
		a.since, a.bytes = sent, 0
	}
	a.bytes = int32(min(int(a.bytes)+size, ackBytes))
	switch waiting := received - sent; {
	case waiting >= ackAlone || a.bytes >= ackBytes || a.timing.Load() == hasty:
		a.send(l)
	case waiting >= ackMessages:
		if !a.due.Load() {
			a.due.Store(true)
		}
	case a.timing.Load() == idle:
		a.arm(l)
	}
	return false
}

// arm sees to it that what was received is acknowledged in time, unless something does already.
func (a *acks) arm(l *Link) {
	if !a.timing.CompareAndSwap(idle, armed) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.timer == nil {
		a.timer = time.AfterFunc(ackTime, func() {
			a.timing.CompareAndSwap(armed, idle)
			if a.sent.Load() < a.received.Load() {
				a.send(l)
			}
		})
	} else {
		a.timer.Reset(ackTime)
	}
}

// stop is called when the socket has ended.
func (a *acks) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.timer != nil {
		a.timer.Stop()
	}
	a.timing.CompareAndSwap(armed, idle)
	a.due.Store(false)
}

// send acknowledges what was received, before all that waits.
func (a *acks) send(l *Link) {
	received := a.received.Load()
	a.sent.Store(received)
	l.Urge(protocol.Message{Kind: protocol.Ack, Number: received})
}

// AckAtOnce acknowledges what was received, and from now on each message when it arrives. The
// peer of a connection that is about to move waits for that.
func (l *Link) AckAtOnce() {
	if l.modern == nil {
		return
	}
	a := &l.modern.acks
	a.timing.Store(hasty)
	if a.sent.Load() < a.received.Load() {
		a.send(l)
	}
}

// ackDue returns the acknowledgement that is to go with the next write, nil if none is.
func (x *modern) ackDue() []byte {
	a := &x.acks
	if !a.due.Load() {
		return nil
	}
	a.due.Store(false)
	received := a.received.Load()
	a.sent.Store(received)
	a.space[0] = ackType
	binary.LittleEndian.PutUint64(a.space[1:], received)
	return a.space[:]
}

// ackType is the type byte of protocol.Ack.
var ackType = func() byte {
	// An Ack can always be encoded.
	msg, _ := protocol.V3_0.Append(nil, protocol.Message{Kind: protocol.Ack})
	return msg[0]
}()

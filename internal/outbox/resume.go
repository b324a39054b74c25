package outbox

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// ErrCannotResume is what Resume returns if the peer has received what was not sent, or
// misses what must not be lost and is not kept any more.
var ErrCannotResume = errors.New("webwire: the ends do not agree on what was received")

// Replay is what a peer is sent again.
type Replay struct {
	From uint64 // the number of the first message
	Lost uint64 // messages that the peer has not received and will not
	Late int    // messages without a number that come before the first one
}

// Suspend takes the connection away: what is added waits for Resume, or if the outbox
// displaces counts as written. It returns the connection, and does not wait for a write in
// progress.
func (o *Outbox) Suspend() transport.Conn {
	o.mu.Lock()
	defer o.mu.Unlock()
	k := o.keeper()
	if k == nil || k.away || o.err != nil {
		return o.conf.Conn
	}
	k.away = true
	k.dropReplay()
	k.release()
	if o.urgent != nil { // what it asks for is asked for again
		o.urgent.release()
		o.urgent = nil
	}
	if !o.flushing || o.promised {
		o.settleAway()
	}
	return o.conf.Conn
}

// settleAway does what there is to do while there is no connection. No write is in
// progress.
func (o *Outbox) settleAway() {
	k := o.kept
	if k.Displace {
		for len(o.queue) > 0 {
			b := o.pop()
			k.numbered(b)
			k.unhanded += uint64(len(b.msgs))
			b.written = o.owner.Now()
			o.over(b)
		}
	}
	if o.waits != nil {
		wake(&o.waits.settled)
		if len(o.queue) == 0 {
			wake(&o.waits.idle)
		}
	}
}

// Resume gives an outbox that was suspended a connection to a peer that has received so
// many messages. opening, unless it is nil, returns an encoded message that is to be
// written first. Then comes what the peer has not received, then urgent messages, and then
// what is queued. A write to the connection before must be over, see Settle. If flush is
// true the caller is the flusher and must call Write.
func (o *Outbox) Resume(conn transport.Conn, received uint64, opening func(Replay) []byte) (flush bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	k := o.kept
	switch {
	case o.err != nil:
		return false, o.err
	case !k.away || o.flushing && !o.promised || received < k.acked || received >= k.next || k.late.failed > received:
		return false, ErrCannotResume
	}
	k.acked = received
	o.acknowledge()
	o.breakStreams()
	plan := Replay{From: max(k.first, received+1), Late: len(k.late.messages)}
	plan.Lost = plan.From - received - 1 - uint64(plan.Late)
	if opening != nil {
		k.sendAgain(opening(plan))
	}
	at := o.owner.Now()
	k.late.shiftDeadlines(at)
	for _, late := range k.late.messages {
		k.sendAgain(late.msg)
	}
	for _, kept := range k.batches {
		for _, msg := range k.live(kept) {
			k.sendAgain(msg)
		}
		kept.shiftDeadlines(at)
	}
	o.handed += k.unhanded
	k.unhanded = 0
	o.conf.Conn = conn
	o.held = false // by the reader of the connection before
	k.away = false
	return o.begin(), nil
}

// sendAgain adds a message to the replay. Each of its batches is a write of its own, so that
// a peer that reads slowly, but does, has time for each.
func (k *kept) sendAgain(msg []byte) {
	if n := len(k.replay); n == 0 || k.replay[n-1].size >= maxBatch {
		b := batches.Get().(*batch)
		b.urgent = true
		k.replay = append(k.replay, b)
	}
	k.replay[len(k.replay)-1].add(msg)
}

// dropReplay drops what was not given to the connection.
func (k *kept) dropReplay() {
	for _, b := range k.replay {
		b.release()
	}
	k.replay = nil
}

// shiftDeadlines makes the deadlines of requests, which count from their arrival, what is
// left of them at a time.
func (b *batch) shiftDeadlines(at time.Duration) {
	b.written = shiftDeadlines(at, b.written, b.msgs...)
}

// shiftDeadlines is that of batch, for messages whose deadlines count from a time; it returns
// from when they do now.
func shiftDeadlines(at, written time.Duration, msgs ...[]byte) time.Duration {
	passed := uint32(max(0, (at - written).Milliseconds()))
	if passed == 0 {
		return written
	}
	for _, msg := range msgs {
		m, err := protocol.V3_0.Parse(msg)
		if err != nil || m.Kind != protocol.Request {
			continue
		}
		if left, ok := m.Head.Field(protocol.TagDeadline); ok {
			ms := binary.LittleEndian.Uint32(left)
			binary.LittleEndian.PutUint32(left, ms-min(ms, passed))
		}
	}
	return written + time.Duration(passed)*time.Millisecond
}

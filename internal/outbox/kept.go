package outbox

import (
	"sync/atomic"
	"time"

	"github.com/webwire-go/webwire/internal/invariant"
	"github.com/webwire-go/webwire/protocol"
)

// A connection of 3.0 may outlive its socket. Its Outbox numbers the messages in the order
// in which they are written first, and keeps what was written until the peer acknowledges
// it. So all messages are in one list with three marks: what lies before kept.first is
// acknowledged or forgotten, what lies before kept.next was written, and the rest is
// Outbox.queue. An acknowledgement moves the first mark, and a new socket is sent what lies
// between the two (resume.go). Urgent messages have no number.

// Keeping says what an Outbox does about what it keeps.
type Keeping struct {
	// Displace says what happens when too much is kept. If it is true the oldest messages
	// are forgotten: signals, publications and items are lost if the socket is, the others
	// are set aside, see late.go. The connection never waits for the peer's
	// acknowledgements, and goes on while it has no socket. If it is false what is kept
	// above RingBytes counts against Config.Size, and while there is no socket nothing counts
	// as written.
	Displace bool

	// Total is what all outboxes that displace may keep together, and Late what they may
	// set aside. If Late is exceeded replies that are set aside become failures. Nil: any
	// number of bytes.
	Total, Late *Total
}

// The limits of what an Outbox keeps that displaces. See displace for the memory.
const (
	RingBytes    = 256 << 10
	ringMessages = 1024
)

// Total limits the bytes that many outboxes keep. It must not be copied.
type Total struct {
	Limit int64
	bytes atomic.Int64
}

func (t *Total) exceeded() bool { return t != nil && t.bytes.Load() > t.Limit }

func (t *Total) add(bytes int) {
	if t != nil {
		t.bytes.Add(int64(bytes))
	}
}

// kept is what was written and may have to be written again, guarded by the Outbox's mutex.
type kept struct {
	Keeping
	batches  []*batch // one after the other, without gaps; messages that were removed are not in them
	first    uint64   // the number of the oldest message that is kept
	end      uint64   // the number after that of the youngest
	next     uint64   // the number of the message that is written first next
	acked    uint64   // number of messages that the peer has acknowledged
	bytes    int      // cost of the messages from first on
	holds    int      // memory of batches, in bytes, see weigh
	away     bool     // there is no socket
	replay   []*batch // to be written before all others, of messages whose memory must stay
	writing  *batch   // given to the connection, which has not returned it; nil: none
	unhanded uint64   // messages that count as written, and were not: of Mark.number
	late     late
}

// keeper returns kept, which most connections that are idle do not need. It returns nil if
// nothing is to be kept.
func (o *Outbox) keeper() *kept {
	if o.kept == nil && o.conf.Keeping != nil {
		o.kept = &kept{Keeping: *o.conf.Keeping, first: 1, end: 1, next: 1}
		o.kept.late.total = o.kept.Late
	}
	return o.kept
}

// numbered gives the messages of a batch that is about to be written their numbers.
func (k *kept) numbered(b *batch) {
	b.first = k.next
	k.next += uint64(len(b.msgs) - b.removed)
}

// retain keeps a batch that was written, or counts as written.
func (o *Outbox) retain(b *batch) {
	k := o.kept
	invariant.Check(b.first == k.end, "what is kept has a gap")
	if b.compact(); len(b.msgs) == 0 { // it was not written
		b.release()
		o.wakeSettled()
		return
	}
	b.began = b.written
	size := addedCost*len(b.msgs) + sizeOf(b.msgs)
	k.end += uint64(len(b.msgs))
	k.bytes += size
	k.Total.add(size)
	if n := len(k.batches); n == 0 || !k.batches[n-1].absorb(b) {
		k.batches = append(k.batches, b)
	}
	k.weigh(k.batches[len(k.batches)-1])
	o.acknowledge()
	if k.Displace {
		o.displace()
	} else {
		k.fit(o.mostHeld())
	}
}

// Acknowledged records how many messages the peer has received. It reports false if that
// is more than were written.
func (o *Outbox) Acknowledged(received uint64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	k := o.kept
	switch {
	case o.conf.Keeping == nil:
		return true
	case k == nil:
		return received == 0
	case received >= k.next:
		return false
	case received > k.acked:
		k.acked = received
		o.acknowledge()
	}
	return true
}

// acknowledge frees what the peer has acknowledged.
func (o *Outbox) acknowledge() {
	k := o.kept
	if len(k.late.messages) > 0 || k.late.failed > 0 || len(k.late.items) > 0 {
		k.late.acknowledged(k.acked)
	}
	end := min(k.acked+1, k.end)
	if k.first >= end {
		return
	}
	freed := 0
	for _, b := range k.batches {
		msgs := k.live(b)
		n := min(uint64(len(msgs)), end-k.first)
		for _, msg := range msgs[:n] {
			freed += addedCost + len(msg)
		}
		if k.first += n; k.first == end {
			break
		}
	}
	k.free(freed)
	k.release()
	o.wakeSettled()
	if !k.Displace {
		o.madeRoom()
	}
}

// drop moves the first mark by one message, which it returns, with the time when it was
// written.
func (k *kept) drop() (msg []byte, written time.Duration) {
	msg, written = k.at(k.first)
	k.free(addedCost + len(msg))
	k.first++
	return msg, written
}

// free gives back the cost of messages that are not kept any more.
func (k *kept) free(cost int) {
	k.bytes -= cost
	k.Total.add(-cost)
	invariant.Check(k.bytes >= 0, "more bytes are freed than were kept")
}

// at returns the message with a number near the first one, and when it was written.
func (k *kept) at(number uint64) (msg []byte, written time.Duration) {
	for _, b := range k.batches {
		if i := number - b.first; i < uint64(len(b.msgs)) {
			return b.msgs[i], b.written
		}
	}
	panic("outbox: a message is not kept")
}

// live returns the messages of one of the batches from the first mark on. There may be none:
// while a replay is written its batches stay, see release.
func (k *kept) live(b *batch) [][]byte {
	if k.first <= b.first {
		return b.msgs
	}
	return b.msgs[min(k.first-b.first, uint64(len(b.msgs))):]
}

// release gives back the memory of what lies before the first mark, unless it is being
// written again.
func (k *kept) release() {
	if len(k.replay) > 0 || k.writing != nil && k.writing.urgent {
		return
	}
	n := 0
	for n < len(k.batches) && k.batches[n].first+uint64(len(k.batches[n].msgs)) <= k.first {
		k.holds -= k.batches[n].holds
		k.batches[n].holds = 0
		k.batches[n].release()
		n++
	}
	if n > 0 {
		left := copy(k.batches, k.batches[n:])
		clear(k.batches[left:])
		k.batches = k.batches[:left]
	}
}

// displace forgets the oldest messages if too many are kept. If they are in so much memory
// that the limit is exceeded it forgets whole batches, but only small ones.
func (o *Outbox) displace() {
	k := o.kept
	for k.first < k.end && (k.bytes > RingBytes || k.end-k.first > ringMessages || k.Total.exceeded()) {
		o.forgetOldest()
	}
	k.release()
	most := o.mostHeld()
	k.fit(most)
	for len(k.batches) > 1 && k.fittedHolds() > most && k.batches[0].holds <= 2*minBatch {
		for range k.live(k.batches[0]) {
			o.forgetOldest()
		}
		n := len(k.batches)
		if k.release(); len(k.batches) == n { // it is being written again
			break
		}
	}
}

func (o *Outbox) forgetOldest() {
	number := o.kept.first
	msg, written := o.kept.drop()
	o.setAside(numbered{number, msg, written})
}

// charge returns what is kept as far as it counts against the budget. What a peer need not
// have acknowledged yet does not: a small budget would make senders wait for it.
func (o *Outbox) charge() int {
	if k := o.kept; k != nil && !k.Displace {
		return max(0, k.bytes-RingBytes)
	}
	return 0
}

// forgetAll drops everything that is kept: the outbox has failed.
func (o *Outbox) forgetAll() {
	k := o.kept
	written, unwritten := 0, 0
	for _, b := range k.batches {
		written += signals(k.live(b))
	}
	if b := k.writing; b != nil && !b.urgent {
		if msgs := b.live(); k.acked < b.first {
			unwritten += signals(msgs)
		} else {
			unwritten += signals(msgs[min(k.acked+1-b.first, uint64(len(msgs))):])
		}
	}
	for _, b := range o.queue {
		unwritten += signals(b.msgs)
	}
	k.late.unacknowledged, k.late.unwritten = written+unwritten, unwritten
	if len(k.replay) > 0 || k.writing != nil && k.writing.urgent { // it may be a part of the replay
		k.late.unwritten += written
	}
	k.dropReplay()
	k.Total.add(-k.bytes)
	k.bytes = 0
	k.first = k.end
	k.release()
	k.late.clear()
}

// Settled returns a channel that is closed once everything added so far is acknowledged,
// or never will be.
func (o *Outbox) Settled() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	acked := await(&o.waiters().acked)
	o.wakeSettled()
	return acked
}

// wakeSettled wakes those that wait for everything to be acknowledged, if it is.
func (o *Outbox) wakeSettled() {
	if o.waits == nil || o.waits.acked == nil {
		return
	}
	k := o.kept
	if o.err != nil || k == nil || k.first == k.next && len(k.replay) == 0 && len(o.queue) == 0 {
		wake(&o.waits.acked)
	}
}

// Keeps reports whether the outbox keeps what it has written.
func (o *Outbox) Keeps() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.conf.Keeping != nil
}

// FirstKept returns the number of the first message that can be sent again.
func (o *Outbox) FirstKept() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.kept == nil {
		return 1
	}
	return o.kept.first
}

// Unacknowledged returns how many signals the peer had not acknowledged when the outbox
// failed, and how many of them were not written to its last connection.
func (o *Outbox) Unacknowledged() (all, unwritten int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.kept == nil {
		return 0, 0
	}
	return o.kept.late.unacknowledged, o.kept.late.unwritten
}

// Forgo makes the outbox keep nothing any more: the peer does not resume connections.
func (o *Outbox) Forgo() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.conf.Keeping = nil
	k := o.kept
	if k == nil {
		return
	}
	k.Total.add(-k.bytes)
	k.bytes, k.first = 0, k.end
	k.release()
	o.kept = nil
	o.wakeSettled()
	o.madeRoom()
}

// compact takes out the messages that were removed.
func (b *batch) compact() {
	if b.removed == 0 {
		return
	}
	n := 0
	for _, msg := range b.msgs {
		if len(msg) > 0 {
			b.msgs[n] = msg
			n++
		}
	}
	clear(b.msgs[n:])
	b.msgs, b.removed = b.msgs[:n], 0
}

// signals returns the number of signals among messages.
func signals(msgs [][]byte) (n int) {
	for _, msg := range msgs {
		if m, err := protocol.V3_0.Parse(msg); err == nil && m.Kind == protocol.Signal {
			n++
		}
	}
	return n
}

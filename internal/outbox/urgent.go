package outbox

import (
	"encoding/binary"

	"github.com/webwire-go/webwire/protocol"
)

// Urge adds a short message that is written before all that is queued. It neither waits
// for room nor counts against the budget, so that a full outbox does not hold it up: the
// peer may have to receive it before there is room. The caller limits the number of such
// messages. If flush is true the caller is the flusher and must call Write.
func (o *Outbox) Urge(m *protocol.Message) (flush bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.err != nil:
		return false, o.err
	case o.kept != nil && o.kept.away: // what it asks for is asked for again
		return false, nil
	}
	b := o.urgent
	if b != nil && m.Kind == protocol.Ack && b.renewAck(m.Number) {
		return o.begin(), nil
	}
	if b == nil {
		b = batches.Get().(*batch)
		b.urgent = true
	}
	msg, err := b.encode(o.conf.Version, m, overhead3+len(m.Payload.Data), 0)
	if err != nil {
		if o.urgent == nil {
			b.release()
		}
		return false, err
	}
	b.add(msg)
	o.urgent = b
	return o.begin(), nil
}

// renewAck makes the acknowledgement that was added last, if there is one, that of a number: a
// peer that sends, and does not read, would otherwise fill the memory with them.
func (b *batch) renewAck(number uint64) bool {
	last := b.msgs[len(b.msgs)-1]
	m, err := protocol.V3_0.Parse(last)
	if err != nil || m.Kind != protocol.Ack {
		return false
	}
	binary.LittleEndian.PutUint64(last[1:], max(number, m.Number))
	return true
}

// Beyond is by how many bytes AddBeyond may exceed the budget.
const Beyond = 64 << 10

// AddBeyond is Add for a short message of a caller that cannot wait. Other messages for
// which the budget has no more room do not keep it out: it fails with ErrFull only if the
// budget would be exceeded by more than Beyond.
func (o *Outbox) AddBeyond(m *protocol.Message) (flush bool, err error) {
	most := len(m.Head) + len(m.Name) + len(m.Payload.Data) + overhead3
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.err != nil:
		return false, o.err
	case !o.fits(most) && o.bytes+addedCost+most > o.conf.Size+Beyond:
		return false, ErrFull
	}
	return o.encode(o.mend(m), most, nil)
}

// hasNothing reports whether nothing is queued.
func (o *Outbox) hasNothing() bool {
	return len(o.queue) == 0 && o.urgent == nil && (o.kept == nil || len(o.kept.replay) == 0)
}

// pop takes out the batch to be written next, nil if there is none.
func (o *Outbox) pop() *batch {
	if k := o.kept; k != nil && len(k.replay) > 0 {
		b := k.replay[0]
		k.replay[0] = nil
		k.replay = k.replay[1:]
		return b
	}
	if b := o.urgent; b != nil {
		o.urgent = nil
		return b
	}
	if len(o.queue) == 0 {
		return nil
	}
	b := o.queue[0]
	o.queue = append(o.queue[:0], o.queue[1:]...)
	return b
}

package outbox

import "time"

// The messages that are kept may be few in much memory: a batch has room to spare, all of
// it if it was reused, and is freed as a whole. As long as they hold little memory that
// does not matter. Once it is more than mostHeld, each batch but the youngest gives back what it
// has to spare.

// mostHeld is from how many bytes on. Less costs streams of short items some of their speed, so
// only small budgets have less: RingBytes with the youngest batch and what allocation rounds up.
func (o *Outbox) mostHeld() int {
	if o.batchSize() < maxBatch {
		return RingBytes - 3*minBatch
	}
	return RingBytes + 2*maxBatch
}

// batchCost is about the memory, in bytes, of a batch without anything in it.
const batchCost = 256

// weigh counts the memory of one of the batches, without messages that outboxes share.
func (k *kept) weigh(b *batch) {
	memory := batchCost + addedCost*(cap(b.msgs)+cap(b.pieces))
	for _, p := range b.pieces {
		memory += cap(p)
	}
	k.holds += memory - b.holds
	b.holds = memory
}

// fittedHolds returns holds without the youngest batch, of which there must be one.
func (k *kept) fittedHolds() int { return k.holds - k.batches[len(k.batches)-1].holds }

// fit makes the batches hold little more memory than their messages need, if they hold more than
// most: what is in much memory moves to a batch of its own size, and the memory is used again.
// The youngest may grow, see absorb, and is left alone.
func (k *kept) fit(most int) {
	if len(k.batches) < 2 || k.holds <= most || len(k.replay) > 0 || k.writing != nil { // they may be about to be written again
		return
	}
	for i := len(k.batches) - 2; i >= 0 && !k.batches[i].fitted; i-- {
		b := k.batches[i]
		b.fitted = true
		if small := b.fit(k.live(b)); small != nil {
			k.batches[i] = small
			k.holds -= b.holds
			b.holds = 0
			b.release()
			k.weigh(small)
		}
	}
}

// fit returns a batch of the last messages of b, those that are still kept, that has the memory
// which they need: none, if outboxes share all of them. It returns nil if b has little more.
func (b *batch) fit(msgs [][]byte) *batch {
	size, shared := sizeOf(msgs), b.shared && b.holdsNothing()
	need := batchCost + addedCost*len(msgs)
	if !shared {
		need += size
	}
	if b.holds <= need+need/8 {
		return nil
	}
	c := &batch{
		first: b.first + uint64(len(b.msgs)-len(msgs)), began: b.began, written: b.written, fitted: true,
		size: size, shared: shared, msgs: make([][]byte, 0, len(msgs)),
	}
	if shared {
		c.msgs = append(c.msgs, msgs...)
		return c
	}
	c.pieces = [][]byte{make([]byte, 0, size)}
	c.copyTo(0, msgs)
	return c
}

// Messages that were written one by one would each hold the memory of a batch. So a batch
// of at most maxAbsorbed bytes is copied to the one before it, unless that has maxMessages, or
// would have more than minBatch bytes of a small budget, or was begun more than maxApart earlier:
// the deadlines of its requests are late by as much, see batch.written.
const (
	maxAbsorbed = 1 << 10
	maxMessages = 256
	maxApart    = 20 * time.Millisecond
)

// absorb moves the messages of another batch, which were written soon after, to the end of
// b, and reports whether it did. Then the other batch is released.
func (b *batch) absorb(other *batch) bool {
	size := sizeOf(other.msgs)
	switch {
	case other.written-b.began > maxApart, len(b.msgs) >= maxMessages:
		return false
	case other.shared && other.holdsNothing():
		b.msgs = append(b.msgs, other.msgs...)
		b.shared = b.shared || other.shared
	case size > maxAbsorbed || other.shared || b.limit < maxBatch && b.filled()+size > minBatch:
		return false
	default:
		b.piece = b.room(size)
		b.copyTo(b.piece, other.msgs)
	}
	b.written = other.written
	other.release()
	return true
}

// copyTo adds copies of messages, which are in the piece with the index i.
func (b *batch) copyTo(i int, msgs [][]byte) {
	for _, msg := range msgs {
		start := len(b.pieces[i])
		b.pieces[i] = append(b.pieces[i], msg...)
		b.msgs = append(b.msgs, b.pieces[i][start:len(b.pieces[i]):len(b.pieces[i])])
	}
}

// sizeOf returns the size of messages, in bytes.
func sizeOf(msgs [][]byte) (bytes int) {
	for _, msg := range msgs {
		bytes += len(msg)
	}
	return bytes
}

// holdsNothing reports whether none of the messages are in the memory of the batch.
func (b *batch) holdsNothing() bool {
	return b.piece == 0 && (len(b.pieces) == 0 || len(b.pieces[0]) == 0)
}

// filled returns how many bytes of the batch's memory are taken.
func (b *batch) filled() int { return sizeOf(b.pieces) }

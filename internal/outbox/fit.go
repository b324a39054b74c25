package outbox

import "time"

// The messages that are kept may be few in much memory: a batch has room to spare, all of
// it if it was reused, and is freed as a whole. As long as they hold little memory that
// does not matter, and batches are reused. Once it is more than RingBytes, each batch but
// the youngest gives back what it has to spare.

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

// fit makes the batches hold little more memory than their messages need, if they hold too
// much. The youngest may grow, see absorb, and is left alone.
func (k *kept) fit() {
	if len(k.batches) < 2 || k.holds <= RingBytes {
		return
	}
	for i := len(k.batches) - 2; i >= 0 && !k.batches[i].fitted; i-- {
		b := k.batches[i]
		b.fit(k.live(b))
		k.weigh(b)
	}
}

// fit frees the memory of b that its last messages, those that are still kept, do not need,
// if it is much. It overwrites nothing: the messages may be about to be written again.
func (b *batch) fit(msgs [][]byte) {
	b.fitted = true
	size, used, n := 0, 0, 0
	for _, msg := range msgs {
		size += len(msg)
	}
	for _, p := range b.pieces {
		if len(p) > 0 {
			used += cap(p)
			b.pieces[n] = p
			n++
		}
	}
	clear(b.pieces[n:])
	b.pieces, b.piece = b.pieces[:n], max(0, n-1)
	copies := used > size+size/4
	if copies || cap(b.msgs) > len(msgs)+len(msgs)/4 {
		b.first += uint64(len(b.msgs) - len(msgs))
		b.msgs = append(make([][]byte, 0, len(msgs)), msgs...)
		b.kept = nil
	}
	if !copies {
		return
	}
	b.pieces = nil
	var piece []byte
	for i, msg := range b.msgs {
		if cap(piece)-len(piece) < len(msg) {
			piece = newPiece(len(msg), size)
			b.pieces = append(b.pieces, piece)
		}
		start := len(piece)
		piece = append(piece, msg...)
		b.msgs[i] = piece[start:len(piece):len(piece)]
		b.pieces[len(b.pieces)-1] = piece
		size -= len(msg)
	}
}

// Messages that were written one by one would each hold the memory of a batch. So a batch
// of at most maxAbsorbed bytes is copied to the one before it, unless that has maxMessages or
// would have more than minBatch bytes, which are freed together, or was begun more than
// maxApart earlier: the deadlines of its requests are late by as much, see batch.written.
const (
	maxAbsorbed = 1 << 10
	maxMessages = 256
	maxApart    = 20 * time.Millisecond
)

// absorb moves the messages of another batch, which were written soon after, to the end of
// b, and reports whether it did. Then the other batch is released.
func (b *batch) absorb(other *batch) bool {
	size := 0
	for _, msg := range other.msgs {
		size += len(msg)
	}
	switch {
	case other.written-b.began > maxApart, len(b.msgs) >= maxMessages:
		return false
	case other.shared && other.holdsNothing() || len(other.msgs) == 0:
		b.msgs = append(b.msgs, other.msgs...)
		b.shared = b.shared || other.shared
	case size > maxAbsorbed || other.shared || b.filled()+size > minBatch:
		return false
	default:
		i := b.room(size)
		for _, msg := range other.msgs {
			start := len(b.pieces[i])
			b.pieces[i] = append(b.pieces[i], msg...)
			b.msgs = append(b.msgs, b.pieces[i][start:len(b.pieces[i]):len(b.pieces[i])])
		}
		b.piece = i
	}
	b.written = other.written
	other.release()
	return true
}

// holdsNothing reports whether none of the messages are in the memory of the batch.
func (b *batch) holdsNothing() bool {
	return b.piece == 0 && (len(b.pieces) == 0 || len(b.pieces[0]) == 0)
}

// filled returns how many bytes of the batch's memory are taken.
func (b *batch) filled() (bytes int) {
	for _, p := range b.pieces {
		bytes += len(p)
	}
	return bytes
}

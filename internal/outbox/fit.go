package outbox

// The messages that are kept may be few in much memory: a batch has room to spare, all of
// it if it was reused, and is freed as a whole. As long as they hold little memory that
// does not matter, and batches are reused. Once it is more than RingBytes, each batch but
// the youngest gives back what it has to spare.

// weigh counts the memory of one of the batches.
func (k *kept) weigh(b *batch) {
	memory := addedCost * cap(b.msgs)
	for _, p := range b.pieces {
		memory += cap(p)
	}
	k.holds += memory - b.holds
	b.holds = memory
}

// fit makes the batches hold little more memory than their messages need, if they hold too
// much. The youngest may grow, see absorb, and is left alone.
func (k *kept) fit() {
	if k.holds <= RingBytes {
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

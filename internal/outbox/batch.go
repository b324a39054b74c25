package outbox

import "sync"

// batch is a number of messages that are written together.
type batch struct {
	msgs   [][]byte
	size   int      // of all msgs, in bytes
	pieces [][]byte // of memory, which most of msgs alias
	piece  int      // index of the one that is filled; those behind it are empty
}

// keptBatch is how much memory, in bytes, a batch may have that is reused.
const keptBatch = 256 << 10

// Pieces double in size from minPiece to maxPiece. A longer message has one of its own.
const (
	minPiece = 512
	maxPiece = 64 << 10
)

// room returns the index of a piece with room for size bytes. What is in the pieces
// is not moved.
func (b *batch) room(size int) int {
	last := 0
	for i := b.piece; i < len(b.pieces); i++ {
		if last = cap(b.pieces[i]); last-len(b.pieces[i]) >= size {
			return i
		}
	}
	b.pieces = append(b.pieces, make([]byte, 0, max(size, min(2*last, maxPiece), minPiece)))
	return len(b.pieces) - 1
}

// batches is shared by all connections, so that idle ones hold no memory.
var batches = sync.Pool{New: func() any { return new(batch) }}

func (b *batch) release() {
	memory := 0
	for i, p := range b.pieces {
		memory += cap(p)
		b.pieces[i] = p[:0]
	}
	if memory > keptBatch {
		return
	}
	clear(b.msgs)
	b.msgs, b.size, b.piece = b.msgs[:0], 0, 0
	batches.Put(b)
}

package outbox

import (
	"sync"
	"time"

	"github.com/webwire-go/webwire/internal/invariant"
	"github.com/webwire-go/webwire/protocol"
)

// batch is a number of messages that are written together.
type batch struct {
	msgs    [][]byte // those that were removed have the length zero; their capacity is what they had
	removed int      // of msgs
	size    int      // of all msgs, removed or not, in bytes
	limit   int      // the size from which nothing is added; zero: it is not known
	pieces  [][]byte // of memory, which most of msgs alias
	piece   int      // index of the one that is filled; those behind it are empty
	urgent  bool     // the messages are those of Urge, or of Resume: they have no marks and no cost
	kept    [][]byte // memory for live
	space   int      // of pieces, in bytes, when it was released

	// For an outbox that keeps what it has written:

	first   uint64        // the number of the first message
	shared  bool          // not all messages are in the memory of the batch
	began   time.Duration // when the first message was written, by the owner's clock
	written time.Duration // when the last one was; the deadlines of requests count from then
	holds   int           // what kept.holds counts for it
	fitted  bool          // see kept.fit
}

// keptBatch is how much memory, in bytes, a batch may have that is reused.
const keptBatch = 256 << 10

// Pieces double in size from minPiece to maxPiece. Those of a small budget are no longer than what
// the batch has yet to take. A message of more than a quarter of maxPiece has one of its own, unless there
// is room in another.
const (
	minPiece = 512
	maxPiece = 64 << 10
)

// room returns the index of a piece with room for size bytes. What is in the pieces
// is not moved. If none has room, those that are empty give way to one that has.
func (b *batch) room(size int) int {
	last := 0
	for i := b.piece; i < len(b.pieces); i++ {
		if last = cap(b.pieces[i]); last-len(b.pieces[i]) >= size {
			return i
		}
	}
	n := b.piece
	if n < len(b.pieces) && len(b.pieces[n]) > 0 {
		n++
	}
	clear(b.pieces[n:])
	want := size
	if size <= maxPiece/4 {
		want = 2 * last
		if b.limit < maxBatch {
			want = min(want, b.limit-b.size)
		}
		want = min(max(size, minPiece, want), maxPiece)
	}
	b.pieces = append(b.pieces[:n], make([]byte, 0, want))
	return n
}

// add appends a message to msgs, which must outlive the batch.
func (b *batch) add(msg []byte) {
	b.msgs = append(b.msgs, msg)
	b.size += len(msg)
}

// encode encodes m in the memory of the batch. most is the most bytes that m may have,
// and limit, unless it is zero, those that the peer takes.
func (b *batch) encode(v protocol.Version, m *protocol.Message, most, limit int) ([]byte, error) {
	i := b.room(most)
	start := len(b.pieces[i])
	buf, err := v.Append(b.pieces[i], *m)
	if err == nil {
		err = tooBig(len(buf)-start, limit)
	}
	if err != nil {
		return nil, err
	}
	b.pieces[i], b.piece = buf, i
	return buf[start:len(buf):len(buf)], nil
}

// remove removes the message with the index i, which is in the memory of the batch.
func (b *batch) remove(i int) {
	invariant.Check(len(b.msgs[i]) > 0, "a message is removed twice")
	b.msgs[i] = b.msgs[i][:0]
	b.removed++
}

// trim gives back the memory of a message at the end that was removed, and returns its
// size. It returns false if there is none.
func (b *batch) trim() (size int, ok bool) {
	last := len(b.msgs) - 1
	if last < 0 || len(b.msgs[last]) > 0 {
		return 0, false
	}
	size = cap(b.msgs[last])
	b.msgs[last] = nil
	b.msgs = b.msgs[:last]
	for len(b.pieces[b.piece]) == 0 {
		b.piece--
	}
	piece := b.pieces[b.piece]
	b.pieces[b.piece] = piece[:len(piece)-size]
	b.size -= size
	b.removed--
	return size, true
}

// live returns the messages that were not removed.
func (b *batch) live() [][]byte {
	if b.removed == 0 {
		return b.msgs
	}
	b.kept = b.kept[:0]
	for _, msg := range b.msgs {
		if len(msg) > 0 {
			b.kept = append(b.kept, msg)
		}
	}
	return b.kept
}

// liveSize returns the size of live, in bytes.
func (b *batch) liveSize() int {
	size := b.size
	if b.removed > 0 {
		for _, msg := range b.msgs {
			if len(msg) == 0 {
				size -= cap(msg)
			}
		}
	}
	return size
}

// cost returns what the batch takes of the budget: what was removed as well, because its
// memory is not free yet.
func (b *batch) cost() int {
	if b.urgent {
		return 0
	}
	return len(b.msgs)*addedCost + b.size
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
	b.space = memory
	clear(b.msgs)
	clear(b.kept)
	b.msgs, b.kept, b.removed = b.msgs[:0], b.kept[:0], 0
	b.size, b.limit, b.piece, b.urgent = 0, 0, 0, false
	b.first, b.shared, b.began, b.written, b.fitted = 0, false, 0, 0, false
	batches.Put(b)
}

// Package outbox sends the messages of a connection in batches, within a budget of
// bytes.
//
// There is no goroutine behind an [Outbox]. Whoever adds a message while nobody is
// writing becomes the flusher: it writes everything queued in one batch, then what
// others added meanwhile in the next. An idle connection costs nothing, a lone message
// is written at once by its sender, and a busy connection gets batches.
//
//   - outbox.go: the Outbox, and what is done with it;
//   - room.go: how senders wait for room, in turn;
//   - batch.go: the memory of the messages that are written together;
//   - fit.go: the memory of what is kept;
//   - flush.go: the flusher, and holding back for a larger batch;
//   - marks.go: how far the peer has read, and what it cannot have got;
//   - remove.go: taking out a message that was not written;
//   - urgent.go: messages that need no room, and those that are written before all others;
//   - fanout.go: one message to many outboxes.
//
// What a connection is beyond that, and how it ends, is its [Owner]'s to know; that of
// every Outbox is a link.Link.
package outbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/webwire-go/webwire/internal/invariant"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// ErrFull is what a sender that does not wait gets when the peer reads too slowly.
var ErrFull = errors.New("webwire: outbox is full: the peer reads too slowly")

const (
	// maxBatch is the size in bytes from which a batch takes no further message: one batch
	// is one Write, which has a time limit. A small budget has smaller batches: an eighth of
	// it, but no smaller than minBatch. Batches are freed as a whole, and transports copy
	// what they write.
	maxBatch = 128 << 10
	minBatch = 8 << 10

	// overhead is the most that a message may have besides its name and payload before
	// 3.0: type byte, id, length of the name, pad byte. overhead3 is the most that it may
	// have besides its head, name and payload in 3.0.
	overhead  = 11
	overhead3 = 17

	// addedCost is the memory, in bytes, of a message in a batch besides its bytes.
	addedCost = 24
)

// Config says what an Outbox writes to, and how.
type Config struct {
	Conn       transport.Conn
	Version    protocol.Version
	Size       int      // budget in bytes; an empty outbox takes a message of any size
	MaxMessage int      // the longest message the peer takes, in bytes; zero: any
	Keeping    *Keeping // not nil: what was written is kept until the peer acknowledges it
}

// Owner is the connection of an Outbox. Its methods do not block.
type Owner interface {
	// Crowded reports whether others are likely to add something soon. It is a hint.
	Crowded() bool

	// Writing is called when a write begins. It returns Now.
	Writing() time.Duration

	// Now returns the time since a moment that does not change.
	Now() time.Duration

	// Failed is called with the error of a failed write, before the outbox fails. It reports
	// whether the outbox does not fail, because it is suspended.
	Failed(error) (away bool)

	// Enter makes the owner wait for a goroutine, until Leave. If it returns false the
	// connection has ended and nothing is to be started.
	Enter() bool
	Leave()

	// For an outbox that keeps what it has written:

	// Ack returns the encoded acknowledgement that is due, or nil. It goes out with the
	// write that is about to begin.
	Ack() []byte

	// ItemLost is called when an item of the reply to a request is lost. The outbox makes
	// the final answer a failure.
	ItemLost(protocol.ID)
}

// Outbox holds what is to be written to a connection. Its methods may be used
// concurrently. It is not to be copied.
type Outbox struct {
	conf  Config
	owner Owner

	mu       sync.Mutex
	queue    []*batch // to be written; messages are added to the last one
	urgent   *batch   // to be written before queue; nil: nothing
	bytes    int      // cost of what was added and is not yet written
	flushing bool     // there is a flusher
	promised bool     // but it has yet to begin, see addPromised
	held     bool     // more is about to be added: what is queued waits for Let
	added    Mark     // of the message added last
	read     uint64   // bytes that the peer has certainly read
	handed   uint64   // the last number of a message given to the connection
	sent     uint64   // the end of the last message written
	counts   counts   // for statistics
	err      error    // why nothing can be added any more
	flusher  func()   // is flushAll; nil before the first use; the flusher's

	waits *waits // nil until somebody has to wait
	kept  *kept  // what was written; nil while nothing is kept, see keeper
}

// Init prepares o for use.
func (o *Outbox) Init(conf Config, owner Owner) { o.conf, o.owner = conf, owner }

// Conn returns the connection that o writes to, or wrote to last.
func (o *Outbox) Conn() transport.Conn {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.conf.Conn
}

// Version returns the version of the protocol that o writes.
func (o *Outbox) Version() protocol.Version { return o.conf.Version }

// DontWait is the context of a caller of Add that does not wait for room.
var DontWait = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// Send adds m and waits for room until ctx ends. That it returned nil does not mean that
// the message was written.
func (o *Outbox) Send(ctx context.Context, m *protocol.Message) error {
	flush, err := o.Add(ctx, m, nil)
	if flush {
		if ctx.Done() == nil {
			o.Write(MaxRounds)
		} else { // the time that writes take may be more than ctx gives
			o.Write(0)
		}
	}
	return err
}

// TrySend adds a message that is already encoded, without copying it, and never blocks.
// The error is ErrFull if there is no room.
func (o *Outbox) TrySend(msg []byte) error {
	if err := o.check(len(msg)); err != nil {
		return err
	}
	flush, err := o.addEncoded(DontWait, msg)
	if flush {
		o.Write(0)
	}
	return err
}

// Add appends the message m, and waits for room until ctx ends; if ctx is DontWait it
// fails with ErrFull instead. It stores the message's Mark in *at, if at is not nil. If
// flush is true the caller is the flusher and must call Write.
func (o *Outbox) Add(ctx context.Context, m *protocol.Message, at *Mark) (flush bool, err error) {
	size := len(m.Name) + len(m.Payload.Data)
	most := size + overhead
	if o.conf.Version >= protocol.V3_0 {
		most = size + overhead3 + len(m.Head)
	}
	// A message that is too long in any case need not wait for room. Its exact size is
	// known once it is encoded.
	if err := o.check(size); err != nil {
		return false, err
	}
	if err := o.lockRoom(ctx, most); err != nil {
		return false, err
	}
	defer o.mu.Unlock()
	return o.encode(o.mend(m), most, at)
}

// encode appends m, whose size is most at most. The caller holds the lock.
func (o *Outbox) encode(m *protocol.Message, most int, at *Mark) (flush bool, err error) {
	b := o.last()
	msg, err := b.encode(o.conf.Version, m, most, o.conf.MaxMessage)
	if err != nil {
		if len(b.msgs) == 0 {
			o.dropLast()
		}
		return false, err
	}
	return o.append(b, msg, at), nil
}

// addEncoded is Add for a message that is already encoded. It does not copy it.
func (o *Outbox) addEncoded(ctx context.Context, msg []byte) (flush bool, err error) {
	if err := o.lockRoom(ctx, len(msg)); err != nil {
		return false, err
	}
	defer o.mu.Unlock()
	return o.appendShared(msg), nil
}

func (o *Outbox) appendShared(msg []byte) (flush bool) {
	b := o.last()
	b.shared = true
	return o.append(b, msg, nil)
}

// check returns an error if a message of the given size is longer than the peer takes.
func (o *Outbox) check(size int) error { return tooBig(size, o.conf.MaxMessage) }

func tooBig(size, limit int) error {
	if limit > 0 && size > limit {
		return fmt.Errorf("%w: %d bytes instead of at most %d", protocol.ErrTooBig, size, limit)
	}
	return nil
}

// batchSize is the size in bytes from which a batch takes no further message.
func (o *Outbox) batchSize() int { return min(max(o.conf.Size/8, minBatch), maxBatch) }

// last returns the batch to add to.
func (o *Outbox) last() *batch {
	if n := len(o.queue); n > 0 && o.queue[n-1].size < o.queue[n-1].limit {
		return o.queue[n-1]
	}
	b := batches.Get().(*batch)
	b.limit = o.batchSize()
	if b.limit < maxBatch { // it may have been another outbox's
		if b.space > b.limit+b.limit/4 {
			clear(b.pieces)
			b.pieces = b.pieces[:0]
		}
		if addedCost*cap(b.msgs) > b.limit/2 {
			b.msgs = nil
		}
	}
	invariant.Check(len(b.msgs) == 0 && b.size == 0, "a batch is reused before it was cleared")
	o.queue = append(o.queue, b)
	return b
}

func (o *Outbox) dropLast() {
	n := len(o.queue) - 1
	o.queue[n].release()
	o.queue = o.queue[:n]
}

func (o *Outbox) append(b *batch, msg []byte, at *Mark) (flush bool) {
	b.add(msg)
	o.bytes += addedCost + len(msg)
	o.added.number++
	o.added.end += uint64(len(msg))
	if at != nil {
		*at = o.added
	}
	return o.begin()
}

// Fail makes every later Add fail with err, drops what is not written and wakes all who
// wait. Only the first call counts.
func (o *Outbox) Fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return
	}
	o.err = err
	if o.kept != nil {
		o.forgetAll()
	}
	for _, b := range o.queue {
		b.release()
	}
	o.queue = nil
	if o.urgent != nil {
		o.urgent.release()
		o.urgent = nil
	}
	if w := o.waits; w != nil {
		wake(&w.room)
		wake(&w.idle)
		wake(&w.acked)
		w.calls = nil
	}
}

// Empty returns a channel that is closed once everything added so far is written,
// or never will be.
func (o *Outbox) Empty() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	w := o.waiters()
	idle := await(&w.idle)
	o.wakeIdle()
	return idle
}

// wakeIdle wakes those that wait for everything to be written, if it is.
func (o *Outbox) wakeIdle() {
	if o.waits != nil && (o.hasNothing() && !o.flushing || o.err != nil) {
		wake(&o.waits.idle)
	}
}

// counts are those of messages given to the connection, and of bytes written.
type counts struct{ messages, bytes uint64 }

// Counts returns the messages given to the connection so far, and the bytes written.
func (o *Outbox) Counts() (messages, bytes uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.counts.messages, o.counts.bytes
}

package link

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/webwire-go/webwire/protocol"
)

// ErrOutboxFull is what a sender that does not wait gets when the peer reads too
// slowly.
var ErrOutboxFull = errors.New("webwire: outbox is full: the peer reads too slowly")

const (
	// maxBatch is the size in bytes from which a batch takes no further message:
	// one batch is one Write, which has a time limit.
	maxBatch = 128 << 10

	// overhead is what a message may have besides its name and payload: type
	// byte, id, length of the name, pad byte.
	overhead = 11

	// addedCost is the memory, in bytes, of a message in a batch besides its bytes.
	addedCost = 24
)

// outbox holds what is to be written to a connection, within a budget of bytes.
// There is no goroutine behind it: whoever adds a message while nobody writes
// becomes the flusher, and writes what there is in one batch, and what others
// added meanwhile in the next. So an idle connection costs nothing and waits for
// nothing, and a busy one gets batches by itself.
type outbox struct {
	conf  *Config // a message of any size fits an empty outbox, whatever OutboxSize is
	owner owner
	epoch time.Time    // of wrote
	wrote atomic.Int64 // when the last write began, nanoseconds since epoch

	mu       sync.Mutex
	queue    []*batch // to be written; messages are added to the last one
	bytes    int      // cost of what is added and not yet written
	flushing bool     // somebody is the flusher
	promised bool     // not yet, see addPromised
	held     bool     // more is about to be added: what there is waits for let
	added    uint64   // messages added so far
	size     uint64   // bytes of them
	read     uint64   // bytes that the peer has read for sure
	handed   uint64   // messages that were handed to the connection so far
	sent     uint64   // bytes written so far
	err      error    // why nothing can be added any more

	waiting int           // senders that want room, one after the other
	turn    chan struct{} // full while one of them waits for room; nil before the first
	room    chan struct{} // closed once bytes shrink; nil if nobody waits for that
	idle    chan struct{} // closed once all is written; nil if nobody waits for that
	settled chan struct{} // closed once nobody writes; nil if nobody waits for that
}

// owner is the Link of an outbox.
type owner interface {
	crowded() bool // whether others are about to add something
	end(error)     // told of the first failed write
	let()          // calls that of the outbox, and flush if that says so, without waiting
}

// add appends the message m. If there is no room it waits within ctx, or fails with
// ErrOutboxFull if ctx is dontWait. It stores the message's place in *at, if at is
// not nil. The caller must call flush if it says so.
func (o *outbox) add(ctx context.Context, m *protocol.Message, at *place) (flush bool, err error) {
	if err := o.lockRoom(ctx, overhead+len(m.Name)+len(m.Payload.Data)); err != nil {
		return false, err
	}
	defer o.mu.Unlock()
	b := o.last()
	i := b.room(overhead + len(m.Name) + len(m.Payload.Data))
	start := len(b.pieces[i])
	buf, err := o.conf.Version.Append(b.pieces[i], *m)
	if err == nil {
		err = checkSize(len(buf)-start, o.conf.MaxMessage)
	}
	if err != nil {
		if len(b.msgs) == 0 {
			o.dropLast()
		}
		return false, err
	}
	b.pieces[i], b.piece = buf, i
	return o.append(b, buf[start:len(buf):len(buf)], at), nil
}

// addEncoded is add for a message that is already encoded. It does not copy it.
func (o *outbox) addEncoded(ctx context.Context, msg []byte) (flush bool, err error) {
	if err := o.lockRoom(ctx, len(msg)); err != nil {
		return false, err
	}
	defer o.mu.Unlock()
	return o.append(o.last(), msg, nil), nil
}

// lockRoom returns with the lock held and room for size bytes, or with an error. Who
// waits for room gets it in turn: senders of short messages do not keep a long one out.
func (o *outbox) lockRoom(ctx context.Context, size int) (err error) {
	o.mu.Lock()
	switch {
	case o.err != nil:
		err = o.err
	case o.fits(size) && (o.waiting == 0 || ctx == dontWait):
		return nil
	case ctx == dontWait:
		err = ErrOutboxFull
	default:
		o.waiting++
		err = o.awaitTurn(ctx, size)
		o.waiting--
		if err == nil {
			return nil
		}
	}
	o.mu.Unlock()
	return err
}

// fits reports whether there is room. A long message counts as half of what there may
// be, so that it gets in beside those who do not wait.
func (o *outbox) fits(size int) bool {
	return o.bytes == 0 || o.bytes+min(addedCost+size, o.conf.OutboxSize/2) <= o.conf.OutboxSize
}

// awaitTurn waits for room behind those who came before. The lock is held before and
// after.
func (o *outbox) awaitTurn(ctx context.Context, size int) error {
	if o.turn == nil {
		o.turn = make(chan struct{}, 1)
	}
	turn := o.turn
	o.mu.Unlock()
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		o.mu.Lock()
		return ctx.Err()
	}
	defer func() { <-turn }()
	o.mu.Lock()
	for o.err == nil && !o.fits(size) {
		if o.room == nil {
			o.room = make(chan struct{})
		}
		room := o.room
		stuck := o.promised || !o.flushing
		o.mu.Unlock()
		if stuck {
			o.owner.let()
		}
		select {
		case <-room:
		case <-ctx.Done():
			o.mu.Lock()
			return ctx.Err()
		}
		o.mu.Lock()
	}
	return o.err
}

// last returns the batch to add to.
func (o *outbox) last() *batch {
	if n := len(o.queue); n > 0 && o.queue[n-1].size < maxBatch {
		return o.queue[n-1]
	}
	b := batches.Get().(*batch)
	o.queue = append(o.queue, b)
	return b
}

func (o *outbox) dropLast() {
	n := len(o.queue) - 1
	o.queue[n].release()
	o.queue = o.queue[:n]
}

func (o *outbox) append(b *batch, msg []byte, at *place) (flush bool) {
	b.msgs = append(b.msgs, msg)
	b.size += len(msg)
	o.bytes += addedCost + len(msg)
	o.added++
	o.size += uint64(len(msg))
	if at != nil {
		*at = place{o.added, o.size}
	}
	return o.begin()
}

// fail makes every later add fail with err, drops what is not written and wakes
// who waits.
func (o *outbox) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return
	}
	o.err = err
	for _, b := range o.queue {
		b.release()
	}
	o.queue = nil
	o.wake(&o.room)
	o.wake(&o.idle)
}

// empty returns a channel that is closed once everything added so far is written,
// or never will be.
func (o *outbox) empty() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.idle == nil {
		o.idle = make(chan struct{})
	}
	idle := o.idle
	if len(o.queue) == 0 && !o.flushing || o.err != nil {
		o.wake(&o.idle)
	}
	return idle
}

// settle waits until the write in progress, if there is one, has returned. It is for an
// outbox that has failed, and waits for limit at most.
func (o *outbox) settle(limit time.Duration) {
	o.mu.Lock()
	if !o.flushing || o.promised {
		o.mu.Unlock()
		return
	}
	if o.settled == nil {
		o.settled = make(chan struct{})
	}
	settled := o.settled
	o.mu.Unlock()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-settled:
	case <-timer.C:
	}
}

// unsent takes note that of the messages that were handed to the connection, this many
// at the end cannot have reached the peer.
func (o *outbox) unsent(messages int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.handed -= uint64(messages)
}

// place is where a message is among all that were added, guarded by the outbox.
type place struct {
	seq uint64 // its number, from 1 on; zero if it was not added
	end uint64 // bytes added up to its end
}

// sureRoom is how many bytes the network takes without waiting for the peer to read: less
// than the buffers of any system.
const sureRoom = 8 << 10

// flows reports whether the network has room for all that was added: most of it was read
// by the peer.
func (o *outbox) flows() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.size-o.read <= sureRoom
}

// wasRead takes note that the peer has read a message, for it answered, and with it all
// that was added before.
func (o *outbox) wasRead(at *place) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.read = max(o.read, at.end)
}

// wasHanded reports whether a message may have reached the peer.
func (o *outbox) wasHanded(at *place) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return at.seq != 0 && at.seq <= o.handed
}

// counts returns how many messages and bytes were given to the connection.
func (o *outbox) counts() (messages, bytes uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.handed, o.sent
}

func (o *outbox) wake(ch *chan struct{}) {
	if *ch != nil {
		close(*ch)
		*ch = nil
	}
}

package outbox

import "github.com/webwire-go/webwire/internal/invariant"

// Mark is the position of a message among all that were added to an Outbox. The zero
// value is that of a message that was not added.
type Mark struct {
	number uint64 // from 1 on
	end    uint64 // bytes added up to its end
}

// IsZero reports whether the message was not added, or was removed.
func (m *Mark) IsZero() bool { return m.number == 0 }

// sureRoom is a number of bytes that the network takes without waiting for the peer to
// read: less than the buffers of any system.
const sureRoom = 8 << 10

// Flows reports whether a write will not wait for the peer: it has read most of what was
// added.
func (o *Outbox) Flows() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.added.end-o.read <= sureRoom
}

// WasRead records that the peer has read a message, since it answered it, and with it
// all that was added before.
func (o *Outbox) WasRead(at *Mark) {
	o.mu.Lock()
	defer o.mu.Unlock()
	invariant.Check(at.number <= o.added.number && at.end <= o.added.end, "the mark of a message that was not added")
	o.read = max(o.read, at.end)
}

// WasHanded reports whether a message may have reached the peer.
func (o *Outbox) WasHanded(at *Mark) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return at.number != 0 && at.number <= o.handed
}

// unsent records that of the messages of b, which were given to the connection, this many
// at the end cannot have reached the peer.
func (o *Outbox) unsent(b *batch, messages int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	invariant.Check(0 <= messages && messages <= len(b.msgs)-b.removed, "more messages are unsent than were sent")
	o.counts.messages -= uint64(messages)
	if b.urgent {
		return
	}
	for i := len(b.msgs) - 1; messages > 0; i-- {
		if len(b.msgs[i]) > 0 {
			messages--
		}
		o.handed--
		if o.kept != nil { // it is kept all the same, and handed over by Resume
			o.kept.unhanded++
		}
	}
}

package outbox

import (
	"time"

	"github.com/webwire-go/webwire/protocol"
)

// late is what an Outbox that displaces has set aside: messages that must not be lost for
// signals that came after them. A peer that comes back gets them as messages without a
// number, before those that follow.
type late struct {
	messages []numbered
	bytes    int
	total    *Total // that bytes count for too; nil: none
	failed   uint64 // the number of the last message, or item, for which there was no room; zero: none

	// items are the numbers of the last items, of each streamed reply, that are not kept
	// any more. If the peer has not received them when it comes back the stream is broken.
	items map[protocol.ID]uint64

	// broken are the requests whose streamed reply is broken, of which no further message
	// was added yet. That will be a failure.
	broken map[protocol.ID]struct{}

	unacknowledged, unwritten int // see Outbox.Unacknowledged
}

type numbered struct {
	number  uint64
	msg     []byte
	written time.Duration // see batch.written
}

// The limits of what is set aside.
const (
	lateBytes    = 256 << 10
	lateMessages = 512
	lateStreams  = 1024 // more than there are at once and have their last message among lateMessages
)

func (l *late) clear() {
	l.messages, l.items, l.broken = nil, nil, nil
	l.count(-l.bytes)
}

func (l *late) count(bytes int) {
	l.bytes += bytes
	l.total.add(bytes)
}

// acknowledged drops what the peer has received.
func (l *late) acknowledged(received uint64) {
	n := 0
	for n < len(l.messages) && l.messages[n].number <= received {
		l.count(-len(l.messages[n].msg))
		n++
	}
	if n == len(l.messages) {
		l.messages = nil
	} else {
		l.messages = l.messages[n:]
	}
	if l.failed <= received {
		l.failed = 0
	}
	for id, number := range l.items {
		if number <= received {
			delete(l.items, id)
		}
	}
}

func (l *late) add(n numbered) {
	n.msg = append([]byte(nil), n.msg...)
	l.messages = append(l.messages, n)
	l.count(len(n.msg))
	for i := 0; (l.bytes > lateBytes || l.total.exceeded()) && i < len(l.messages); i++ {
		l.shorten(i)
	}
	if l.bytes > lateBytes || len(l.messages) > lateMessages {
		l.fail(n.number)
	}
}

// addItem notes the number of an item that is not kept.
func (l *late) addItem(id protocol.ID, number uint64) {
	if l.items == nil {
		l.items = make(map[protocol.ID]uint64)
	}
	if l.items[id] = number; len(l.items) > lateStreams { // the peer acknowledges nothing
		l.fail(number)
	}
}

// fail drops what is set aside: a peer that has not received the message with a number cannot
// come back.
func (l *late) fail(number uint64) {
	l.messages, l.items = nil, nil
	l.count(-l.bytes)
	l.failed = number
}

// shorten makes a reply the failure that says that it is lost.
func (l *late) shorten(i int) {
	m, err := protocol.V3_0.Parse(l.messages[i].msg)
	if err != nil || m.Kind != protocol.Reply && m.Kind != protocol.ReplyError {
		return
	}
	if short := encodeFailure(m.ID, protocol.FailureReplyLost); len(short) < len(l.messages[i].msg) {
		l.replace(i, short)
	}
}

// shiftDeadlines is that of batch.
func (l *late) shiftDeadlines(at time.Duration) {
	for i := range l.messages {
		n := &l.messages[i]
		n.written = shiftDeadlines(at, n.written, n.msg)
	}
}

func (l *late) replace(i int, msg []byte) {
	l.count(len(msg) - len(l.messages[i].msg))
	l.messages[i].msg = msg
}

func encodeFailure(id protocol.ID, code protocol.FailureCode) []byte {
	// A failure can always be encoded.
	msg, _ := protocol.V3_0.Append(nil, code.Failure().Message(id))
	return msg
}

// setAside decides what becomes of a message that is not kept any more, and that the peer
// has not acknowledged.
func (o *Outbox) setAside(n numbered) {
	k := o.kept
	m, err := protocol.V3_0.Parse(n.msg)
	switch {
	case err != nil:
	case m.Kind == protocol.Item:
		k.late.addItem(m.ID, n.number)
	case m.Kind == protocol.Signal, m.Kind == protocol.Publication, m.Kind == protocol.Presence, m.Kind == protocol.Gap:
	case k.late.failed > 0:
		k.late.failed = n.number
	default:
		k.late.add(n)
	}
}

// breakStreams records which streams have lost items: their final answers must not say
// that all is well. The peer has received what it has acknowledged, and no more.
func (o *Outbox) breakStreams() {
	for id := range o.kept.late.items {
		o.breakStream(id)
	}
	o.kept.late.items = nil
}

// breakStream makes the next message of the reply to a request a failure, be it set aside,
// kept, queued, or yet to come. The peer drops what comes after a failure.
func (o *Outbox) breakStream(id protocol.ID) {
	k := o.kept
	o.owner.ItemLost(id)
	for i := range k.late.messages {
		if isOfReply(k.late.messages[i].msg, id) {
			k.late.replace(i, encodeFailure(id, protocol.FailureStreamLost))
			return
		}
	}
	for _, b := range k.batches {
		if msg := ofReply(k.live(b), id); msg != nil {
			failure := encodeFailure(id, protocol.FailureStreamLost)
			k.bytes += len(failure) - len(*msg)
			k.Total.add(len(failure) - len(*msg))
			*msg = failure
			return
		}
	}
	for _, b := range o.queue {
		if msg := ofReply(b.msgs, id); msg != nil {
			*msg = encodeFailure(id, protocol.FailureStreamLost)
			return
		}
	}
	if k.late.broken == nil {
		k.late.broken = make(map[protocol.ID]struct{})
	}
	k.late.broken[id] = struct{}{}
}

// isReplying reports whether messages of a kind are part of the reply to a request.
func isReplying(k protocol.Kind) bool { return k == protocol.Item || k.IsReply() }

// isOfReply reports whether a message is part of the reply to a request.
func isOfReply(msg []byte, id protocol.ID) bool {
	m, err := protocol.V3_0.Parse(msg)
	return err == nil && isReplying(m.Kind) && m.ID == id
}

// ofReply returns the place of the first of the messages that is part of the reply to a
// request, nil if none is.
func ofReply(msgs [][]byte, id protocol.ID) *[]byte {
	for i := range msgs {
		if isOfReply(msgs[i], id) {
			return &msgs[i]
		}
	}
	return nil
}

// mend returns m, or the failure that has to take its place.
func (o *Outbox) mend(m *protocol.Message) *protocol.Message {
	k := o.kept
	if k == nil || len(k.late.broken) == 0 || !isReplying(m.Kind) {
		return m
	}
	if _, broken := k.late.broken[m.ID]; !broken {
		return m
	}
	delete(k.late.broken, m.ID)
	failure := protocol.FailureStreamLost.Failure().Message(m.ID)
	return &failure
}

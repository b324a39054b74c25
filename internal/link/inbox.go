package link

import (
	"errors"
	"time"

	"github.com/webwire-go/webwire/protocol"
)

// ErrStarved is why a connection ends whose handlers made no room for what arrives
// during maxStarved keep-alive intervals.
var ErrStarved = errors.New("webwire: the inbox is full and no handler has returned for too long")

// taskCost is about the memory, in bytes, of a task, besides the name and the payload
// of its message. Without it messages of a byte, or of none, would fill the memory long
// before they fill an inbox.
const taskCost = 256

// Cost returns the size of the task that handles m, for the budget of an inbox.
func Cost(m protocol.Message) int { return taskCost + len(m.Name) + len(m.Payload.Data) }

// inbox is the budget of what was received and not yet handled: every task is charged
// from its arrival until it is over, whether it waits or runs. While the budget is
// exceeded the reader does not read: that is how a peer that sends faster than its
// messages are handled is slowed down. It is guarded by the Link's mutex.
type inbox struct {
	bytes int
	freed bool          // bytes shrank since the reader looked
	room  chan struct{} // closed when bytes shrink; nil if nobody waits for that
}

// Whether a peer is still there shows only in what it sends, and that may be behind
// messages for which there is no room. So a reader that was held up for a keep-alive
// interval reads on for as much as the inbox holds, or minOverdraft if that is more,
// and again after the next interval, up to maxOverdraft times.
const (
	minOverdraft = 64 << 10
	maxOverdraft = 3

	// maxStarved is the number of keep-alive intervals after which a connection ends
	// that has sent all of that, if no handler returned meanwhile: the peer may have
	// been gone for as long.
	maxStarved = 30
)

// charge takes t's size from the budget and returns what to give back. A long message
// is charged as half of the budget at most, so that it does not keep all others out.
func (l *Link) charge(s *state, size int) (charged int) {
	charged = min(size, l.conf.InboxSize/2)
	s.inbox.bytes += charged
	if s.inbox.bytes > l.conf.InboxSize {
		l.full.Store(true)
	}
	return charged
}

func (in *inbox) release(charged int) {
	in.bytes -= charged
	in.freed = true
	if in.room != nil && charged > 0 {
		close(in.room)
		in.room = nil
	}
}

// finish takes note that a task is over.
func (s *state) finish(charged int) {
	s.tasks--
	s.inbox.release(charged)
}

// awaitRoom returns once the reader may read the next message.
func (l *Link) awaitRoom() {
	d := &l.desk
	overdraft := max(l.conf.InboxSize, minOverdraft)
	for {
		room := l.lack(l.conf.InboxSize + d.overdrafts*overdraft)
		if room == nil {
			return
		}
		l.let() // what is held back may be what the tasks wait for
		timer := time.NewTimer(l.conf.KeepAlive)
		select {
		case <-room:
		case <-timer.C:
			d.overdrafts = min(d.overdrafts+1, maxOverdraft)
			if d.starved++; d.starved > maxStarved {
				l.end(ErrStarved)
			}
		case <-l.ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// lack returns nil if the inbox holds at most limit bytes, and else a channel that is
// closed when it holds less than now.
func (l *Link) lack(limit int) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	in := &l.state.inbox
	if in.freed {
		in.freed, l.desk.starved = false, 0
	}
	if in.bytes <= l.conf.InboxSize {
		l.desk.overdrafts = 0
		l.full.Store(false)
	}
	if in.bytes <= limit {
		return nil
	}
	if in.room == nil {
		in.room = make(chan struct{})
	}
	return in.room
}

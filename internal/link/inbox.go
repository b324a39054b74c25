package link

import (
	"errors"
	"time"

	"github.com/webwire-go/webwire/internal/tasks"
	"github.com/webwire-go/webwire/protocol"
)

// ErrStarved is why a connection ends whose handlers made no room for what arrives
// during maxStarved keep-alive intervals.
var ErrStarved = errors.New("webwire: the inbox is full and no handler has returned for too long")

// Cost returns the size of the task that handles m, for the budget of an inbox.
func Cost(m protocol.Message) int {
	return tasks.Overhead + len(m.Head) + len(m.Name) + len(m.Payload.Data)
}

// The inbox is the budget of the tasks. While it is exceeded the reader does not read.
// But whether a peer is still there shows only in what it sends, and that may be behind
// messages for which there is no room. So a reader that was held up for half a keep-alive
// interval reads on for as much as the inbox holds, or minOverdraft if that is more,
// and again after the next half, up to maxOverdraft times. What it reads then may have
// arrived long before: see pulse.resumed.
const (
	minOverdraft = 64 << 10
	maxOverdraft = 3

	// maxStarved is the number of keep-alive intervals after which a connection ends
	// that has sent all of that, if no handler returned meanwhile: the peer may have
	// been gone for as long.
	maxStarved = 30
)

// awaitRoom returns once the reader may read the next message. Meanwhile it pings the peer
// twice in each interval: a write of the peer makes no progress, and is not late as long
// as something arrives there.
func (l *Link) awaitRoom() {
	d := &l.desk
	overdraft := max(l.limits.Tasks.Budget, minOverdraft)
	over := l.SocketOver()
	held, since := false, time.Duration(0)
	for {
		room, freed, fits := l.tasks.Lack(int(d.overdrafts) * overdraft)
		if freed {
			d.starved = 0
		}
		if fits {
			d.overdrafts = 0
		}
		if room == nil {
			if held {
				l.resumed(since)
			}
			return
		}
		if !held {
			held, since = true, now()
			l.heldUp()
		}
		l.out.Let() // what is held back may be what the tasks wait for
		timer := time.NewTimer(l.limits.KeepAlive / 2)
		select {
		case <-room:
		case <-timer.C:
			l.pingNow()
			d.overdrafts = min(d.overdrafts+1, maxOverdraft)
			if d.starved++; d.starved > 2*maxStarved {
				l.end(ErrStarved, true)
			}
		case <-over:
			timer.Stop()
			return
		case <-l.ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

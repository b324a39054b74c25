package client

import (
	"sync"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/protocol"
)

// inbox counts the bytes of the messages that wait for their hooks, on whichever
// connection they came. They are charged to the inbox of the connection that is read, so
// that the link slows the server down and yet notices if it is gone, see internal/link.
type inbox struct {
	size int // Options.InboxSize

	mu    sync.Mutex
	bytes int
	link  *link.Link // that bytes is charged to, nil before the first message
}

// maxInboxes is the number of sizes of the inbox that may wait from earlier connections.
// A link reads that much while hooks make no room.
const maxInboxes = 4

// cost returns what a message is charged. A long one must not keep all others out.
func (in *inbox) cost(m protocol.Message) int { return min(link.Cost(m), in.size/2) }

// charge charges a message that l received. It reports whether there is room: if not,
// hooks make none, and connection after connection has filled the inbox.
func (in *inbox) charge(l *link.Link, cost int) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.link != l {
		if in.bytes > maxInboxes*in.size {
			return false
		}
		l.Charge(in.bytes)
		in.link = l
	}
	l.Charge(cost)
	in.bytes += cost
	return true
}

// refund gives back the cost of a message whose hook has returned.
func (in *inbox) refund(cost int) {
	if cost == 0 {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.bytes -= cost
	in.link.Refund(cost)
}

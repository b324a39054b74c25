package link

import (
	"fmt"
	"time"

	"github.com/webwire-go/webwire/protocol"
)

var errFlood = fmt.Errorf("%w: more cancels, credit and acknowledgements than there is cause for", protocol.ErrMalformed)

const (
	// freeControls is how many control messages a peer may send without cause.
	freeControls = 1 << 17

	// controlsPerInterval is how many it may send in each keep-alive interval besides, such
	// as acknowledgements that show that it is there.
	controlsPerInterval = 16
)

// controls counts the messages of a peer of 3.0 that nothing else limits, because they take
// no room in the inbox. There is cause for a cancel or an unsubscribe with each request, and
// for an acknowledgement and credit with each message that was sent to the peer. A peer that
// sends many more than that keeps the reader busy on purpose. Only the reader uses it.
type controls struct {
	count, allowed uint64
	began          time.Duration // of the connection, see now
}

func isControl(k protocol.Kind) bool {
	switch k {
	case protocol.Cancel, protocol.Credit, protocol.Ack, protocol.Unsubscribe:
		return true
	}
	return false
}

// exceed counts one, and reports whether there are too many.
func (c *controls) exceed(l *Link) bool {
	c.count++
	if c.count <= c.allowed {
		return false
	}
	sent, _ := l.out.Counts()
	others := l.received.Load() - min(c.count, l.received.Load())
	intervals := uint64((now() - c.began) / max(l.limits.KeepAlive, 1))
	c.allowed = freeControls + others + 2*sent + controlsPerInterval*intervals
	return c.count > c.allowed
}

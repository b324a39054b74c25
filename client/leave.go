package client

import (
	"fmt"
	"time"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// leaveGrace is the time that a server has to close a connection by itself.
const leaveGrace = time.Second

var errServerLeaves = fmt.Errorf("client: left the server: %w", &protocol.PeerError{Err: protocol.ErrShutdown})

// leave leaves a server that answered that it shuts down, once it has answered the
// other requests on the connection, or after Options.Timeout. Published servers keep
// such connections open for ever.
func (c *Client) leave(l *link.Link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaveSoon(l)
}

// leaveSoon is leave for callers that hold mu.
func (c *Client) leaveSoon(l *link.Link) {
	if c.status == Closed || c.leaving.Load() == l {
		return
	}
	c.leaving.Store(l)
	c.owned.Go(func() {
		limit := time.NewTimer(c.opts.Timeout)
		defer limit.Stop()
		select {
		case <-l.Drain():
		case <-limit.C:
		case <-l.Context().Done():
			return
		}
		grace := time.NewTimer(leaveGrace)
		defer grace.Stop()
		select {
		case <-grace.C:
			l.Disconnect(transport.StatusNormalClosure, "", errServerLeaves)
		case <-l.Context().Done():
		}
	})
}

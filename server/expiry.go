package server

import (
	"time"

	"github.com/webwire-go/webwire/transport"
)

// expiryGrace is how long handlers may take after the credentials have expired.
const expiryGrace = 5 * time.Second

// ExpiresAt says when that expires which OnClientConnected or OnClientBack accepted as proof
// of who the client is. At t the socket is closed with transport.StatusCredentialsExpired, and
// a client of 3.0 asks for new credentials and comes back with them. OnClientBack checks those,
// and sets the next time; the connection goes on, and nothing is lost.
//
// If Hooks.OnClientBack is nil, or the connection does not outlive its socket, the connection
// ends at t: it is closed as Close does it, but after five seconds also if handlers are still
// running, with the same status, after which clients connect again.
//
// Each call replaces the time of the one before. A time in the past has come at once; the zero
// Time means that nothing expires.
func (c *Conn) ExpiresAt(t time.Time) {
	if relay := c.movedTo(); relay != nil {
		var f form
		f.time(t)
		relay.call(opExpires, f)
		return
	}
	if c.overdue.Load() {
		if !c.mayRenew() {
			return
		}
		c.overdue.Store(false)
	}
	if t.IsZero() {
		c.neverExpires()
	} else {
		c.expire(time.Until(t), c.expired)
	}
}

// mayRenew reports whether OnClientBack is running: the time that it sets counts even if the one
// before is over meanwhile.
func (c *Conn) mayRenew() bool { return c.resumption != nil && c.resumption.asking.Load() }

// expiresAt returns the time given to ExpiresAt, zero if there is none.
func (c *Conn) expiresAt() time.Time {
	if e := c.expiry.Load(); e != nil {
		return e.at
	}
	return time.Time{}
}

// expiry is the end of credentials.
type expiry struct {
	timer *time.Timer
	at    time.Time
}

// expire calls f after d, unless the connection has ended. Nothing is called at the time
// set before.
func (c *Conn) expire(d time.Duration, f func()) {
	stopTimer(c.expiry.Swap(&expiry{time.AfterFunc(d, f), time.Now().Add(d)}))
	if c.Context().Err() != nil { // serve may have stopped the timer before
		c.neverExpires()
	}
}

func (c *Conn) neverExpires() { stopTimer(c.expiry.Swap(nil)) }

func stopTimer(e *expiry) {
	if e != nil {
		e.timer.Stop()
	}
}

// expired closes the connection.
func (c *Conn) expired() {
	const status, reason = transport.StatusCredentialsExpired, "credentials expired"
	c.overdue.Store(true)
	if c.server.opts.Hooks.OnClientBack != nil && c.link.CloseSocket(status, reason, ErrCredentialsExpired) {
		return // the client comes back with new ones
	}
	c.expire(expiryGrace, func() { c.link.DisconnectLater(status, reason, ErrCredentialsExpired) })
	c.close(status, reason, ErrCredentialsExpired)
}

package stream

import (
	"crypto/tls"
	"fmt"
	"sync"
	"time"
)

// A handshake is done by whoever uses a TLS connection first, within limits of
// time of its own: left to the first Write, it would wait for the peer without any.
type handshake struct {
	conn *tls.Conn
	once sync.Once
	err  error
}

// shake does the TLS handshake if there is one to do.
func (c *conn) shake() error {
	if c.secure == nil {
		return nil
	}
	c.secure.once.Do(func() {
		c.setDeadline(time.Now().Add(min(c.limits.ReadTimeout, c.limits.WriteTimeout)))
		if err := c.secure.conn.Handshake(); err != nil {
			c.secure.err = fmt.Errorf("stream: TLS handshake: %w", err)
		}
		c.setDeadline(time.Time{})
	})
	if c.secure.err != nil {
		c.end(c.secure.err)
		return c.failure()
	}
	return nil
}

// setDeadline sets both deadlines, unless the final one is set.
func (c *conn) setDeadline(deadline time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		c.net.SetDeadline(deadline) // if it fails, so does the handshake
	}
}

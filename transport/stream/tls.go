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
		c.SetDeadline(time.Now().Add(min(c.Limits.ReadTimeout, c.Limits.WriteTimeout)))
		if err := c.secure.conn.Handshake(); err != nil {
			c.secure.err = fmt.Errorf("stream: TLS handshake: %w", err)
		}
		c.SetDeadline(time.Time{})
	})
	if c.secure.err != nil {
		return c.Fail(c.secure.err)
	}
	return nil
}

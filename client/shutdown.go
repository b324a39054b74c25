package client

import (
	"context"

	"github.com/webwire-go/webwire/transport"
)

// Shutdown closes the client once the calls in progress have returned: Request, Signal,
// RestoreSession and CloseSession, including those that wait for a connection. New calls
// return ErrClosed. If ctx ends first Shutdown closes the client at once, as Close does,
// and returns ctx.Err(). It does not wait until a client that is away is back, unless a
// request does.
//
// Like Close it does not wait for hooks and handlers, which may call it; if OnConnected calls
// it, requests that wait for OnConnected do not return before ctx ends. It may be called
// several times, and before, during or after Close.
func (c *Client) Shutdown(ctx context.Context) error {
	c.stopping.Store(true)
	err := c.awaitCalls(ctx)
	c.Close() // returns nil
	return err
}

// awaitCalls waits until no call is in progress, or the client is closed.
func (c *Client) awaitCalls(ctx context.Context) error {
	for {
		c.mu.Lock()
		over, changed := c.calls.Load() == 0 || c.status == Closed, c.changed
		c.mu.Unlock()
		if over {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// enter begins a call that Shutdown waits for, until exit, unless it returns an error.
func (c *Client) enter() error {
	c.calls.Add(1) // before the look, so that Shutdown or this call sees the other
	if c.stopping.Load() {
		c.exit()
		return ErrClosed
	}
	return nil
}

func (c *Client) exit() {
	if c.calls.Add(-1) == 0 && c.stopping.Load() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.notify()
	}
}

// Close closes the client for good. Signals that Signal accepted are sent, unless the client
// is away or the server reads too slowly: then OnGap has their number. Pending requests fail
// with ErrClosed, the connection is closed, and OnDisconnected is called.
// Close waits for Options.Keys, but not for hooks and handlers, which may call it: their
// contexts end. It returns within a few seconds, whatever server and dialer do, and may be
// called several times.
func (c *Client) Close() error {
	c.mu.Lock()
	l := c.link.Load()
	c.setStatus(Closed)
	c.mu.Unlock()
	if l != nil {
		ctx, cancel := context.WithTimeout(c.ctx, transport.DefaultCloseTimeout)
		l.Flush(ctx)
		cancel()
		l.Disconnect(transport.StatusNormalClosure, "", ErrClosed)
	}
	c.cancel()
	c.owned.Wait()
	c.flushKeys()
	return nil
}

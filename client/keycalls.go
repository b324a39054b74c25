package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/internal/logs"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport"
)

// keyLoad is a call of LoadKey.
type keyLoad struct {
	done <-chan struct{}
	err  error // set when done is closed
}

// loadKey asks Options.Keys for the key, until that once succeeded. It waits within ctx.
func (c *Client) loadKey(ctx context.Context) error {
	c.mu.Lock()
	if c.session.loaded || c.opts.Keys == nil {
		c.mu.Unlock()
		return nil
	}
	l := c.loading
	if l == nil {
		l = &keyLoad{err: errKeyStorePanicked}
		c.loading = l
		l.done = c.callKeys("", func() { c.load(l) })
	}
	c.mu.Unlock()
	select {
	case <-l.done:
		return l.err
	case <-c.ctx.Done():
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("client: Options.Keys has not returned the session key: %w", ctx.Err())
	}
}

// load calls LoadKey.
func (c *Client) load(l *keyLoad) {
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.loading = nil
	}()
	key, err := c.opts.Keys.LoadKey()
	if err == nil && key != "" {
		if err := session.CheckKey(key); err != nil { // a server may hang up on it, again and again
			c.log.Write(keysFailed, "webwire: stored session key is invalid; no session is restored", "error", logs.Text(err))
			key = ""
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.session.loaded: // by what the client did meanwhile
		l.err = nil
	case err != nil:
		l.err = err
	default:
		l.err = nil
		c.session.loaded = true
		c.session.key = key
		c.session.number++
		if key == "" {
			c.session.failure = nil // there is nothing to restore
		}
	}
}

// keySave is a call of SaveKey that waits for its turn. Keys that come before it is made
// take the place of its key: the server may create sessions faster than keys are saved.
type keySave struct {
	key    string
	secret string // not to be logged
	done   <-chan struct{}
}

// saveKey has Options.Keys keep the key instead of the old one. The channel that it
// returns is closed once that, or a later key, is saved. The caller holds mu.
func (c *Client) saveKey(key, old string) (saved <-chan struct{}) {
	if c.opts.Keys == nil {
		return nothingToSave
	}
	secret := key
	if secret == "" {
		secret = old
	}
	if s := c.saving; s != nil {
		s.key, s.secret = key, secret
		return s.done
	}
	s := &keySave{key: key, secret: secret}
	c.saving = s
	s.done = c.callKeys(secret, func() {
		c.mu.Lock()
		c.saving = nil
		key, secret := s.key, s.secret
		c.mu.Unlock()
		if err := c.opts.Keys.SaveKey(key); err != nil {
			c.log.Write(keysFailed, "webwire: session key cannot be saved", "error", logText(err, secret))
		}
	})
	return s.done
}

// callKeys has Options.Keys called: one call at a time, in order, and not behind
// hooks, which may take as long as they want.
func (c *Client) callKeys(secret string, call func()) (done <-chan struct{}) {
	k := &keyCall{client: c, secret: secret, call: call, done: make(chan struct{})}
	c.keys.Put(k)
	return k.done
}

// flushKeys waits until the keys are saved, but not for ever.
func (c *Client) flushKeys() {
	if c.opts.Keys == nil {
		return
	}
	limit := time.NewTimer(transport.DefaultCloseTimeout)
	defer limit.Stop()
	select {
	case <-c.callKeys("", func() {}):
	case <-limit.C:
	}
}

// keyCall is a call of Options.Keys, as a task of its queue.
type keyCall struct {
	client *Client
	secret string // not to be logged
	call   func()
	done   chan struct{}
}

func (k *keyCall) Run() {
	defer close(k.done)
	k.call()
}

func (k *keyCall) Panicked(value any, stack []byte) {
	if value != nil {
		value = link.ConcealText(fmt.Sprint(value), k.secret)
	}
	(&hook{client: k.client, name: "Options.Keys"}).Panicked(value, stack)
}

var (
	errKeyStorePanicked = errors.New("client: Options.Keys panicked")

	nothingToSave = func() <-chan struct{} {
		done := make(chan struct{})
		close(done)
		return done
	}()
)

package sim

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/webwire-go/webwire/transport"
)

// standstills stops clients and servers now and then, as a sleeping machine or a stopped
// process: shortly, or until their peers have given up the socket, or the connection.
func (w *world) standstills(r *rand.Rand) {
	for end := time.Now().Add(w.lasts); time.Now().Before(end); w.pause(w.grid + upTo(r, 15*time.Second)) {
		g := &w.host.gate
		if r.IntN(3) > 0 {
			g = &pick(r, w.clients...).gate
		}
		g.shut()
		w.pause(w.grid + pick(r, 0, w.silence(), w.absence()) + upTo(r, 3*time.Second))
		g.open()
	}
}

// longestStandstill is how long an end stands still at most.
func (w *world) longestStandstill() time.Duration {
	return max(w.silence(), w.absence()) + 4*time.Second
}

// gate holds up what an end does on its sockets while it stands still. What arrives
// meanwhile waits, as it does in the buffers of a system. The zero gate is open.
type gate struct {
	mu     sync.Mutex
	opened chan struct{} // nil while it is open
	since  time.Time     // when it was shut last
	total  time.Duration // for which it was shut before
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened == nil {
		g.opened, g.since = make(chan struct{}), time.Now()
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened != nil {
		close(g.opened)
		g.opened = nil
		g.total += time.Since(g.since)
	}
}

// still returns for how long the gate has been shut in all.
func (g *gate) still() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened != nil {
		return g.total + time.Since(g.since)
	}
	return g.total
}

// within is world.within for a call of the client: while it stands still its time does, too.
func (c *simClient) within(what string, limit time.Duration, f func()) {
	start, still := time.Now(), c.gate.still()
	f()
	if took := time.Since(start) - (c.gate.still() - still); took > limit {
		c.w.h.violated("%s took %v, its limit is %v", what, took, limit)
	}
}

// pass waits until the gate is open, or over is closed.
func (g *gate) pass(over <-chan struct{}) {
	g.mu.Lock()
	opened := g.opened
	g.mu.Unlock()
	if opened == nil {
		return
	}
	select {
	case <-opened:
	case <-over:
	}
}

// gated is a socket of an end with a gate.
type gated struct {
	transport.Conn
	gate *gate
	over context.Context
	end  context.CancelFunc
}

func newGated(conn transport.Conn, g *gate) *gated {
	c := &gated{Conn: conn, gate: g}
	c.over, c.end = context.WithCancel(context.Background())
	return c
}

// Unwrap lets transport.As look inside.
func (c *gated) Unwrap() transport.Conn { return c.Conn }

func (c *gated) Read(buf []byte) ([]byte, error) {
	c.gate.pass(c.over.Done())
	b, err := c.Conn.Read(buf)
	c.gate.pass(c.over.Done())
	return b, err
}

func (c *gated) Write(msgs ...[]byte) error {
	c.gate.pass(c.over.Done())
	return c.Conn.Write(msgs...)
}

func (c *gated) Close(status transport.Status, reason string) error {
	c.end()
	return c.Conn.Close(status, reason)
}

func (c *gated) Abort() error {
	c.end()
	return c.Conn.Abort()
}

// gatedListener is the listener of an end with a gate.
type gatedListener struct {
	transport.Listener
	gate *gate
}

func (l *gatedListener) Accept(opts transport.AcceptOptions) (transport.Conn, error) {
	conn, err := l.Listener.Accept(opts)
	l.gate.pass(nil)
	if err != nil {
		return nil, err
	}
	return newGated(conn, l.gate), nil
}

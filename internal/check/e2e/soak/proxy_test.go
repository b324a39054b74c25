package soak_test

import (
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// proxy forwards TCP connections to one of several servers in turn, and can reset
// them.
type proxy struct {
	ln net.Listener

	mu       sync.Mutex
	backends []string
	next     int
	pairs    []*pair
	refuses  bool
	times    []time.Time // of all that were accepted
	closed   bool
	running  sync.WaitGroup
}

// pair is the two halves of a connection through the proxy.
type pair struct {
	near, far *net.TCPConn
	index     int // in proxy.pairs, -1 if it is not there
}

func newProxy(t *testing.T, backends ...string) *proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{ln: ln, backends: backends}
	p.running.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func (p *proxy) addr() string { return p.ln.Addr().String() }

func (p *proxy) accept() {
	for {
		conn, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.times = append(p.times, time.Now())
		refuses := p.refuses
		p.mu.Unlock()
		if refuses {
			reset(conn.(*net.TCPConn))
			continue
		}
		p.running.Go(func() { p.forward(conn.(*net.TCPConn)) })
	}
}

// refuse makes the proxy reset each connection that it accepts, or accept them again.
func (p *proxy) refuse(all bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuses = all
}

// accepted returns when connections were accepted, from a moment on.
func (p *proxy) accepted(from time.Time) (times []time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, at := range p.times {
		if !at.Before(from) {
			times = append(times, at.Sub(from))
		}
	}
	return times
}

// connect connects to a backend that is there.
func (p *proxy) connect() *net.TCPConn {
	p.mu.Lock()
	backends, first := p.backends, p.next
	p.next++
	p.mu.Unlock()
	for i := range backends {
		if conn, err := net.Dial("tcp", backends[(first+i)%len(backends)]); err == nil {
			return conn.(*net.TCPConn)
		}
	}
	return nil
}

func (p *proxy) forward(near *net.TCPConn) {
	far := p.connect()
	if far == nil {
		reset(near)
		return
	}
	c := &pair{near: near, far: far}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		c.reset()
		return
	}
	c.index = len(p.pairs)
	p.pairs = append(p.pairs, c)
	p.mu.Unlock()

	var both sync.WaitGroup
	for _, way := range [][2]*net.TCPConn{{near, far}, {far, near}} {
		both.Go(func() {
			_, _ = io.Copy(way[1], way[0]) // the end of one is the end of both
			_ = way[1].CloseWrite()
		})
	}
	both.Wait()
	_ = near.Close()
	_ = far.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.remove(c)
}

// remove takes a connection out of the list, if it is there. The caller holds mu.
func (p *proxy) remove(c *pair) {
	if c.index < 0 {
		return
	}
	last := p.pairs[len(p.pairs)-1]
	p.pairs[c.index], last.index = last, c.index
	p.pairs = p.pairs[:len(p.pairs)-1]
	c.index = -1
}

// resetAny resets a random connection that was not reset before, and reports whether
// there is one.
func (p *proxy) resetAny() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.pairs) == 0 {
		return false
	}
	c := p.pairs[rand.IntN(len(p.pairs))]
	c.reset()
	p.remove(c)
	return true
}

// resetEach resets all connections that there are now, one after each pause.
func (p *proxy) resetEach(pause time.Duration) {
	p.mu.Lock()
	pairs := slices.Clone(p.pairs)
	p.mu.Unlock()
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for _, c := range pairs {
		<-ticker.C
		c.reset()
	}
}

// resetAll resets all connections.
func (p *proxy) resetAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.pairs {
		c.reset()
	}
}

func (c *pair) reset() {
	reset(c.near)
	reset(c.far)
}

func reset(conn *net.TCPConn) {
	_ = conn.SetLinger(0)
	_ = conn.Close()
}

func (p *proxy) close() {
	_ = p.ln.Close()
	p.mu.Lock()
	p.closed = true
	for _, c := range p.pairs {
		c.reset()
	}
	p.mu.Unlock()
	p.running.Wait()
}

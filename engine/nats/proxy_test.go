package natsengine_test

import (
	"net"
	"strings"
	"sync"
	"testing"
)

// proxy is a TCP connection to a server that can be cut or fall silent.
type proxy struct {
	ln     net.Listener
	target string

	mu      sync.Mutex
	conns   map[net.Conn]chan struct{} // closed when the connection goes silent
	refuses bool
	running sync.WaitGroup
}

func newProxy(t testing.TB, target string) *proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{ln: ln, target: strings.TrimPrefix(target, "nats://"), conns: make(map[net.Conn]chan struct{})}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		ln.Close()
		p.cut()
		p.running.Wait()
	})
	return p
}

func (p *proxy) url() string { return "nats://" + p.ln.Addr().String() }

func (p *proxy) accept() {
	for {
		a, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		refuses := p.refuses
		p.mu.Unlock()
		b, err := net.Dial("tcp", p.target)
		if err != nil || refuses {
			a.Close()
			if err == nil {
				b.Close()
			}
			continue
		}
		silent := make(chan struct{})
		p.mu.Lock()
		p.conns[a], p.conns[b] = silent, silent
		p.mu.Unlock()
		p.running.Go(func() { p.copy(a, b, silent) })
		p.running.Go(func() { p.copy(b, a, silent) })
	}
}

func (p *proxy) copy(to, from net.Conn, silent chan struct{}) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		select {
		case <-silent:
			n = 0
		default:
		}
		if n > 0 {
			_, err = to.Write(buf[:n])
		}
		if err != nil {
			break
		}
	}
	to.Close()
	from.Close()
	p.mu.Lock()
	delete(p.conns, from)
	p.mu.Unlock()
}

// cut ends all connections and refuses new ones.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuses = true
	for c := range p.conns {
		c.Close()
	}
}

func (p *proxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuses = false
}

// silence has nothing pass over the connections that exist, which stay open.
func (p *proxy) silence() {
	p.mu.Lock()
	defer p.mu.Unlock()
	closed := make(map[chan struct{}]bool)
	for _, silent := range p.conns {
		if !closed[silent] {
			close(silent)
			closed[silent] = true
		}
	}
}

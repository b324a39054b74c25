package natsengine_test

import (
	"bytes"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy is a TCP connection to a server that can be cut, fall silent or stall.
type proxy struct {
	ln     net.Listener
	target string

	mu      sync.Mutex
	conns   map[net.Conn]*passage
	refuses bool
	passing func(toServer bool, data []byte) // called before data is passed on; nil: nothing
	running sync.WaitGroup
}

// passage is what both directions of a connection share.
type passage struct {
	silent chan struct{} // closed when the connection goes silent
	stall  sync.RWMutex  // held while data is passed on, or for as long as nothing is to be
	system atomic.Bool   // it is a route of the system account, which carries what replicas tell one another
}

func newProxy(t testing.TB, target string) *proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{ln: ln, target: strings.TrimPrefix(target, "nats://"), conns: make(map[net.Conn]*passage)}
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
		b, err := net.Dial("tcp", p.target)
		if err != nil {
			a.Close()
			continue
		}
		pass := &passage{silent: make(chan struct{})}
		p.mu.Lock()
		if p.refuses {
			p.mu.Unlock()
			a.Close()
			b.Close()
			continue
		}
		p.conns[a], p.conns[b] = pass, pass
		p.mu.Unlock()
		p.running.Go(func() { p.copy(a, b, pass) })
		p.running.Go(func() { p.copy(b, a, pass) })
	}
}

func (p *proxy) copy(to, from net.Conn, pass *passage) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		select {
		case <-pass.silent:
			n = 0
		default:
		}
		if bytes.Contains(buf[:n], []byte(`"route_account":"$SYS"`)) {
			pass.system.Store(true)
		}
		if n > 0 {
			p.mu.Lock()
			passing := p.passing
			p.mu.Unlock()
			if passing != nil {
				passing(from.LocalAddr().String() == p.ln.Addr().String(), buf[:n])
			}
			pass.stall.RLock()
			_, err = to.Write(buf[:n])
			pass.stall.RUnlock()
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

// watch has f called before anything is passed on, by one goroutine for each direction of
// a connection.
func (p *proxy) watch(f func(toServer bool, data []byte)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.passing = f
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
	for _, pass := range p.passages() {
		select {
		case <-pass.silent:
		default:
			close(pass.silent)
		}
	}
}

// inject sends something to the clients as if it came from the server.
func (p *proxy) inject(data string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c, pass := range p.conns {
		if c.LocalAddr().String() == p.ln.Addr().String() {
			pass.stall.Lock() // what passes at the moment is complete
			c.Write([]byte(data))
			pass.stall.Unlock()
		}
	}
}

// passages returns each connection once; p.mu is held.
func (p *proxy) passages() []*passage {
	var all []*passage
	for _, pass := range p.conns {
		if !slices.Contains(all, pass) {
			all = append(all, pass)
		}
	}
	return all
}

// stallSystem holds up everything on the routes of the system account until go on is
// called. Nothing is lost.
func (p *proxy) stallSystem() (goOn func()) {
	return p.stallIf(func(pass *passage) bool { return pass.system.Load() })
}

// stall holds up everything until go on is called.
func (p *proxy) stall() (goOn func()) { return p.stallIf(func(*passage) bool { return true }) }

func (p *proxy) stallIf(chosen func(*passage) bool) (goOn func()) {
	p.mu.Lock()
	var stalled []*passage
	for _, pass := range p.passages() {
		if chosen(pass) {
			stalled = append(stalled, pass)
		}
	}
	p.mu.Unlock()
	for _, pass := range stalled {
		pass.stall.Lock()
	}
	return func() {
		for _, pass := range stalled {
			pass.stall.Unlock()
		}
	}
}

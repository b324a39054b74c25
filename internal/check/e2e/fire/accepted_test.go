package fire_test

import (
	"net"
	"sync"
	"time"
)

// progress records when the system last accepted bytes that a server wrote to each of its
// connections. What the server has sent is no measure: it may be in the middle of a write.
type progress struct {
	net.Listener
	mu    sync.Mutex
	conns map[string]*accepted // by the address of the peer
}

type accepted struct {
	conn *net.TCPConn
	size int32 // not acknowledged, when it was last looked at
	last time.Time
}

func (p *progress) Accept() (net.Conn, error) {
	conn, err := p.Listener.Accept()
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[conn.RemoteAddr().String()] = &accepted{conn: conn.(*net.TCPConn), last: time.Now()}
	return conn, nil
}

// watch looks often until stop is closed.
func (p *progress) watch(stop <-chan struct{}) {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case at := <-ticker.C:
			p.mu.Lock()
			for _, a := range p.conns {
				n, ok := queued(a.conn)
				if !ok { // it is closed
					continue
				}
				if n > a.size {
					a.last = at
				}
				a.size = n
			}
			p.mu.Unlock()
		}
	}
}

// last returns when bytes for a peer were last accepted, and whether that is known.
func (p *progress) last(peer net.Addr) (at time.Time, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.conns[peer.String()]
	if a == nil || a.size == 0 { // at least what the peer did not acknowledge
		return time.Time{}, false
	}
	return a.last, true
}

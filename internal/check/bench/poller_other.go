//go:build !linux

package main

import (
	"net"
	"sync"
)

// poller reads from the connections of sinks, each in a goroutine.
type poller struct {
	sinks *sinks
	done  sync.WaitGroup
}

func newPoller(s *sinks) (*poller, error) { return &poller{sinks: s}, nil }

func (p *poller) add(c net.Conn, i int) error {
	p.done.Go(func() {
		buf := make([]byte, 4<<10)
		for {
			n, err := c.Read(buf)
			if n > 0 {
				p.sinks.received(i, n)
			}
			if err != nil {
				p.sinks.ended(err)
				return
			}
		}
	})
	return nil
}

func (p *poller) close(conns []net.Conn) {
	closeAll(conns)
	p.done.Wait()
}

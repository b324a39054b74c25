package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// sinks are connections that count the bytes they receive, the same for all servers.
// They answer nothing, so that a server must not ping them: the ping would be counted.
type sinks struct {
	conns   []net.Conn
	total   atomic.Int64 // bytes received
	target  atomic.Int64
	closed  atomic.Bool
	arrived chan struct{} // receives when total reaches target
	failed  chan error    // receives when total exceeds target, or a connection ends
}

func newSinks() *sinks {
	return &sinks{arrived: make(chan struct{}, 1), failed: make(chan error, 1)}
}

func (s *sinks) open(addr string, n int, join func(net.Conn, string) error) error {
	s.conns = make([]net.Conn, n)
	var g errgroup.Group
	g.SetLimit(16)
	for i := range s.conns {
		g.Go(func() error {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				return err
			}
			s.conns[i] = c
			if err := join(c, addr); err != nil {
				return err
			}
			go s.read(c)
			return nil
		})
	}
	return g.Wait()
}

func (s *sinks) read(c net.Conn) {
	buf := make([]byte, 4<<10)
	for {
		n, err := c.Read(buf)
		if err != nil {
			if !s.closed.Load() {
				s.fail(fmt.Errorf("a receiving connection ended: %w", err))
			}
			return
		}
		total, target := s.total.Add(int64(n)), s.target.Load()
		switch {
		case total == target:
			s.arrived <- struct{}{}
		case total > target && target > 0:
			s.fail(fmt.Errorf("%d bytes arrived that are not the broadcast's", total-target))
		}
	}
}

func (s *sinks) fail(err error) {
	select {
	case s.failed <- err:
	default: // the first error counts
	}
}

// expect says that n more bytes are about to be sent.
func (s *sinks) expect(n int64) { s.target.Add(n) }

// await waits until the expected bytes have arrived.
func (s *sinks) await() error {
	select {
	case <-s.arrived:
		return nil
	case err := <-s.failed:
		return err
	}
}

// settle waits until nothing arrives any more and returns how many bytes did.
func (s *sinks) settle() (int64, error) {
	last := int64(0)
	err := waitFor(func() bool {
		before := last
		last = s.total.Load()
		time.Sleep(100 * time.Millisecond)
		return last > 0 && last == before
	})
	s.target.Store(last)
	return last, err
}

func (s *sinks) close() {
	s.closed.Store(true)
	for _, c := range s.conns {
		if c != nil {
			c.Close()
		}
	}
}

// shakeHands opens a WebSocket with as little as that needs. It reads the answer
// byte by byte, so that nothing behind it is lost.
func shakeHands(c net.Conn, host, protocol string) error {
	request := "GET / HTTP/1.1\r\nHost: " + host + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	if protocol != "" {
		request += "Sec-WebSocket-Protocol: " + protocol + "\r\n"
	}
	if _, err := c.Write([]byte(request + "\r\n")); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReaderSize(oneByte{c}, 16), nil)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("the answer to a handshake is %s", resp.Status)
	}
	return nil
}

type oneByte struct{ net.Conn }

func (c oneByte) Read(p []byte) (int, error) { return c.Conn.Read(p[:1]) }

var errLate = errors.New("it takes too long")

// waitFor waits until ok.
func waitFor(ok func() bool) error {
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return errLate
		}
	}
	return nil
}

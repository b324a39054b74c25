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
	poller  *poller
	got     []atomic.Int64 // bytes received by each
	heard   atomic.Int64   // connections that received something
	total   atomic.Int64   // bytes received
	target  atomic.Int64
	closed  atomic.Bool
	arrived chan struct{} // receives when total reaches target
	failed  chan error    // receives when total exceeds target, or a connection ends
}

func newSinks() *sinks {
	return &sinks{arrived: make(chan struct{}, 1), failed: make(chan error, 1)}
}

func (s *sinks) open(addr string, n int, join func(net.Conn, string) error) (err error) {
	s.conns, s.got = make([]net.Conn, n), make([]atomic.Int64, n)
	if s.poller, err = newPoller(s); err != nil {
		return err
	}
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
			return s.poller.add(c, i)
		})
	}
	return g.Wait()
}

// received counts what the connection i has received.
func (s *sinks) received(i, n int) {
	if s.got[i].Add(int64(n)) == int64(n) {
		s.heard.Add(1)
	}
	total, target := s.total.Add(int64(n)), s.target.Load()
	switch {
	case total == target:
		s.arrived <- struct{}{}
	case total > target && target > 0:
		s.fail(fmt.Errorf("%d bytes arrived that are not the broadcast's", total-target))
	}
}

// ended is called when a connection cannot be read any more.
func (s *sinks) ended(err error) {
	if !s.closed.Load() {
		s.fail(fmt.Errorf("a receiving connection ended: %w", err))
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

// settle waits until the first message has reached the given number of connections, each of
// which has got as many bytes as the others, and returns how many that are together. It does not
// take a pause for the end: on a busy machine a server may stop for longer than any pause.
func (s *sinks) settle(receivers int) (int64, error) {
	var size int64
	err := waitFor(func() bool {
		if s.heard.Load() != int64(receivers) {
			return false
		}
		size = 0
		for i := range s.got {
			switch n := s.got[i].Load(); {
			case n == 0 || n == size:
			case size == 0:
				size = n
			default:
				return false
			}
		}
		return true
	})
	size *= int64(receivers)
	s.target.Store(size)
	return size, err
}

func (s *sinks) close() {
	s.closed.Store(true)
	if s.poller != nil {
		s.poller.close(s.conns)
	}
}

func closeAll(conns []net.Conn) {
	for _, c := range conns {
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

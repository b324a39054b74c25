package main

import (
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
)

// poller reads from all connections of sinks in one goroutine: that costs less than waking
// one for each, and what the receivers cost is not what is compared.
type poller struct {
	sinks *sinks
	epoll int
	wake  [2]int // a pipe, closed at one end to end the goroutine
	done  sync.WaitGroup
}

// wakeID is not the number of a connection.
const wakeID = -1

func newPoller(s *sinks) (*poller, error) {
	p := &poller{sinks: s}
	var err error
	if p.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if err = syscall.Pipe2(p.wake[:], syscall.O_CLOEXEC); err == nil {
		err = syscall.EpollCtl(p.epoll, syscall.EPOLL_CTL_ADD, p.wake[0], &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: wakeID, Pad: -1})
	}
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	p.done.Go(p.run)
	return p, nil
}

func (p *poller) add(c net.Conn, i int) error {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		// Pad is the other half of the 64 bits that an event brings back.
		failed = syscall.EpollCtl(p.epoll, syscall.EPOLL_CTL_ADD, int(fd), &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(i), Pad: int32(fd)})
	}); err != nil {
		return err
	}
	return failed
}

func (p *poller) run() {
	events := make([]syscall.EpollEvent, 256)
	buf := make([]byte, 4<<10)
	for {
		n, err := syscall.EpollWait(p.epoll, events, -1)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			p.sinks.ended(err)
			return
		}
		for _, e := range events[:n] {
			if e.Fd == wakeID {
				return
			}
			p.read(int(e.Fd), int(e.Pad), buf)
		}
	}
}

func (p *poller) read(i, fd int, buf []byte) {
	n, err := syscall.Read(fd, buf)
	switch {
	case n > 0:
		p.sinks.received(i, n)
	case err == syscall.EAGAIN || err == syscall.EINTR:
	default: // it is readable for ever
		if err == nil {
			err = io.EOF
		}
		_ = syscall.EpollCtl(p.epoll, syscall.EPOLL_CTL_DEL, fd, nil) // fails if it is closed
		p.sinks.ended(err)
	}
}

// close ends the goroutine before it closes the connections: a file that is opened then may
// have the number of one of them.
func (p *poller) close(conns []net.Conn) {
	syscall.Close(p.wake[1])
	p.done.Wait()
	closeAll(conns)
	syscall.Close(p.wake[0])
	syscall.Close(p.epoll)
}

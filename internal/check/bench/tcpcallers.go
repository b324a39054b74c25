package main

import (
	"net"
	"runtime"
	"sync"
	"sync/atomic"
)

// tcpCallers is tcpEcho with the least that a library of requests and replies has
// to do besides: each request is made by a goroutine that waits for its reply, and
// those that are ready are written together. What is between this and tcpEcho is
// the price of waking a goroutine per reply, which no such library can avoid.
var tcpCallers = contender{
	name: "raw/tcp-callers", kind: raw,
	about: "as raw/tcp, each message sent by a goroutine that waits for it to come back; who adds the last one flushes",
	serve: func(size int) (server, error) {
		s, err := tcpEcho.serve(size)
		if err != nil {
			return server{}, err
		}
		dial := s.dial
		s.dial = func() (conn, error) {
			c, err := dial()
			if err != nil {
				return nil, err
			}
			f := &callersConn{echo: c.(*echoConn)}
			go f.receiveAll()
			return f, nil
		}
		return s, nil
	},
}

type callersConn struct {
	echo    *echoConn
	writers atomic.Int32 // callers that are about to write

	writing sync.Mutex // keeps waiting in the order of what is written
	mu      sync.Mutex // guards the rest; not held while writing
	waiting []chan int // for the length of their reply, in order
	err     error
}

func (c *callersConn) receiveAll() {
	for {
		buf, err := c.echo.read(c.echo.buf)
		c.mu.Lock()
		if err != nil {
			c.err = err
			for _, w := range c.waiting {
				close(w)
			}
			c.waiting = nil
			c.mu.Unlock()
			return
		}
		first := c.waiting[0]
		c.waiting = append(c.waiting[:0], c.waiting[1:]...)
		c.mu.Unlock()
		first <- len(buf)
	}
}

func (c *callersConn) load(depth int, r *run) error {
	return r.calls(depth, func() func() error {
		reply := make(chan int, 1)
		return func() error { return c.call(reply, depth > 1) }
	})
}

func (c *callersConn) call(reply chan int, crowded bool) error {
	c.writers.Add(1)
	c.writing.Lock()
	err := c.enqueue(reply)
	if err == nil {
		err = c.echo.write(c.echo.msg)
	}
	c.writing.Unlock()
	if c.writers.Add(-1) == 0 && err == nil {
		if crowded {
			runtime.Gosched() // for the others to add theirs
		}
		c.writing.Lock()
		err = c.echo.flush()
		c.writing.Unlock()
	}
	if err != nil {
		return err
	}
	n, ok := <-reply
	if !ok {
		return net.ErrClosed
	}
	return checkReply(n, len(c.echo.msg))
}

func (c *callersConn) enqueue(reply chan int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.waiting = append(c.waiting, reply)
	}
	return c.err
}

func (c *callersConn) close() { c.echo.close() }

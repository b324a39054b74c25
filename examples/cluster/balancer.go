package main

import (
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// balancer is a load balancer for TCP: each connection goes to the next node.
type balancer struct {
	ln      net.Listener
	serving sync.WaitGroup

	mu    sync.Mutex
	nodes []string // addresses of those that take connections
	next  int
	conns map[net.Conn]struct{}
	ended bool
}

func startBalancer(addr string) (*balancer, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	b := &balancer{ln: ln, conns: make(map[net.Conn]struct{})}
	b.serving.Go(func() {
		for {
			conn, err := ln.Accept()
			switch {
			case err == nil:
				b.serving.Go(func() { b.serve(conn) })
			case errors.Is(err, net.ErrClosed):
				return
			default:
				time.Sleep(10 * time.Millisecond) // too many open files, for instance
			}
		}
	})
	return b, nil
}

func (b *balancer) addr() net.Addr { return b.ln.Addr() }

// add sends connections to a node too.
func (b *balancer) add(addr string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nodes = append(b.nodes, addr)
}

// remove sends no more connections to a node.
func (b *balancer) remove(addr string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nodes = slices.DeleteFunc(b.nodes, func(a string) bool { return a == addr })
}

// candidates returns the nodes in the order in which to try them.
func (b *balancer) candidates() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.nodes) == 0 {
		return nil
	}
	b.next = (b.next + 1) % len(b.nodes)
	return slices.Concat(b.nodes[b.next:], b.nodes[:b.next])
}

// serve connects a client with the first node that accepts it.
func (b *balancer) serve(client net.Conn) {
	defer client.Close()
	for _, addr := range b.candidates() {
		node, err := net.DialTimeout("tcp", addr, 2*time.Second)
		if err != nil {
			continue // it has just died
		}
		defer node.Close()
		if !b.keep(client, node) {
			return
		}
		defer b.forget(client, node)
		var copying sync.WaitGroup
		copying.Go(func() { pass(node, client) })
		copying.Go(func() { pass(client, node) })
		copying.Wait()
		return
	}
}

// pass copies until from ends, and tells the other end.
func pass(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if tcp, ok := to.(*net.TCPConn); ok && err == nil && tcp.CloseWrite() == nil {
		return
	}
	to.Close()
	from.Close()
}

func (b *balancer) keep(conns ...net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range conns {
		b.conns[c] = struct{}{}
	}
	return !b.ended
}

func (b *balancer) forget(conns ...net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range conns {
		delete(b.conns, c)
	}
}

// close ends all connections.
func (b *balancer) close() {
	b.ln.Close()
	b.mu.Lock()
	b.ended = true
	for c := range b.conns {
		c.Close()
	}
	b.mu.Unlock()
	b.serving.Wait()
}

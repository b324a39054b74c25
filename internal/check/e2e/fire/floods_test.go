package fire_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/webwire-go/webwire/internal/check/e2e/load"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
)

// counting counts the bytes that a server reads from its connections.
type counting struct {
	net.Listener
	read atomic.Int64
}

func (l *counting) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &countingConn{conn, &l.read}, nil
}

type countingConn struct {
	net.Conn
	read *atomic.Int64
}

func (c *countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read.Add(int64(n))
	return n, err
}

// Frames that never make a message, and messages that never have an effect, end their
// connection after a number of bytes, not after a time.
func TestFloods(t *testing.T) {
	limit := load.Either(transport.DefaultMaxMessageSize, 64<<10)
	budget := int64(2*limit + 64<<10) // of bytes that make no message
	most := max(2*budget, budget+8<<20+64<<10)
	before := runtime.NumGoroutine()
	ln := &counting{}
	ended := make(chan error, 1)
	srv := load.Start(t, server.Options{MaxMessageSize: limit, Hooks: server.Hooks{
		OnRequest:            echo,
		OnClientDisconnected: func(_ *server.Conn, reason error) { ended <- reason },
	}}, load.Site{Wrap: func(l net.Listener) net.Listener {
		ln.Listener = l
		return ln
	}})
	ping := append(frame(0x89, 125), make([]byte, 125)...)
	for _, c := range []struct {
		name          string
		stubborn      bool // it goes on when it is told that the connection is closed
		first, repeat []byte
	}{
		{"empty fragments", load.Full, frame(0x02, 0), frame(0x00, 0)},
		{"fragments of a byte", load.Full, frame(0x02, 0), append(frame(0x00, 1), 0)},
		{"pings", true, nil, ping},
		{"empty pings", load.Full, nil, frame(0x89, 0)},
		{"pongs", load.Full, nil, append(frame(0x8A, 125), make([]byte, 125)...)},
		{"pings within a message", load.Full, frame(0x02, 0), ping},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, r := upgraded(t, srv.Addr)
			ln.read.Store(0)
			var writing sync.WaitGroup
			writing.Go(func() {
				_, err := conn.Write(c.first)
				for many := bytes.Repeat(c.repeat, 100); err == nil; {
					_, err = conn.Write(many)
				}
			})
			status := closeStatus(r)
			if !c.stubborn {
				conn.Close()
			}
			var closed *transport.CloseError
			reason := <-ended
			read := ln.read.Load()
			conn.Close()
			writing.Wait()
			load.Figure("flood of "+c.name, "cut within twice the byte budget", "cut with %d after %d KiB of %d", status, read>>10, budget>>10)
			if !errors.As(reason, &closed) || closed.Status != transport.StatusPolicyViolation {
				t.Errorf("the connection ended with %v", reason)
			}
			if read > most {
				t.Errorf("cut after %d bytes", read)
			}
		})
	}
	srv.Drop()
	load.WantGoroutines(t, before)
}

// Messages of 3.0 that have no effect, and one byte a second.
func TestUselessMessages(t *testing.T) {
	before := runtime.NumGoroutine()
	ended := make(chan error, 1)
	srv := load.Start(t, server.Options{ResumeWindow: -1, Hooks: server.Hooks{
		OnRequest:            echo,
		OnSubscribe:          func(context.Context, *server.Conn, string) (any, error) { return nil, nil },
		OnClientDisconnected: func(_ *server.Conn, reason error) { ended <- reason },
	}}, load.Site{})
	const budget = 8<<20 + 64<<10 // of the default limits
	id := protocol.NewID(1)
	for _, c := range []struct {
		name string
		msg  protocol.Message
	}{
		{"cancels", protocol.CancelBody{ID: id}.Message()},
		{"credit", protocol.Message{Kind: protocol.Credit, ID: id, Number: 1}},
		{"acknowledgements", protocol.Message{Kind: protocol.Ack}},
		{"unsubscribes", protocol.Message{Kind: protocol.Unsubscribe, Ref: 7}},
	} {
		if !load.Full && c.name != "cancels" {
			continue // all are counted by the same code
		}
		t.Run(c.name, func(t *testing.T) {
			before := int64(srv.Stats().BytesReceived)
			conn := mustDial(t, srv.Addr, protocol.V3_0)
			var reading sync.WaitGroup
			reading.Go(func() { _ = discard(conn) })
			defer reading.Wait()
			msg := encode(c.msg)
			batch := make([][]byte, 1000)
			for i := range batch {
				batch[i] = msg
			}
			deadline := time.Now().Add(load.Patience)
			for conn.Write(batch...) == nil && time.Now().Before(deadline) {
			}
			_ = conn.Abort() // in case that it was not cut
			reason := <-ended
			read := int64(srv.Stats().BytesReceived) - before
			load.Figure("flood of "+c.name, "cut within twice the byte budget", "cut after %d KiB of %d", read>>10, budget>>10)
			if !errors.Is(reason, server.ErrProtocolViolation) {
				t.Errorf("it ended with %v", reason)
			}
			if read > 2*budget {
				t.Errorf("cut after %d bytes", read)
			}
		})
	}
	srv.Drop()
	load.WantGoroutines(t, before)
}

package main

import (
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/webwire-go/webwire/protocol"
	wwserver "github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/stream"
)

func websocketFanout(listeners int) (broadcaster, error) {
	s := fanoutServer(websocketUpgrader)
	addr, stop, err := serveHTTP(s)
	return webwireFanout(s, addr, listeners, func() { stop(); s.Close() }), err
}

func streamFanout(listeners int) (broadcaster, error) {
	l, err := stream.Listen("tcp", "127.0.0.1:0", nil)
	if err != nil {
		return broadcaster{}, err
	}
	s := fanoutServer(nil)
	go s.Serve(l)
	return webwireFanout(s, l.Addr().String(), listeners, func() { s.Close() }), nil
}

// fanoutServer returns a server that does not ping: sinks do not answer, and what is not
// the broadcast's confuses their count. In a full run a group takes longer than the 20 s
// after which a server with the default options pings.
func fanoutServer(up transport.Upgrader) *wwserver.Server {
	o := webwireOptions(up, protocol.V2_0)
	o.ReadTimeout = 24 * time.Hour
	return wwserver.New(o)
}

// webwireFanout is server.Broadcast to all connections of a server.
func webwireFanout(s *wwserver.Server, addr string, listeners int, stop func()) broadcaster {
	msg := protocol.Bytes(payload(payloads[0]))
	// Stats().Open also counts those that are not admitted yet, which get nothing.
	return broadcaster{addr, func() int { return len(slices.Collect(s.Conns())) }, func() error {
		sent, err := wwserver.Broadcast(s.Conns(), name, msg)
		if err == nil && sent != listeners {
			err = fmt.Errorf("%d connections took the signal, not %d", sent, listeners)
		}
		return err
	}, stop}
}

// signalBytes is what a broadcast of ours sends, encoded.
func signalBytes() []byte {
	b, err := protocol.V1_2.Append(nil, protocol.Message{Kind: protocol.Signal, Name: name,
		Payload: protocol.Bytes(payload(payloads[0]))})
	if err != nil {
		panic(err) // it is a valid message
	}
	return b
}

// loop writes to one connection after the other.
type loop struct {
	mu     sync.Mutex
	writes []func() error
}

func (l *loop) add(write func() error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writes = append(l.writes, write)
}

func (l *loop) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.writes)
}

func (l *loop) send() error { return l.sendTo(0, l.count()) }

func (l *loop) sendTo(first, end int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, write := range l.writes[first:end] {
		if err := write(); err != nil {
			return err
		}
	}
	return nil
}

func gobwasFanout(int) (broadcaster, error) {
	b, _, err := rawFanout()
	return b, err
}

// rawFanout writes a frame that was compiled once.
func rawFanout() (broadcaster, *loop, error) {
	l := &loop{}
	frame, err := ws.CompileFrame(ws.NewBinaryFrame(signalBytes()))
	if err != nil {
		return broadcaster{}, nil, err
	}
	addr, stop, err := serveConns(func(c net.Conn) {
		if _, err := ws.Upgrade(c); err == nil {
			l.add(func() error { _, err := c.Write(frame); return err })
		}
	})
	return broadcaster{addr, l.count, l.send, stop}, l, err
}

func tcpFanout(int) (broadcaster, error) {
	var l loop
	msg := signalBytes()
	frame := append([]byte{0, 0, 0, byte(len(msg))}, msg...)
	addr, stop, err := serveConns(func(c net.Conn) {
		l.add(func() error { _, err := c.Write(frame); return err })
	})
	return broadcaster{addr, l.count, l.send, stop}, err
}

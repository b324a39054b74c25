//lint:file-ignore SA1019 it is what webwire/websocket runs on

package main

import (
	"fmt"
	"net"
	"net/http"
	"sync"

	"github.com/coder/websocket"
	"github.com/gobwas/ws"
	nhooyr "nhooyr.io/websocket"

	"github.com/webwire-go/webwire/protocol"
	wwserver "github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/stream"
)

// webwireFanout is server.Broadcast to all connections of a server.
func webwireFanout(up transport.Upgrader) func() (broadcaster, error) {
	return func() (broadcaster, error) {
		s := newWebwire(up)
		addr, stop, err := serveHTTP(s)
		return broadcasts(s, addr, func() { stop(); s.Close() }), err
	}
}

func streamFanout() (broadcaster, error) {
	l, err := stream.Listen("tcp", "127.0.0.1:0", nil)
	if err != nil {
		return broadcaster{}, err
	}
	s := newWebwire(nil)
	go s.Serve(l)
	return broadcasts(s, l.Addr().String(), func() { s.Close() }), nil
}

func broadcasts(s *wwserver.Server, addr string, stop func()) broadcaster {
	msg := protocol.Bytes(payload(payloads[0]))
	return broadcaster{addr, func() int { return s.Stats().Open }, func() error {
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

func (l *loop) send() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, write := range l.writes {
		if err := write(); err != nil {
			return err
		}
	}
	return nil
}

func nhooyrFanout() (broadcaster, error) {
	var l loop
	msg := signalBytes()
	addr, stop, err := serveHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := nhooyr.Accept(w, r, &nhooyr.AcceptOptions{CompressionMode: nhooyr.CompressionDisabled}); err == nil {
			l.add(func() error { return c.Write(background, nhooyr.MessageBinary, msg) })
		}
	}))
	return broadcaster{addr, l.count, l.send, stop}, err
}

func coderFanout() (broadcaster, error) {
	var l loop
	msg := signalBytes()
	addr, stop, err := serveHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled}); err == nil {
			l.add(func() error { return c.Write(background, websocket.MessageBinary, msg) })
		}
	}))
	return broadcaster{addr, l.count, l.send, stop}, err
}

// gobwasFanout writes a frame that was compiled once.
func gobwasFanout() (broadcaster, error) {
	var l loop
	frame, err := ws.CompileFrame(ws.NewBinaryFrame(signalBytes()))
	if err != nil {
		return broadcaster{}, err
	}
	addr, stop, err := serveConns(func(c net.Conn) {
		if _, err := ws.Upgrade(c); err == nil {
			l.add(func() error { _, err := c.Write(frame); return err })
		}
	})
	return broadcaster{addr, l.count, l.send, stop}, err
}

func tcpFanout() (broadcaster, error) {
	var l loop
	msg := signalBytes()
	frame := append([]byte{0, 0, 0, byte(len(msg))}, msg...)
	addr, stop, err := serveConns(func(c net.Conn) {
		l.add(func() error { _, err := c.Write(frame); return err })
	})
	return broadcaster{addr, l.count, l.send, stop}, err
}

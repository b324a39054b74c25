package wstest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/webwire-go/webwire/internal/wsnet"
	"github.com/webwire-go/webwire/transport"
)

// shortClose is for peers that don't answer a close.
const shortClose = 200 * time.Millisecond

// patience is how long the tests wait for what should come at once.
const patience = 20 * time.Second

var quiet = log.New(io.Discard, "", 0)

// await polls until the condition holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// sent is a frame that a socket received.
type sent struct {
	opcode  byte
	payload []byte
}

// readFrames reads the unmasked frames that come until the connection ends.
func readFrames(t testing.TB, socket net.Conn) (frames []sent) {
	t.Helper()
	socket.SetReadDeadline(time.Now().Add(patience))
	stream, err := io.ReadAll(socket)
	if err != nil && len(stream) == 0 {
		t.Logf("after the last frame: %v", err)
	}
	for len(stream) > 0 {
		n, size := int(stream[1]&0x7F), 2
		switch n {
		case 126:
			n, size = int(binary.BigEndian.Uint16(stream[2:])), 4
		case 127:
			n, size = int(binary.BigEndian.Uint64(stream[2:])), 10
		}
		if len(stream) < size+n {
			t.Fatalf("half a frame at the end: %d of %d bytes", len(stream), size+n)
		}
		frames = append(frames, sent{stream[0] & 0xF, stream[size : size+n]})
		stream = stream[size+n:]
	}
	return frames
}

// wantFrames fails the test unless one close frame with the status comes, and
// nothing else.
func wantFrames(t testing.TB, socket net.Conn, status transport.Status) {
	t.Helper()
	frames := readFrames(t, socket)
	if len(frames) != 1 || frames[0].opcode != 8 || len(frames[0].payload) < 2 ||
		binary.BigEndian.Uint16(frames[0].payload) != uint16(status) {
		t.Errorf("frames %v, want one close frame with status %d", frames, status)
	}
}

// Frames that never make a message end the connection, though each is allowed.
func (s suite) testEndlessFrames(t *testing.T) {
	ping := append(header(0x89, 125, true), make([]byte, 125)...)
	pong := append(header(0x8A, 125, true), make([]byte, 125)...)
	for _, c := range []struct {
		name         string
		start, frame []byte
	}{
		{"continuations", header(0x02, 0, true), header(0x00, 0, true)},
		{"pings", nil, ping},
		{"pongs", nil, pong},
		{"pings within a message", header(0x02, 0, true), ping},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, socket := s.bareServer(t, transport.Limits{MaxMessageSize: 1000, CloseTimeout: shortClose})
			defer server.Abort()
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				socket.Write(c.start)
				for frames := bytes.Repeat(c.frame, 100); ; {
					if _, err := socket.Write(frames); err != nil {
						return
					}
				}
			}()
			read := make(chan struct{})
			go func() { defer close(read); io.Copy(io.Discard, socket) }()
			_, err := server.Read(nil)
			var closed *transport.CloseError
			if !errors.As(err, &closed) || closed.Status != transport.StatusPolicyViolation || !closed.Local {
				t.Errorf("Read: %v", err)
			}
			<-ended
			<-read
		})
	}
}

// Pings that come at a bearable rate are welcome for ever.
func (s suite) testEndlessKeepAlive(t *testing.T) {
	limits := transport.Limits{MaxMessageSize: 1, ReadTimeout: 2 * time.Second}
	server, socket := s.bareServer(t, limits)
	defer server.Abort()
	read := make(chan error, 1)
	go func() { _, err := server.Read(nil); read <- err }()
	// In all more than the 64 KiB that one message may take, but far from it
	// within one read timeout.
	pongs := bytes.Repeat(append(header(0x8A, 125, true), make([]byte, 125)...), 80)
	ticker := time.NewTicker(limits.ReadTimeout / 4)
	defer ticker.Stop()
	for range 9 {
		if _, err := socket.Write(pongs); err != nil {
			t.Fatalf("peer: %v", err)
		}
		select {
		case err := <-read:
			t.Fatalf("Read: %v", err)
		case <-ticker.C:
		}
	}
}

// The close of a peer is answered before the connection ends.
func (s suite) testCloseIsAnswered(t *testing.T) {
	for range 20 {
		server, socket := s.bareServer(t, transport.Limits{})
		socket.Write(append(header(0x88, 2, true), 0x0B, 0xB8)) // 3000
		if _, err := server.Read(nil); err == nil {
			t.Error("Read returned a message")
		}
		wantFrames(t, socket, transport.StatusSlowConsumer)
	}
}

// gated lets nothing through from some moment on.
type gated struct {
	net.Conn
	shut   atomic.Bool
	closed chan struct{}
	once   sync.Once
}

func (g *gated) Write(p []byte) (int, error) {
	if g.shut.Load() {
		<-g.closed
		return 0, net.ErrClosed
	}
	return g.Conn.Write(p)
}

func (g *gated) Close() error {
	g.once.Do(func() { close(g.closed) })
	return g.Conn.Close()
}

// A peer that sends pings and does not read the answers is read all the same.
func (s suite) testAnswersDoNotBlockTheReader(t *testing.T) {
	addr, sockets := rawServer(t, "")
	network := &gated{closed: make(chan struct{})}
	client, err := s.Dialer(wsnet.Endpoint{URL: "ws://" + addr, NetDial: func(ctx context.Context, netw, addr string) (_ net.Conn, err error) {
		network.Conn, err = new(net.Dialer).DialContext(ctx, netw, addr)
		return network, err
	}}).Dial(t.Context(), transport.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Abort()
	socket := <-sockets
	network.shut.Store(true)
	for range 3 {
		socket.Write(append(header(0x89, 0, false), append(header(0x82, 1, false), 'x')...))
		read := make(chan error, 1)
		go func() { _, err := client.Read(nil); read <- err }()
		select {
		case err := <-read:
			if err != nil {
				t.Fatalf("Read: %v", err)
			}
		case <-time.After(patience):
			t.Fatal("Read waits for the answer to a ping")
		}
	}
}

// However often and from wherever a connection is closed while others write,
// the peer sees one close frame, and nothing behind it.
func (s suite) testOneCloseFrame(t *testing.T) {
	var rounds sync.WaitGroup
	for i := range 20 { // each waits for a timeout
		rounds.Go(func() { t.Run(strconv.Itoa(i), s.testOneCloseFrameOnce) })
	}
	rounds.Wait()
}

func (s suite) testOneCloseFrameOnce(t *testing.T) {
	server, socket := s.bareServer(t, transport.Limits{CloseTimeout: shortClose})
	const writers = 3
	done := make(chan struct{}, writers+1)
	for range writers {
		go func() {
			for server.Write([]byte("data"), []byte("data")) == nil {
			}
			done <- struct{}{}
		}()
	}
	go func() {
		server.Close(transport.StatusGoingAway, "")
		done <- struct{}{}
	}()
	server.Close(transport.StatusGoingAway, "")
	// The first close frame is answered in the middle of a read of the frames.
	socket.Write(append(header(0x88, 2, true), 0x03, 0xE9))
	frames := readFrames(t, socket)
	for range writers + 1 {
		<-done
	}
	server.Abort()
	for i, f := range frames {
		if last := i == len(frames)-1; (f.opcode == 8) != last {
			t.Fatalf("frame %d of %d has opcode %d", i, len(frames), f.opcode)
		}
	}
}

// A violation of the protocol is answered with one close frame that says so,
// found by the library or not.
func (s suite) testProtocolViolation(t *testing.T) {
	for name, frame := range map[string][]byte{
		"not masked":               header(0x82, 0, false),
		"reserved bit":             header(0xC2, 0, true),
		"unknown opcode":           header(0x83, 0, true),
		"continuation of nothing":  header(0x80, 0, true),
		"long control frame":       header(0x89, 126, true),
		"fragmented control frame": header(0x09, 0, true),
		"status that is not sent":  append(header(0x88, 2, true), 0x03, 0xE7),
	} {
		t.Run(name, func(t *testing.T) {
			server, socket := s.bareServer(t, transport.Limits{CloseTimeout: shortClose})
			defer server.Abort()
			socket.Write(frame)
			_, err := server.Read(nil)
			var closed *transport.CloseError
			if !errors.As(err, &closed) || closed.Status != transport.StatusProtocolError || !closed.Local {
				t.Errorf("Read: %v", err)
			}
			wantFrames(t, socket, transport.StatusProtocolError)
		})
	}
}

// counted counts the writes that reach the network.
type counted struct {
	net.Conn
	writes atomic.Int64
}

func (c *counted) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// The messages of one Write leave in one write, large ones in few.
func (s suite) testWritesAreBatched(t *testing.T) {
	h := s.listen(t, false, Upgrader{}, transport.UpgradeOptions{}, nil)
	var network *counted
	d := h.endpoint()
	d.NetDial = func(ctx context.Context, netw, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, netw, addr)
		network = &counted{Conn: conn}
		return network, err
	}
	client, err := s.Dialer(d).Dial(t.Context(), transport.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Abort()
	server := <-h.conns
	defer server.Abort()
	for _, c := range []struct{ count, size, most int }{
		{1, 10, 1}, {64, 10, 1}, {64, 1000, 1}, {1, 64 << 10, 1}, {3, 64 << 10, 2}, {1, 1 << 20, 9},
	} {
		batch := make([][]byte, c.count)
		for i := range batch {
			batch[i] = make([]byte, c.size)
		}
		before := network.writes.Load()
		failed := make(chan error, 1)
		go func() { failed <- client.Write(batch...) }()
		var buf []byte
		for range batch {
			if buf, err = server.Read(buf); err != nil || len(buf) != c.size {
				t.Fatalf("Read: %d bytes, %v", len(buf), err)
			}
		}
		if err := <-failed; err != nil {
			t.Fatalf("Write: %v", err)
		}
		if n := network.writes.Load() - before; n > int64(c.most) {
			t.Errorf("%d messages of %d bytes left in %d writes, want %d", c.count, c.size, n, c.most)
		}
	}
}

// stubborn ignores deadlines.
type stubborn struct{ net.Conn }

func (stubborn) SetDeadline(time.Time) error      { return nil }
func (stubborn) SetReadDeadline(time.Time) error  { return nil }
func (stubborn) SetWriteDeadline(time.Time) error { return nil }

// Close is bounded even on a network that ignores deadlines.
func (s suite) testCloseWithoutDeadlines(t *testing.T) {
	addr, sockets := rawServer(t, "")
	client, err := s.Dialer(wsnet.Endpoint{URL: "ws://" + addr, NetDial: func(ctx context.Context, netw, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, netw, addr)
		return stubborn{conn}, err
	}}).Dial(t.Context(), transport.DialOptions{Limits: transport.Limits{CloseTimeout: shortClose}})
	if err != nil {
		t.Fatal(err)
	}
	<-sockets
	read := make(chan error, 1)
	go func() { _, err := client.Read(nil); read <- err }()
	start := time.Now()
	client.Close(transport.StatusNormalClosure, "")
	<-read
	if took := time.Since(start); took > shortClose+patience/2 {
		t.Errorf("Close took %v", took)
	}
}

// A peer that closed before it reads is reported to a writer as what it is, if
// somebody reads.
func (s suite) testWriteLearnsOfTheClose(t *testing.T) {
	client, server := s.pair(t, false, transport.Limits{}, transport.Limits{})
	defer client.Abort()
	go server.Close(transport.StatusTryAgainLater, "busy")
	read := make(chan error, 1)
	go func() { _, err := client.Read(nil); read <- err }()
	var err error
	for err == nil {
		err = client.Write([]byte("x"))
	}
	for _, err := range []error{err, <-read} {
		var closed *transport.CloseError
		if !errors.As(err, &closed) || *closed != (transport.CloseError{Status: transport.StatusTryAgainLater, Reason: "busy"}) {
			t.Errorf("error %v", err)
		}
	}
}

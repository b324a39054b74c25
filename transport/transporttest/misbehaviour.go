package transporttest

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/webwire-go/webwire/transport"
)

var misbehaviour = []promise{
	{name: "FramesInAnyPieces", test: testFramesInAnyPieces, bare: true},
	{name: "PeerStallsInAFrame", test: testPeerStallsInAFrame, bare: true},
	{name: "PeerTrickles", test: testPeerTrickles, bare: true},
	{name: "PeerAnnouncesTooMuch", test: testPeerAnnouncesTooMuch, bare: true},
	{name: "PeerVanishes", test: testPeerVanishes, bare: true},
	{name: "PeerHangsUp", test: testPeerHangsUp, bare: true},
	{name: "CloseIsIgnored", test: testCloseIsIgnored, bare: true},
	{name: "CloseMeetsEndlessData", test: testCloseMeetsEndlessData, bare: true},
}

// How a byte stream is cut into pieces has no meaning.
func testFramesInAnyPieces(t *testing.T, h Harness) {
	conn, raw := h.bare(t, transport.Limits{})
	msgs := [][]byte{[]byte("first"), nil, bytes.Repeat([]byte("long "), 2000), []byte("last")}
	var all []byte
	for _, msg := range msgs {
		all = append(all, h.Frame(msg)...)
	}
	for _, size := range []int{1, 3, 700, len(all)} {
		var peer sync.WaitGroup
		peer.Go(func() {
			for rest := all; len(rest) > 0; {
				n := min(size, len(rest))
				if _, err := raw.Write(rest[:n]); err != nil {
					t.Errorf("peer: %v", err)
					return
				}
				rest = rest[n:]
			}
		})
		for _, msg := range msgs {
			wantMessage(t, conn, msg)
		}
		peer.Wait()
	}
}

// A frame that does not end is cut by the read timeout, and does not delay Close.
func testPeerStallsInAFrame(t *testing.T, h Harness) {
	limits := transport.Limits{ReadTimeout: h.short()}
	frame := h.Frame(make([]byte, 1000))
	for _, sent := range []int{1, len(frame) - 1} {
		conn, raw := h.bare(t, limits)
		go raw.Write(frame[:sent])
		within(t, limits.ReadTimeout*9/8, "Read", func() {
			_, err := conn.Read(nil)
			wantTimeout(t, "Read", err)
		})
		wantDead(t, conn)
	}

	limits = transport.Limits{CloseTimeout: 200 * time.Millisecond}
	conn, raw := h.bare(t, limits)
	read := reading(conn)
	if _, err := raw.Write(frame[:len(frame)/2]); err != nil {
		t.Fatalf("peer: %v", err)
	}
	within(t, limits.CloseTimeout, "Close", func() {
		if err := conn.Close(transport.StatusNormalClosure, ""); err != nil {
			t.Errorf("Close: %v", err)
		}
		wantLocal(t, "Read", await(t, "Read", read).err)
	})
	wantDead(t, conn)
}

// A message has to make progress, however often a byte of it comes.
func testPeerTrickles(t *testing.T, h Harness) {
	limits := transport.Limits{ReadTimeout: h.short()}
	conn, raw := h.bare(t, limits)
	frame := h.Frame(make([]byte, 10_000))
	ended := make(chan struct{})
	var peer sync.WaitGroup
	peer.Go(func() {
		ticker := time.NewTicker(limits.ReadTimeout / 20)
		defer ticker.Stop()
		for i := range frame {
			if _, err := raw.Write(frame[i : i+1]); err != nil {
				return
			}
			select {
			case <-ticker.C:
			case <-ended:
				return
			}
		}
	})
	// The silence before the first byte counts by itself.
	within(t, 2*limits.ReadTimeout*9/8, "Read", func() {
		_, err := conn.Read(nil)
		wantTimeout(t, "Read", err)
	})
	close(ended)
	wantDead(t, conn)
	raw.Close()
	peer.Wait()
}

// The announcement of a message over the limit is enough to refuse it.
func testPeerAnnouncesTooMuch(t *testing.T, h Harness) {
	limits := transport.Limits{MaxMessageSize: 100_000, CloseTimeout: 200 * time.Millisecond}
	conn, raw := h.bare(t, limits)
	discard(t, raw)
	frame := h.Frame(make([]byte, limits.MaxMessageSize+1))
	go raw.Write(frame[:100])
	within(t, limits.CloseTimeout, "Read", func() {
		_, err := conn.Read(nil)
		if closed := closeError(t, err); closed.Status != transport.StatusMessageTooBig || !closed.Local {
			t.Errorf("Read: %+v", *closed)
		}
	})
	wantDead(t, conn)
}

// A peer that is there no more, without a trace, is noticed by its silence; pings change nothing.
func testPeerVanishes(t *testing.T, h Harness) {
	limits := transport.Limits{ReadTimeout: h.short()}
	conn, raw := h.bare(t, limits)
	discard(t, raw)
	read := reading(conn)
	within(t, limits.ReadTimeout*9/8, "Read", func() {
		for range 3 {
			if err := conn.Ping(); err != nil {
				t.Errorf("Ping: %v", err)
			}
		}
		wantTimeout(t, "Read", await(t, "Read", read).err)
	})
	wantDead(t, conn)
}

// The end of the byte stream is a loss, between frames and within one.
func testPeerHangsUp(t *testing.T, h Harness) {
	frame := h.Frame([]byte("a message"))
	for _, sent := range []int{0, 1, len(frame) - 1, len(frame)} {
		conn, raw := h.bare(t, transport.Limits{})
		go func() {
			raw.Write(frame[:sent])
			raw.Close()
		}()
		if sent == len(frame) {
			wantMessage(t, conn, []byte("a message"))
		}
		within(t, 0, "Read", func() {
			_, err := conn.Read(nil)
			wantLost(t, "Read", err)
		})
		wantDead(t, conn)
	}
}

// A peer that never answers a close is left after the close timeout.
func testCloseIsIgnored(t *testing.T, h Harness) {
	limits := transport.Limits{CloseTimeout: 200 * time.Millisecond}
	for _, deaf := range []bool{false, true} {
		conn, raw := h.bare(t, limits)
		if !deaf {
			discard(t, raw)
		}
		read := reading(conn)
		within(t, limits.CloseTimeout, "Close", func() {
			if err := conn.Close(transport.StatusNormalClosure, ""); err != nil {
				t.Errorf("Close: %v", err)
			}
			wantLocal(t, "Read", await(t, "Read", read).err)
		})
		wantDead(t, conn)
	}
}

// A peer that answers a close with more and more messages is left as well.
func testCloseMeetsEndlessData(t *testing.T, h Harness) {
	limits := transport.Limits{CloseTimeout: 200 * time.Millisecond}
	conn, raw := h.bare(t, limits)
	discard(t, raw)
	var peer sync.WaitGroup
	peer.Go(func() {
		burst := bytes.Repeat(h.Frame([]byte("more")), 10)
		for {
			if _, err := raw.Write(burst); err != nil {
				return
			}
			time.Sleep(limits.CloseTimeout / 100) // in a bubble, time passes only when all wait
		}
	})
	wantMessage(t, conn, []byte("more"))
	within(t, limits.CloseTimeout, "Close", func() { conn.Close(transport.StatusNormalClosure, "") })
	wantDead(t, conn)
	peer.Wait()
}

// discard reads and ignores everything that comes from conn's side.
func discard(t *testing.T, raw net.Conn) {
	var reader sync.WaitGroup
	reader.Go(func() { io.Copy(io.Discard, raw) })
	t.Cleanup(func() {
		raw.Close()
		reader.Wait()
	})
}

package transporttest

import (
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/webwire-go/webwire/transport"
)

// Limits of time are on progress, not on a whole message.
var progress = []promise{
	{name: "SlowPeerIsWrittenTo", test: testSlowPeerIsWrittenTo},
	{name: "SlowLinkFromPeer", test: testSlowLinkFromPeer, bare: true},
	{name: "SlowLinkToPeer", test: testSlowLinkToPeer, bare: true},
	{name: "BusyPeerThatPings", test: testBusyPeerThatPings},
	{name: "StalledPeerIsCut", test: testStalledPeerIsCut},
	{name: "StalledLinkIsCut", test: testStalledLinkIsCut, bare: true},
	{name: "PeerBeginsToTrickle", test: testPeerBeginsToTrickle, bare: true},
	{name: "ReadAfterALongPause", test: testReadAfterALongPause},
	{name: "PartialWrites", test: testPartialWrites},
}

// A slow link carries a message in the given number of pieces, at a steady rate.
type slowLink struct {
	size, pieces int
	pause        time.Duration // after each piece
}

// slow returns a message and its pace that takes much longer than timeout. In a bubble
// it is 3.5 MiB at 256 KiB/s; sockets store a lot, and their time is real.
func (h Harness) slow(timeout time.Duration) slowLink {
	if h.Bubble {
		return slowLink{size: 7 << 19, pieces: 14 * 8, pause: time.Second / 8}
	}
	const pieces = 30
	return slowLink{size: 16 << 20, pieces: pieces, pause: timeout * 3 / 2 / pieces}
}

// timeout is short where time is real, and zero, the default, in a bubble.
func (h Harness) timeout() time.Duration {
	if h.Bubble {
		return 0
	}
	return 2 * time.Second // a busy machine may stand still for a while
}

// A Write of many messages takes as long as the peer takes to read them.
func testSlowPeerIsWrittenTo(t *testing.T, h Harness) {
	limits := transport.Limits{WriteTimeout: 2 * time.Second}
	a, b := h.pair(t, limits, transport.Limits{})
	msgs := make([][]byte, 30)
	for i := range msgs {
		msgs[i] = make([]byte, 300_000)
	}
	send(t, a, msgs...)
	for _, want := range msgs {
		time.Sleep(limits.WriteTimeout / 20)
		wantMessage(t, b, want)
	}
}

// A message that arrives steadily may take longer than the read timeout.
func testSlowLinkFromPeer(t *testing.T, h Harness) {
	limits := transport.Limits{ReadTimeout: h.timeout(), MaxMessageSize: 64 << 20}
	if h.Bubble {
		limits.ReadTimeout = 10 * time.Second
	}
	conn, raw := h.bare(t, limits)
	link := h.slow(limits.ReadTimeout)
	if !h.Bubble {
		link.size = 2 << 20 // what sockets store makes no difference here
	}
	msg := make([]byte, link.size)
	var peer sync.WaitGroup
	peer.Go(func() {
		size := len(msg) / link.pieces
		for frame := h.Frame(msg); len(frame) > 0; time.Sleep(link.pause) {
			n := min(size, len(frame))
			if _, err := raw.Write(frame[:n]); err != nil {
				t.Errorf("peer: %v", err)
				return
			}
			frame = frame[n:]
		}
	})
	wantMessage(t, conn, msg)
	peer.Wait()
}

// A message that the network takes steadily may take longer than the write timeout.
func testSlowLinkToPeer(t *testing.T, h Harness) {
	limits := transport.Limits{WriteTimeout: h.timeout()}
	conn, raw := h.bare(t, limits)
	link := h.slow(limits.WriteTimeout)
	msg := make([]byte, link.size)
	written := make(chan error, 1)
	go func() { written <- conn.Write(msg) }()
	piece := make([]byte, len(msg)/link.pieces)
	for range link.pieces { // the rest is less than a piece, or the header
		if _, err := io.ReadFull(raw, piece); err != nil {
			t.Fatalf("peer: %v", err)
		}
		time.Sleep(link.pause)
	}
	discard(t, raw)
	if err := await(t, "Write", written); err != nil {
		t.Errorf("Write: %v", err)
	}
}

// A peer that does not read, because it is busy, and sends pings is alive: a Write
// waits for it, and so do pings and other writes behind it.
func testBusyPeerThatPings(t *testing.T, h Harness) {
	limits := transport.Limits{WriteTimeout: 3 * time.Second}
	a, b := h.pair(t, limits, transport.Limits{})
	reads := draining(a)
	stuck := flood(t, a)
	pinged := make(chan error, 100) // no more wait than one
	for range cap(pinged) {
		go func() { pinged <- a.Ping() }()
	}
	for range 10 {
		if err := b.Ping(); err != nil {
			t.Fatalf("Ping of the busy peer: %v", err)
		}
		time.Sleep(limits.WriteTimeout / 6)
	}
	select {
	case err := <-stuck:
		t.Fatalf("Write to a busy peer: %v", err)
	case err := <-reads:
		t.Fatalf("Read beside it: %v", err)
	default:
	}
	drained := draining(b)
	for range cap(pinged) {
		if err := await(t, "Ping", pinged); err != nil {
			t.Errorf("Ping behind a Write to a busy peer: %v", err)
		}
	}
	a.Abort()
	wantLocal(t, "Write", await(t, "Write", stuck))
	wantLocal(t, "Read", await(t, "Read", reads))
	await(t, "Read of the peer", drained)
}

// wantCut fails the test unless a limit of time was kept, exactly where time is virtual.
func (h Harness) wantCut(t *testing.T, what string, limit, took time.Duration) {
	t.Helper()
	most := limit + limit/8 + time.Millisecond
	if !h.Bubble {
		most += 3 * slack // the network may take a lot before
	}
	if took < limit || took > most {
		t.Errorf("%s failed after %v, the limit is %v", what, took, limit)
	}
}

// A Write to a peer that does not read, nor send, is late neither too early nor much
// later than its limit.
func testStalledPeerIsCut(t *testing.T, h Harness) {
	limits := transport.Limits{WriteTimeout: h.short()}
	a, _ := h.pair(t, limits, transport.Limits{})
	reads := draining(a)
	start := time.Now()
	// More than sockets store, so it is one Write that gets stuck.
	err := a.Write(make([]byte, 24<<20))
	wantTimeout(t, "Write", err)
	h.wantCut(t, "Write", limits.WriteTimeout, time.Since(start))
	wantTimeout(t, "Read", await(t, "Read", reads))
	wantDead(t, a)
}

// So is one to a peer that read for a while.
func testStalledLinkIsCut(t *testing.T, h Harness) {
	limits := transport.Limits{WriteTimeout: 1600 * time.Millisecond}
	conn, raw := h.bare(t, limits)
	written := make(chan error, 1)
	go func() { written <- conn.Write(make([]byte, 24<<20)) }()
	// A system may wake a writer only when a third of what it stores, some MB, is free.
	piece := make([]byte, 500_000)
	var last time.Time
	for range 12 {
		time.Sleep(limits.WriteTimeout / 10)
		if _, err := io.ReadFull(raw, piece); err != nil {
			t.Fatalf("peer: %v", err)
		}
		last = time.Now()
	}
	err := await(t, "Write", written)
	wantTimeout(t, "Write", err)
	if took, limit := time.Since(last), limits.WriteTimeout; !h.Bubble {
		// The network may have taken the last bytes before the peer read its last.
		h.wantCut(t, "Write", limit, max(took, limit))
	} else {
		h.wantCut(t, "Write", limit, took)
	}
}

// A message that came steadily and then comes byte by byte is cut.
func testPeerBeginsToTrickle(t *testing.T, h Harness) {
	limits := transport.Limits{ReadTimeout: h.timeout()}
	if h.Bubble {
		limits.ReadTimeout = transport.DefaultReadTimeout
	}
	conn, raw := h.bare(t, limits)
	read := reading(conn)
	frame := h.Frame(make([]byte, 1<<20))
	ended := make(chan struct{})
	var peer sync.WaitGroup
	var steady time.Time
	peer.Go(func() {
		for range 12 {
			if _, err := raw.Write(frame[:40_000]); err != nil {
				t.Errorf("peer: %v", err)
				return
			}
			frame = frame[40_000:]
			time.Sleep(limits.ReadTimeout / 10)
		}
		steady = time.Now()
		ticker := time.NewTicker(limits.ReadTimeout / 30) // a second of the default
		defer ticker.Stop()
		for i := range frame {
			if time.Since(steady) > 3*limits.ReadTimeout {
				raw.Close() // it should have ended long ago
				return
			}
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
	got := <-read // not later than the peer hangs up
	wantTimeout(t, "Read", got.err)
	close(ended)
	raw.Close()
	peer.Wait()
	most := limits.ReadTimeout*9/8 + time.Millisecond
	if !h.Bubble {
		most += slack
	}
	if took := time.Since(steady); steady.IsZero() || took > most {
		t.Errorf("Read failed %v after the message began to trickle, the limit is %v", took, limits.ReadTimeout)
	}
}

// The silence counts from the Read, however long none was in progress.
func testReadAfterALongPause(t *testing.T, h Harness) {
	limits := transport.Limits{ReadTimeout: 2 * time.Second}
	a, b := h.pair(t, limits, transport.Limits{})
	send(t, b, []byte("first"))
	wantMessage(t, a, []byte("first"))
	time.Sleep(limits.ReadTimeout * 5 / 4)
	read := reading(a)
	time.Sleep(limits.ReadTimeout / 4)
	send(t, b, []byte("second"))
	if got := await(t, "Read", read); got.err != nil {
		t.Fatalf("Read after a pause: %v", got.err)
	}
	// What arrived meanwhile is not late either, and neither is what had begun to arrive.
	send(t, b, []byte("third"), make([]byte, 50_000))
	wantMessage(t, a, []byte("third"))
	time.Sleep(limits.ReadTimeout * 5 / 4)
	wantMessage(t, a, make([]byte, 50_000))
}

// A Write that failed may tell how many messages were sent. Then the peer got no more.
func testPartialWrites(t *testing.T, h Harness) {
	limits := transport.Limits{WriteTimeout: h.short()}
	for name, end := range map[string]func(a, b transport.Conn){
		"timeout":     func(a, b transport.Conn) {},
		"abort":       func(a, b transport.Conn) { a.Abort() },
		"peer aborts": func(a, b transport.Conn) { b.Abort() },
	} {
		for _, size := range []int{1000, 100_000} {
			a, b := h.pair(t, limits, transport.Limits{})
			reads := draining(a)
			msg := make([]byte, size)
			msgs := make([][]byte, (24<<20)/size)
			for i := range msgs {
				msgs[i] = msg
			}
			written := make(chan error, 1)
			go func() { written <- a.Write(msgs...) }()
			got := 0
			for ; got < 3; got++ {
				wantMessage(t, b, msg)
			}
			end(a, b)
			err := await(t, "Write", written)
			if err == nil {
				t.Fatalf("%s: Write of %d messages, of which %d were read, succeeded", name, len(msgs), got)
			}
			for {
				if _, err := b.Read(msg); err != nil {
					break
				}
				got++
			}
			var partial *transport.PartialError
			if errors.As(err, &partial) && (partial.Sent < got || partial.Sent >= len(msgs)) {
				t.Errorf("%s: %d of %d messages sent, the peer got %d", name, partial.Sent, len(msgs), got)
			}
			await(t, "Read", reads)
		}
	}
}

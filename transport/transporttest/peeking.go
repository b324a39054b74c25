package transporttest

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/transport"
)

// The promises of a transport.Peeker; other connections need not keep them.
var peeking = []promise{
	{name: "BufferedInBatches", test: testBufferedInBatches},
	{name: "BufferedInPieces", test: testBufferedInPieces, bare: true},
	{name: "BufferedBeforeAnEnd", test: testBufferedBeforeAnEnd, bare: true},
}

// peeker skips the test of a connection that is no Peeker.
func peeker(t *testing.T, c transport.Conn) transport.Peeker {
	t.Helper()
	p, ok := c.(transport.Peeker)
	if !ok {
		t.Skip("the connection is no transport.Peeker")
	}
	return p
}

// Some messages of a batch that is sent at once are known to be there before
// they are read, and nothing is before the first and behind the last.
func testBufferedInBatches(t *testing.T, h Harness) {
	a, b := h.pair(t, transport.Limits{}, transport.Limits{})
	p := peeker(t, b)
	const batches, perBatch = 20, 30
	batch := make([][]byte, perBatch)
	for i := range batch {
		batch[i] = fmt.Appendf(nil, "message %d", i)
	}
	known := 0
	for range batches {
		if p.Buffered() {
			t.Fatal("Buffered although all was read")
		}
		send(t, a, batch...)
		for i, want := range batch {
			if h.Bubble && i > 0 {
				synctest.Wait() // what is on its way arrives
			}
			if i == 0 || !p.Buffered() {
				wantMessage(t, b, want)
				continue
			}
			known++
			within(t, 0, "Read of what is buffered", func() { wantMessage(t, b, want) })
		}
	}
	if known == 0 {
		t.Errorf("never Buffered within %d batches of %d", batches, perBatch)
	}
}

// A message is not there before its last byte is.
func testBufferedInPieces(t *testing.T, h Harness) {
	conn, raw := h.bare(t, transport.Limits{})
	p := peeker(t, conn)
	pieces := make(chan []byte, 2)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for piece := range pieces {
			if _, err := raw.Write(piece); err != nil {
				t.Errorf("peer: %v", err)
			}
		}
	}()
	defer func() { close(pieces); <-done }()

	first := []byte("first")
	for _, size := range []int{0, 1, 130, 100_000} {
		second := bytes.Repeat([]byte("x"), size)
		frame := h.Frame(second)
		for cut := 0; cut < len(frame); cut += 1 + len(frame)/100 {
			pieces <- append(h.Frame(first), frame[:cut]...)
			wantMessage(t, conn, first)
			if p.Buffered() {
				t.Fatalf("Buffered although only %d of %d bytes were sent", cut, len(frame))
			}
			pieces <- frame[cut:]
			wantMessage(t, conn, second)
			if p.Buffered() {
				t.Fatal("Buffered although all was read")
			}
		}
	}
}

// A Read that has to end the connection may wait for the peer. It is not
// announced as one that does not.
func testBufferedBeforeAnEnd(t *testing.T, h Harness) {
	limits := transport.Limits{MaxMessageSize: 100, CloseTimeout: 10 * time.Minute}
	conn, raw := h.bare(t, limits)
	p := peeker(t, conn)
	go raw.Write(append(h.Frame([]byte("small")), h.Frame(make([]byte, 101))...))
	wantMessage(t, conn, []byte("small"))
	if p.Buffered() {
		within(t, 0, "Read of a message over the limit", func() { conn.Read(nil) })
	}

	if !h.Bubble {
		return // nothing else tells that Close began
	}
	conn, raw = h.bare(t, limits)
	p = peeker(t, conn)
	go raw.Write(append(h.Frame([]byte("small")), h.Frame([]byte("late"))...))
	wantMessage(t, conn, []byte("small"))
	go conn.Close(transport.StatusNormalClosure, "")
	synctest.Wait()
	if p.Buffered() {
		within(t, 0, "Read during a Close", func() { conn.Read(nil) })
	}
}

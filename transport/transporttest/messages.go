package transporttest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"testing"

	"github.com/webwire-go/webwire/transport"
)

var messages = []promise{
	{name: "Order", test: testOrder},
	{name: "Sizes", test: testSizes},
	{name: "BatchesStayTogether", test: testBatchesStayTogether},
	{name: "BothWaysAtOnce", test: testBothWaysAtOnce},
	{name: "BufferReuse", test: testBufferReuse},
	{name: "MessagesAreCopied", test: testMessagesAreCopied},
	{name: "TooBig", test: testTooBig},
	{name: "Identity", test: testIdentity},
}

// Messages arrive once each and in the order of the calls and of the arguments.
func testOrder(t *testing.T, h Harness) {
	a, b := h.pair(t, transport.Limits{}, transport.Limits{})
	const batches, perBatch = 100, 7
	var sender sync.WaitGroup
	sender.Go(func() {
		for i := range batches {
			batch := make([][]byte, perBatch)
			for j := range batch {
				batch[j] = fmt.Appendf(nil, "message %d", i*perBatch+j)
			}
			if err := a.Write(batch...); err != nil {
				t.Errorf("Write: %v", err)
				return
			}
		}
		if err := a.Write(); err != nil {
			t.Errorf("Write of no message: %v", err)
		}
	})
	defer sender.Wait()
	for i := range batches * perBatch {
		wantMessage(t, b, fmt.Appendf(nil, "message %d", i))
	}
}

// Every size from nothing to the limit arrives whole, alone and in batches.
func testSizes(t *testing.T, h Harness) {
	const limit = 300_000
	a, b := h.pair(t, transport.Limits{}, transport.Limits{MaxMessageSize: limit})
	var msgs [][]byte
	for _, size := range []int{
		0, 1, 2, 3, 125, 126, 127, 128, 1000, 4091, 4092, 4096, 4097, 16_384, 32_767, 32_768, 32_769,
		65_531, 65_532, 65_535, 65_536, 65_537, 200_000, limit - 1, limit, 0, 0, 5,
	} {
		msg := make([]byte, size)
		for i := range msg {
			msg[i] = byte(rand.Uint32())
		}
		msgs = append(msgs, msg)
	}
	var sender sync.WaitGroup
	sender.Go(func() {
		for _, msg := range msgs {
			if err := a.Write(msg); err != nil {
				t.Errorf("Write: %v", err)
				return
			}
		}
		if err := a.Write(msgs...); err != nil {
			t.Errorf("Write of a batch: %v", err)
		}
	})
	defer sender.Wait()
	for range 2 {
		for _, msg := range msgs {
			wantMessage(t, b, msg)
		}
	}
}

// Batches of concurrent writers, large ones included, never mix.
func testBatchesStayTogether(t *testing.T, h Harness) {
	a, b := h.pair(t, transport.Limits{}, transport.Limits{})
	const writers, batches, perBatch = 8, 25, 3
	var all sync.WaitGroup
	for writer := range writers {
		all.Go(func() {
			for i := range batches {
				batch := make([][]byte, perBatch)
				for j := range batch {
					size := 8
					if i%5 == 0 {
						size = 40_000
					}
					msg := bytes.Repeat([]byte{byte(writer)}, size)
					binary.BigEndian.PutUint32(msg, uint32(i*perBatch+j))
					batch[j] = msg
				}
				if err := a.Write(batch...); err != nil {
					t.Errorf("Write: %v", err)
					return
				}
			}
		})
	}
	defer all.Wait()
	var next [writers]uint32
	last := 0
	for n := range writers * batches * perBatch {
		msg, err := b.Read(nil)
		if err != nil {
			t.Fatalf("Read: %v", err)
		}
		body := msg[4:]
		writer := int(body[0])
		if !bytes.Equal(body, bytes.Repeat(body[:1], len(body))) {
			t.Fatal("a message holds parts of others")
		}
		if n%perBatch != 0 && writer != last {
			t.Fatalf("a message of writer %d within a batch of writer %d", writer, last)
		}
		if seq := binary.BigEndian.Uint32(msg); seq != next[writer] {
			t.Fatalf("message %d of writer %d, want %d", seq, writer, next[writer])
		}
		next[writer]++
		last = writer
	}
}

// Both ends may write a lot before the other reads any of it, as long as both
// read at all; pings and their answers do not disturb that.
func testBothWaysAtOnce(t *testing.T, h Harness) {
	a, b := h.pair(t, transport.Limits{}, transport.Limits{})
	const count, size = 400, 20_000
	var all sync.WaitGroup
	for _, c := range []transport.Conn{a, b} {
		all.Go(func() {
			msg := make([]byte, size)
			for i := range count {
				if err := c.Write(msg, nil); err != nil {
					t.Errorf("Write: %v", err)
					return
				}
				if i%20 != 0 {
					continue
				}
				if err := c.Ping(); err != nil {
					t.Errorf("Ping: %v", err)
				}
			}
		})
		all.Go(func() {
			var buf []byte
			for i := range 2 * count {
				msg, err := c.Read(buf)
				if err != nil {
					t.Errorf("Read: %v", err)
					return
				}
				if want := size * (1 - i%2); len(msg) != want {
					t.Errorf("message %d has %d bytes, want %d", i, len(msg), want)
					return
				}
				buf = msg
			}
		})
	}
	all.Wait()
}

// Read stores the message in the buffer if it has the capacity, whatever its
// length, and leaves it alone otherwise.
func testBufferReuse(t *testing.T, h Harness) {
	a, b := h.pair(t, transport.Limits{}, transport.Limits{})
	want := bytes.Repeat([]byte("0123456789"), 20)
	send(t, a, want, want, want, nil)

	buf := make([]byte, 7, len(want))
	got, err := b.Read(buf)
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	if &got[0] != &buf[0] || !bytes.Equal(got, want) {
		t.Error("Read into a buffer of sufficient capacity did not use it")
	}

	small := []byte("untouched")
	small = small[:len(small):len(small)]
	if got, err = b.Read(small); err != nil {
		t.Fatalf("Read: %v", err)
	}
	if &got[0] == &small[0] || !bytes.Equal(got, want) {
		t.Error("Read into a buffer of too small capacity did not replace it")
	}

	// A buffer within a larger array ends where its capacity ends.
	array := make([]byte, len(want)+10)
	if got, err = b.Read(array[5:5:15]); err != nil {
		t.Fatalf("Read: %v", err)
	}
	if !bytes.Equal(got, want) || !bytes.Equal(array[15:], make([]byte, len(want)-5)) {
		t.Error("Read wrote beyond the capacity of its buffer")
	}
	if got, err = b.Read(got); err != nil || len(got) != 0 {
		t.Errorf("Read of an empty message: %s, %v", brief(got), err)
	}
}

// Neither end sees what the other does to its memory.
func testMessagesAreCopied(t *testing.T, h Harness) {
	a, b := h.pair(t, transport.Limits{}, transport.Limits{})
	const count = 20
	var sender sync.WaitGroup
	sender.Go(func() {
		msg := make([]byte, 30_000)
		for i := range count {
			for j := range msg {
				msg[j] = byte(i)
			}
			if err := a.Write(msg[:10], msg); err != nil {
				t.Errorf("Write: %v", err)
				return
			}
			clear(msg)
		}
	})
	var got [][]byte
	for range 2 * count {
		msg, err := b.Read(nil)
		if err != nil {
			t.Fatalf("Read: %v", err)
		}
		got = append(got, msg)
	}
	sender.Wait()
	for i, msg := range got {
		if !bytes.Equal(msg, bytes.Repeat([]byte{byte(i / 2)}, len(msg))) {
			t.Fatalf("message %d changed after Write or Read returned", i)
		}
	}
}

// A message over the limit ends the connection with StatusMessageTooBig on both sides,
// and the reader does not store it.
func testTooBig(t *testing.T, h Harness) {
	const limit, size = 1000, 8 << 20
	a, b := h.pair(t, transport.Limits{}, transport.Limits{MaxMessageSize: limit})
	huge := make([]byte, size)
	send(t, a, make([]byte, limit))
	wantMessage(t, b, make([]byte, limit))

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	atA := draining(a)
	var sender sync.WaitGroup
	sender.Go(func() { a.Write(huge) }) // its outcome depends on how much is on the way
	within(t, transport.DefaultCloseTimeout, "Read of a message over the limit", func() {
		_, err := b.Read(nil)
		if closed := closeError(t, err); closed.Status != transport.StatusMessageTooBig || !closed.Local {
			t.Errorf("Read of a message over the limit: %+v", *closed)
		}
	})
	err := await(t, "Read of the sender", atA)
	if closed := closeError(t, err); closed.Status != transport.StatusMessageTooBig || closed.Local {
		t.Errorf("Read of the sender: %+v", *closed)
	}
	sender.Wait()
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > size/2 {
		t.Errorf("%d bytes allocated for a message of %d that is over the limit", grown, size)
	}
	wantDead(t, a)
	wantDead(t, b)
}

func testIdentity(t *testing.T, h Harness) {
	a, b := h.pair(t, transport.Limits{}, transport.Limits{})
	for _, c := range []transport.Conn{a, b} {
		wantAddresses(t, c)
		if token := c.Protocol(); h.Negotiate == nil && token != "" {
			t.Errorf("Protocol %q of a connection that negotiated nothing", token)
		}
		c.Abort()
		wantAddresses(t, c) // also after the end
	}
}

// wantAddresses fails the test unless both addresses are there.
func wantAddresses(t *testing.T, c transport.Conn) {
	t.Helper()
	for name, addr := range map[string]net.Addr{"LocalAddr": c.LocalAddr(), "RemoteAddr": c.RemoteAddr()} {
		if addr == nil {
			t.Errorf("%s is nil", name)
		} else if addr.Network() == "" || addr.Network() != "unix" && addr.String() == "" {
			t.Errorf("%s is %q %q", name, addr.Network(), addr)
		}
	}
}

package websocket

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"testing"

	"github.com/webwire-go/webwire/internal/wsnet"
	"github.com/webwire-go/webwire/transport"
)

// cuts returns at most the next of sizes, in turn, from each Read.
type cuts struct {
	rest  []byte
	sizes []byte
	reads int
}

func (c *cuts) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return 0, io.EOF
	}
	size := len(c.rest)
	if len(c.sizes) > 0 {
		size = int(c.sizes[c.reads%len(c.sizes)]) + 1
		c.reads++
	}
	n := copy(p, c.rest[:min(size, len(c.rest))])
	c.rest = c.rest[n:]
	return n, nil
}

// verdict reads until the end and returns the messages and what ended it.
func verdict(r io.Reader, client bool) (msgs [][]byte, end string) {
	stream := arrivals{Reader: r}
	conn := newConn(wsnet.Bare{Stream: stream, Wire: stream}, client, "", true)
	defer conn.Abort()
	conn.SetLimits(transport.Limits{MaxMessageSize: 1 << 30})
	for {
		msg, err := conn.Read(nil)
		if err == nil {
			msgs = append(msgs, bytes.Clone(msg))
			continue
		}
		var closed *transport.CloseError
		if errors.As(err, &closed) {
			return msgs, fmt.Sprintf("%+v", *closed)
		}
		return msgs, "lost" // where the stream ends in a frame, or between two
	}
}

// Whatever arrives, at either end, is no cause to panic, costs memory in proportion to
// what arrived, and means the same however it is cut into reads.
func FuzzRead(f *testing.F) {
	for _, client := range []bool{false, true} {
		frame := func(op opcode, payload string) []byte {
			b, mask := appendHeader(nil, op, len(payload), !client)
			start := len(b)
			b = append(b, payload...)
			cipher(b[start:], mask, 0)
			return b
		}
		whole := frame(opBinary, "hello")
		fragment := bytes.Clone(whole)
		fragment[0] &^= finBit
		f.Add(whole, []byte{0}, client)
		f.Add(slices.Concat(whole, frame(opPing, "p"), frame(opText, "text"), frame(opClose, "\x03\xe8bye")), []byte{2, 0, 6}, client)
		f.Add(slices.Concat(fragment, frame(opPong, ""), frame(opContinuation, "end"), whole[:4]), []byte{1}, client)
		f.Add(slices.Concat(fragment, frame(opBinary, "x")), []byte{3}, client)
		f.Add(frame(opBinary, string(make([]byte, 1000))), []byte{255, 0}, client)
		huge, _ := appendHeader(nil, opBinary, 1<<29, !client)
		f.Add(append(huge, "little"...), []byte{9}, client)
		f.Add(frame(opClose, "\x03"), []byte{0}, client)
	}
	f.Fuzz(func(t *testing.T, in, sizes []byte, client bool) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		msgs, end := verdict(&cuts{rest: in}, client)
		runtime.ReadMemStats(&after)
		// 64 KiB ahead of a message, 32 KiB for the buffers of the connection. A frame of six
		// bytes may be a ping, whose answer takes a buffer of the longest control frame.
		if grown, most := after.TotalAlloc-before.TotalAlloc, uint64(96<<10+128*len(in)); grown > most {
			t.Errorf("%d bytes allocated for %d that arrived", grown, len(in))
		}
		if len(sizes) == 0 {
			return
		}
		again, endAgain := verdict(&cuts{rest: in, sizes: sizes}, client)
		if end != endAgain || !slices.EqualFunc(msgs, again, bytes.Equal) {
			t.Errorf("at once: %d messages, %s\nin pieces: %d messages, %s", len(msgs), end, len(again), endAgain)
		}
	})
}

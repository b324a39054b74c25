package websocket

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/webwire-go/webwire/internal/wsnet"
	"github.com/webwire-go/webwire/transport"
)

// arrivals is a net.Conn on which bytes arrive at once, and then its end.
type arrivals struct {
	net.Conn
	io.Reader
}

func (a arrivals) Read(p []byte) (int, error)     { return a.Reader.Read(p) }
func (arrivals) Write(p []byte) (int, error)      { return len(p), nil }
func (arrivals) SetDeadline(time.Time) error      { return nil }
func (arrivals) SetReadDeadline(time.Time) error  { return nil }
func (arrivals) SetWriteDeadline(time.Time) error { return nil }
func (arrivals) Close() error                     { return nil }

// A message is buffered when its last byte has arrived with the one before it, and
// Read will accept it.
func TestBuffered(t *testing.T) {
	const limit = 200
	for _, client := range []bool{false, true} {
		// frame returns what the peer sends.
		frame := func(op opcode, size int) string {
			b, _ := appendHeader(nil, op, size, !client)
			return string(b) + strings.Repeat("x", size)
		}
		header := len(frame(opBinary, 0))
		first := func(change byte, frame string) string { return string(frame[0]^change) + frame[1:] }
		whole, long := frame(opBinary, 10), frame(opBinary, 130)
		for _, c := range []struct {
			name string
			rest string // what arrives with the first message
			want bool
		}{
			{"nothing", "", false},
			{"a byte", whole[:1], false},
			{"a part of a header", whole[:header-1], false},
			{"a header", whole[:header], false},
			{"all but a byte", whole[:len(whole)-1], false},
			{"a message", whole, true},
			{"a message and a part of one", whole + whole[:5], true},
			{"an empty message", frame(opBinary, 0), true},
			{"a part of a long header", long[:3], false},
			{"all but a byte of a longer message", long[:len(long)-1], false},
			{"a longer message", long, true},
			{"the longest message", frame(opBinary, limit), true},
			{"one that is too long", frame(opBinary, limit+1), false},
			{"a huge length", frame(opBinary, 1<<20)[:header+8], false},
			{"a text message", frame(opText, 10), true},
			{"a ping", frame(opPing, 0), false},
			{"a ping and a message", frame(opPing, 3) + whole, false},
			{"a fragment", first(finBit, whole), false},
			{"the end of no message", frame(opContinuation, 10), false},
			{"an unknown frame", frame(3, 10), false},
			{"an extension", first(0x40, whole), false},
			{"the wrong mask", whole[:1] + string(whole[1]^maskBit) + whole[2:], false},
		} {
			stream := arrivals{Reader: strings.NewReader(frame(opBinary, 0) + c.rest)}
			conn := newConn(wsnet.Bare{Stream: stream, Wire: stream}, client, "", true, transport.Limits{MaxMessageSize: limit})
			if conn.Buffered() {
				t.Errorf("%s: Buffered before the first Read", c.name)
			}
			if _, err := conn.Read(nil); err != nil {
				t.Fatal(err)
			}
			if got := conn.Buffered(); got != c.want {
				t.Errorf("%s: Buffered %t, want %t", c.name, got, c.want)
			}
			conn.AcceptText(false)
			if strings.Contains(c.name, "text") && conn.Buffered() {
				t.Errorf("%s: Buffered although it is not accepted", c.name)
			}
			conn.Abort()
			if conn.Buffered() {
				t.Errorf("%s: Buffered after the end", c.name)
			}
		}
	}
}

// What a message costs while it arrives is in proportion to its length, in however
// many fragments it comes.
func TestFragmentsCostWhatTheyBring(t *testing.T) {
	const limit = 4 << 20
	for _, c := range []struct{ first, rest, count int }{
		{4 << 10, 4 << 10, limit/(4<<10) - 1},
		{1 << 20, 1, 20_000},
		{0, 1, 20_000},
		{limit - 1, 1, 1},
		{limit - 20_000, 1, 20_000},
		{limit, 0, 1000},
	} {
		fragment := func(first byte, size int) []byte {
			b, _ := appendHeader(nil, 0, size, true)
			b[0] = first
			return append(b, make([]byte, size)...)
		}
		frames := append(fragment(0x02, c.first), bytes.Repeat(fragment(0x00, c.rest), c.count-1)...)
		frames = append(frames, fragment(finBit, c.rest)...)
		stream := arrivals{Reader: bytes.NewReader(frames)}
		conn := newConn(wsnet.Bare{Stream: stream, Wire: stream}, false, "", false, transport.Limits{MaxMessageSize: limit})
		size := c.first + c.count*c.rest
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		msg, err := conn.Read(nil)
		runtime.ReadMemStats(&after)
		if err != nil || len(msg) != size {
			t.Fatalf("%+v: Read: %d bytes, %v", c, len(msg), err)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > uint64(10*size) {
			t.Errorf("%+v: %d bytes allocated for a message of %d", c, grown, size)
		}
		if cap(msg) > limit {
			t.Errorf("%+v: room for %d bytes, the limit is %d", c, cap(msg), limit)
		}
		conn.Abort()
	}
}

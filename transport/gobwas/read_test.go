package gobwas

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

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
	for _, role := range []wsnet.Role{wsnet.Server, wsnet.Client} {
		// frame returns what the peer sends.
		frame := func(op ws.OpCode, size int) string {
			b, _ := appendHeader(nil, op, size, role == wsnet.Server)
			return string(b) + strings.Repeat("x", size)
		}
		header := len(frame(ws.OpBinary, 0))
		first := func(change byte, frame string) string { return string(frame[0]^change) + frame[1:] }
		whole, long := frame(ws.OpBinary, 10), frame(ws.OpBinary, 130)
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
			{"an empty message", frame(ws.OpBinary, 0), true},
			{"a part of a long header", long[:3], false},
			{"all but a byte of a longer message", long[:len(long)-1], false},
			{"a longer message", long, true},
			{"the longest message", frame(ws.OpBinary, limit), true},
			{"one that is too long", frame(ws.OpBinary, limit+1), false},
			{"a huge length", frame(ws.OpBinary, 1<<20)[:header+8], false},
			{"a text message", frame(ws.OpText, 10), true},
			{"a ping", frame(ws.OpPing, 0), false},
			{"a ping and a message", frame(ws.OpPing, 3) + whole, false},
			{"a fragment", first(finBit, whole), false},
			{"the end of no message", frame(ws.OpContinuation, 10), false},
			{"an unknown frame", frame(3, 10), false},
			{"an extension", first(0x40, whole), false},
			{"the wrong mask", whole[:1] + string(whole[1]^maskBit) + whole[2:], false},
		} {
			stream := arrivals{Reader: strings.NewReader(frame(ws.OpBinary, 0) + c.rest)}
			conn := newConn(wsnet.Bare{Stream: stream, Wire: stream}, role, "", true)
			conn.SetLimits(transport.Limits{MaxMessageSize: limit})
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

package stream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/webwire-go/webwire/internal/framed"
	"github.com/webwire-go/webwire/transport"
)

// arrivals is a net.Conn on which bytes arrive, some with each Read, and then its end.
type arrivals struct {
	net.Conn
	data []byte
	size int // of what each Read returns, at most
}

func (a *arrivals) Read(p []byte) (int, error) {
	if len(a.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p, a.data[:min(len(a.data), a.size)])
	a.data = a.data[n:]
	return n, nil
}

func (a *arrivals) Write(p []byte) (int, error)      { return len(p), nil }
func (a *arrivals) SetDeadline(time.Time) error      { return nil }
func (a *arrivals) SetReadDeadline(time.Time) error  { return nil }
func (a *arrivals) SetWriteDeadline(time.Time) error { return nil }
func (a *arrivals) Close() error                     { return nil }

// arriving returns a connection on which data arrives in pieces of that size.
func arriving(data []byte, size int, limits transport.Limits) *conn {
	return Server(&arrivals{data: data, size: size}, transport.AcceptOptions{Limits: limits}).(*conn)
}

// Whatever arrives, in whatever pieces, is either taken apart into frames that
// give the same bytes again, or refused; memory is in proportion to it.
func FuzzFrames(f *testing.F) {
	closeFrame := appendControl(nil, framed.OpClose, append([]byte{1001 >> 8, 1001 & 0xff}, "restart"...))
	f.Add([]byte{}, 1)
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 2, 'h', 'i'}, 3)
	f.Add(append(appendControl(appendControl(nil, framed.OpPing, nil), framed.OpPong, nil), closeFrame...), 5)
	f.Add([]byte{0x7f, 0xff, 0xff, 0xff, 1, 2, 3}, 100)
	f.Add([]byte{0x83, 0, 0, 126, 1, 2, 3}, 100)
	f.Add([]byte{0x83, 0, 0, 1, 1}, 100)
	f.Add([]byte{0x84, 0, 0, 0}, 100)
	f.Add(append(appendHeader(nil, 10_000), make([]byte, 10_003)...), 4096)
	f.Fuzz(func(t *testing.T, data []byte, size int) {
		c := arriving(data, max(size, 1), transport.Limits{})
		var again []byte
		for {
			o, length, err := c.nextHeader()
			if closed := (*transport.CloseError)(nil); errors.As(err, &closed) {
				if err := c.In.Skip(); !errors.Is(err, io.EOF) {
					t.Fatalf("Skip after a malformed frame: %v", err)
				}
				break
			}
			if err != nil {
				break
			}
			if o == framed.OpMessage {
				msg, err := c.In.Append(nil)
				if err != nil {
					break
				}
				if len(msg) != length || cap(msg) > 64<<10+2*length {
					t.Fatalf("length %d, capacity %d, announced %d", len(msg), cap(msg), length)
				}
				again = append(appendHeader(again, length), msg...)
				continue
			}
			if length > framed.MaxControl {
				t.Fatalf("a control frame of %d bytes", length)
			}
			body, err := c.In.Body()
			if err != nil {
				break
			}
			again = appendControl(again, o, body)
		}
		if !bytes.HasPrefix(data, again) {
			t.Fatalf("read %x\nof   %x", again, data)
		}
	})
}

// A message is buffered when its last byte has arrived with the one before it, and
// Read will accept it.
func TestBuffered(t *testing.T) {
	const limit = 100
	whole := append(appendHeader(nil, 5), "hello"...)
	ping := appendControl(nil, framed.OpPing, nil)
	for _, c := range []struct {
		name string
		rest []byte // what arrives with the first message
		want bool
	}{
		{"nothing", nil, false},
		{"a part of a header", whole[:headerSize-1], false},
		{"a header", whole[:headerSize], false},
		{"all but a byte", whole[:len(whole)-1], false},
		{"a message", whole, true},
		{"a message and a part of one", append(whole, whole[:5]...), true},
		{"an empty message", appendHeader(nil, 0), true},
		{"the longest message", append(appendHeader(nil, limit), make([]byte, limit)...), true},
		{"one that is too long", append(appendHeader(nil, limit+1), make([]byte, limit+1)...), false},
		{"a huge length", binary.BigEndian.AppendUint32(nil, maxMessage), false},
		{"a ping", ping, false},
		{"a ping and a message", append(ping, whole...), false},
		{"nonsense", []byte(strings.Repeat("\xff", 20)), false},
	} {
		conn := arriving(append(appendHeader(nil, 0), c.rest...), 1000, transport.Limits{MaxMessageSize: limit})
		if conn.Buffered() {
			t.Errorf("%s: Buffered before the first Read", c.name)
		}
		if _, err := conn.Read(nil); err != nil {
			t.Fatal(err)
		}
		if got := conn.Buffered(); got != c.want {
			t.Errorf("%s: Buffered %t, want %t", c.name, got, c.want)
		}
		conn.Abort()
		if conn.Buffered() {
			t.Errorf("%s: Buffered after the end", c.name)
		}
	}
}

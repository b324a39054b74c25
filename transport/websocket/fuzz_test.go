package websocket

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/webwire-go/webwire/internal/wsnet"
	"github.com/webwire-go/webwire/transport"
)

// pieces returns at most size bytes from each Read.
type pieces struct {
	io.Reader
	size int
}

func (p pieces) Read(b []byte) (int, error) { return p.Reader.Read(b[:min(len(b), p.size)]) }

// Any bytes give the same messages and the same end however they are cut into reads,
// and buffers have no more room than what arrived and 64 KiB.
func FuzzRead(f *testing.F) {
	for _, s := range []string{"", "\x82\x01x", "\x02\x01x\x80\x01y", "\x89\x00\x82\x00", "\x88\x02\x03\xe8", "\x82\x7f\x00\x00\x00\x00\x7f\xff\xff\xff",
		"\x82\x81\x01\x02\x03\x04x", "\x02\x81\x00\x00\x00\x00x\x80\x80\x01\x02\x03\x04", "\x88\x82\x00\x00\x00\x00\x03\xe8", "\xc2\x00", "\x83\x80\x00\x00\x00\x00"} {
		f.Add([]byte(s), false, byte(1))
		f.Add([]byte(s), true, byte(3))
	}
	f.Fuzz(func(t *testing.T, data []byte, client bool, size byte) {
		read := func(size int) (msgs [][]byte, status transport.Status) {
			stream := arrivals{Reader: pieces{bytes.NewReader(data), size}}
			conn := newConn(wsnet.Bare{Stream: stream, Wire: stream}, client, "", true, transport.Limits{MaxMessageSize: 1 << 30})
			defer conn.Abort()
			for {
				msg, err := conn.Read(nil)
				if cap(msg) > len(data)+64<<10 {
					t.Fatalf("room for %d bytes, %d arrived", cap(msg), len(data))
				}
				if err != nil {
					var closed *transport.CloseError
					if errors.As(err, &closed) {
						status = closed.Status
					}
					return msgs, status
				}
				msgs = append(msgs, msg)
			}
		}
		msgs, status := read(len(data) + 1)
		cut, cutStatus := read(int(size) + 1)
		if !slices.EqualFunc(msgs, cut, bytes.Equal) || status != cutStatus {
			t.Fatalf("in pieces of %d: %q and %d, whole: %q and %d", int(size)+1, cut, cutStatus, msgs, status)
		}
	})
}

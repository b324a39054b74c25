package stream

import (
	"context"
	"slices"
	"testing"

	"github.com/webwire-go/webwire/transport"
)

// Whatever arrives first, either end speaks a protocol that both named, or none.
func FuzzExchange(f *testing.F) {
	for _, s := range []string{"", "\x84\x00\x00\x03a,b", "\x85\x00\x00\x01b", "\x85\x00\x00\x03,c,", "\x84\x00\x00\x00", "\x83\x00\x00\x02\x03\xe8", "\x85\x00\x00\x03a,b", "\x00\x00\x00\x01x"} {
		f.Add([]byte(s), true, byte(1))
		f.Add([]byte(s), false, byte(3))
	}
	tokens := []string{"a", "b"}
	f.Fuzz(func(t *testing.T, data []byte, dials bool, size byte) {
		nc := &arrivals{data: slices.Clone(data), size: int(size) + 1}
		var conn transport.Conn
		if dials {
			var err error
			if conn, err = Client(context.Background(), nc, transport.DialOptions{Protocols: tokens}); err != nil {
				return
			}
		} else {
			conn = Server(nc, transport.AcceptOptions{Protocols: tokens})
		}
		defer conn.Abort()
		if p := conn.Protocol(); p != "" && !slices.Contains(tokens, p) {
			t.Errorf("%q: the protocol is %q", data, p)
		}
		peer, err := conn.(transport.Negotiator).PeerProtocols()
		if p := conn.Protocol(); err == nil && (slices.Contains(peer, "") || p != "" && !slices.Contains(peer, p)) {
			t.Errorf("%q: the protocol is %q, the peer names %q", data, p, peer)
		}
		for err == nil {
			_, err = conn.Read(nil) // it ends
		}
	})
}

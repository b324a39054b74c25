package sim

import (
	"math/rand/v2"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport/transporttest"
)

// trap cuts a socket at a message of a kind, which is lost if it goes to the client, and read
// by the server if it does not. The zero value never does.
type trap struct {
	kind protocol.Kind // zero: any kind that is counted
	left int           // messages until then; zero: there is no trap
}

// setTrap returns a trap for one socket in four.
func setTrap(r *rand.Rand) trap {
	if r.IntN(4) > 0 {
		return trap{}
	}
	return pick(r,
		trap{protocol.Hello, 1},
		trap{protocol.Welcome, 1},
		trap{protocol.Ack, 1 + r.IntN(3)},
		trap{0, 1 + r.IntN(3)}, // within what is sent again
		trap{0, 1 + r.IntN(40)},
		trap{protocol.Item, 1 + r.IntN(10)},
	)
}

// springs reports whether the socket is to be cut at a message.
func (w *wire) springs(kind protocol.Kind) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := &w.trap
	if t.left == 0 || t.kind != kind && (t.kind != 0 || !protocol.V3_0.Counted(kind)) {
		return false
	}
	t.left--
	return t.left == 0
}

func (w *wire) cut() {
	if conn, ok := w.Conn.(*transporttest.FaultConn); ok {
		conn.Cut()
	}
}

package sim

import (
	"testing"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
)

// The simulation finds ends that do wrong after they stood still, and windows that are not
// kept.
func TestSimFindsMistakesOfTime(t *testing.T) {
	// waits doubles the first message of a kind that a server reads after a standstill.
	waits := func(kind protocol.Kind) func(*mutant) {
		return func(m *mutant) {
			socket, ok := transport.As[*gated](m.Conn)
			if !ok {
				t.Fatal("a socket has no gate")
			}
			before := socket.gate.still()
			m.read = func(p protocol.Message, msg []byte) [][]byte {
				if still := socket.gate.still(); still > before && p.Kind == kind {
					before = still
					return [][]byte{msg, msg}
				}
				return [][]byte{msg}
			}
		}
	}
	longer := func(o *server.Options) { o.ResumeWindow *= 20 }
	for _, c := range []struct {
		name   string
		seed   uint64 // the first one, with which it happens soon
		mutate func(*mutant)
		server func(*server.Options)
		want   string
	}{
		{"requests that waited are executed twice", 36, waits(protocol.Request), nil, "was executed 2 times"},
		{"signals that waited are handled twice", 63, waits(protocol.Signal), nil, "arrived more than once"},
		{"windows are too long", 30, func(*mutant) {}, longer, "the connection of client"},
		{"windows are too long at the server alone", 35, func(m *mutant) {
			m.write = func(p protocol.Message, msg []byte) [][]byte {
				if w, err := p.Welcome(); err == nil && w.Outcome != protocol.OutcomeUnavailable {
					w.Window /= 20
					msg, _ = m.version.Append(nil, w.Message())
				}
				return [][]byte{msg}
			}
		}, longer, "the connection of conn"},
	} {
		t.Run(c.name, func(t *testing.T) {
			finds(t, c.seed, c.seed+2000, c.want, func() Config {
				return Config{MutateServer: c.server, Mutate: modern(c.mutate)}
			})
		})
	}
}

package sim

import (
	"strings"
	"testing"
	"testing/synctest"

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
			for seed := c.seed; seed < c.seed+2000; seed++ {
				var found []string
				synctest.Test(t, func(*testing.T) {
					found = Run(Config{
						Seed:         seed,
						MutateServer: c.server,
						Mutate: func(v protocol.Version, conn transport.Conn) transport.Conn {
							m := &mutant{Conn: conn, version: v}
							if v == protocol.V3_0 {
								c.mutate(m)
							}
							return m
						},
						Hung: func(what string) { panic(what) },
					})
				})
				if strings.Contains(strings.Join(found, "\n"), c.want) {
					t.Logf("found with seed %d", seed)
					return
				}
			}
			t.Error("not found")
		})
	}
}

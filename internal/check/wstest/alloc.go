package wstest

import (
	"testing"

	"github.com/webwire-go/webwire/transport"
)

// A message costs no memory, neither alone nor in a batch, on neither side.
func (s suite) testNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	client, server := s.pair(t, false, transport.Limits{}, transport.Limits{})
	defer client.Abort()
	defer server.Abort()
	batch := [][]byte{make([]byte, 32), make([]byte, 4000), make([]byte, 70_000), {}}
	buf := make([]byte, 70_000)
	got := testing.AllocsPerRun(100, func() {
		for _, ends := range [][2]transport.Conn{{client, server}, {server, client}} {
			if err := ends[0].Write(batch...); err != nil {
				t.Fatal(err)
			}
			for range batch {
				if _, err := ends[1].Read(buf); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
	if got >= 1 {
		t.Errorf("%v allocations per round of %d messages", got, 2*len(batch))
	}
}

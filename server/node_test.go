package server_test

import (
	"context"
	"errors"
	"testing"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/server"
)

// silent is the inlet of a node that a test plays itself.
type silent struct{}

func (silent) Deliver(string, engine.Delivery) {}
func (silent) Lost([]string, error)            {}
func (silent) Asked(context.Context, engine.NodeID, []byte) ([]byte, error) {
	return nil, errors.New("not answered by this test")
}

// What another node asks may be malformed, or of a later version: the answer is an error.
func TestQuestionsUnknown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var memory engine.Memory
		srv := newTopical(t, server.Options{Engine: memory.Node()})
		publish(t, srv, "room", "opens the engine")
		other := memory.Node()
		self := engine.NewNodeID()
		if err := other.Bus.Open(t.Context(), self, silent{}); err != nil {
			t.Fatal(err)
		}
		defer other.Bus.Close()
		for node := range other.Roster.Nodes() {
			if node == self {
				continue
			}
			for _, q := range []string{"", "\x00", "\xff", "\x01", "\x01\x00\x00\x00\x00\x05room", "\x01\x00\x00\x00\x00\x04room\x99"} {
				_, err := other.Bus.Ask(t.Context(), node, []byte(q))
				if asked := (*engine.AskError)(nil); !errors.As(err, &asked) || asked.Node != node {
					t.Errorf("%q: got %v", q, err)
				}
			}
		}
	})
}

package enginetest_test

import (
	"testing"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/engine/enginetest"
)

// An engine that can fail keeps the promises of one, also when it fails in the ways
// that they cover.
func TestFaultyKeepsThePromises(t *testing.T) {
	faulty := make(map[engine.Bus]*enginetest.Faulty)
	enginetest.Run(t, enginetest.Harness{
		Nodes: func(_ *testing.T, n int) []engine.Engine {
			var memory engine.Memory
			var nodes []engine.Engine
			for range n {
				f := enginetest.NewFaulty(memory.Node())
				e := f.Engine()
				faulty[e.Bus] = f
				nodes = append(nodes, e)
			}
			return nodes
		},
		History: engine.DefaultHistory,
		Disconnect: func(_ *testing.T, e engine.Engine) func() {
			faulty[e.Bus].Cut()
			return faulty[e.Bus].Heal
		},
		Restart: func(t *testing.T, nodes []engine.Engine) {
			var memory engine.Memory
			for _, e := range nodes {
				if err := faulty[e.Bus].Restart(t.Context(), memory.Node()); err != nil {
					t.Error(err)
				}
			}
		},
		Age:    func(*testing.T) { time.Sleep(engine.DefaultMaxAge) },
		Bubble: true,
	})
}

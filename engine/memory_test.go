package engine_test

import (
	"testing"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/engine/enginetest"
)

func memoryNodes(n int) []engine.Engine {
	var memory engine.Memory
	nodes := make([]engine.Engine, n)
	for i := range nodes {
		nodes[i] = memory.Node()
	}
	return nodes
}

func TestMemory(t *testing.T) {
	enginetest.Run(t, enginetest.Harness{
		Nodes:   func(_ *testing.T, n int) []engine.Engine { return memoryNodes(n) },
		History: engine.DefaultHistory,
		Age:     func(*testing.T) { time.Sleep(engine.DefaultMaxAge) },
		Crash: func(_ *testing.T, e engine.Engine) {
			e.Bus.Close() // a node of one process does not crash alone
		},
		Bubble: true,
	})
}

package natsengine_test

import (
	"testing"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/engine/enginetest"
)

func TestEngine(t *testing.T) {
	for _, servers := range []int{1, 3} {
		t.Run(map[int]string{1: "One", 3: "Three"}[servers], func(t *testing.T) {
			c := start(t, servers)
			enginetest.Run(t, enginetest.Harness{
				Nodes:   func(t *testing.T, n int) []engine.Engine { return c.nodes(t, n) },
				History: 100,
			})
		})
	}
}

package memory_test

import (
	"testing"

	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
	"github.com/webwire-go/webwire/transport/transporttest"
)

func TestPipe(t *testing.T)           { transporttest.Run(t, harness(true)) }
func TestPipeInRealTime(t *testing.T) { transporttest.Run(t, harness(false)) }

func harness(bubble bool) transporttest.Harness {
	return transporttest.Harness{
		Bubble: bubble,
		Pair: func(t *testing.T, a, b transport.Limits) (transport.Conn, transport.Conn) {
			x, y := memory.Pipe()
			x.SetLimits(a)
			y.SetLimits(b)
			return x, y
		},
	}
}

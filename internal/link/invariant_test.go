package link

import (
	"context"
	"testing"

	"github.com/webwire-go/webwire/internal/invariant"
)

// What cannot be is noticed where it would first do harm.
func TestImpossibleStates(t *testing.T) {
	if !invariant.Enabled {
		t.Skip("only with the race detector")
	}
	for name, breaks := range map[string]func(*Link, *call){
		"released before its outcome": func(l *Link, c *call) { l.release(c) },
		"released twice":              func(l *Link, c *call) { l.decide(c.number); l.release(c); l.release(c) },
		"too many outcomes":           func(l *Link, _ *call) { l.lock().calls.waiting = -1; l.unlock() },
	} {
		t.Run(name, func(t *testing.T) {
			l := New(context.Background(), config(newWire()))
			c, _, err := l.register(0, 0, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if recover() == nil {
					t.Error("not noticed")
				}
			}()
			breaks(l, c)
		})
	}
}

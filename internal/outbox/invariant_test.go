package outbox

import (
	"testing"

	"github.com/webwire-go/webwire/internal/invariant"
)

// What cannot be is noticed where it would first do harm.
func TestImpossibleStates(t *testing.T) {
	if !invariant.Enabled {
		t.Skip("only with the race detector")
	}
	for name, breaks := range map[string]func(*box){
		"a second flusher": func(o *box) { o.flush(MaxRounds) },
		"a batch counted twice": func(o *box) {
			o.bytes--
			o.Hold()
			_ = o.TrySend([]byte("x"))
			o.LetGo()
			o.flush(MaxRounds)
		},
		"a mark of nothing":  func(o *box) { o.WasRead(&Mark{number: 1, end: 1}) },
		"unsent before sent": func(o *box) { o.unsent(new(batch), 1) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("not noticed")
				}
			}()
			breaks(newBox(newWire(), Config{Conn: newWire(), Size: 1000}))
		})
	}
}

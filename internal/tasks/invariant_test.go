package tasks

import (
	"testing"

	"github.com/webwire-go/webwire/internal/invariant"
)

// What cannot be is noticed where it would first do harm.
func TestImpossibleStates(t *testing.T) {
	if !invariant.Enabled {
		t.Skip("only with the race detector")
	}
	for name, breaks := range map[string]func(*Runner){
		"a task that ends twice":     func(r *Runner) { r.finish(charged{}) },
		"bytes that are given twice": func(r *Runner) { r.budget.release(1) },
		"a worker released twice":    func(r *Runner) { r.workers.done() },
		"more workers than may":      func(r *Runner) { r.workers.hold(0) },
		"a worker without a task":    func(r *Runner) { r.workers.hold(1); r.unlock() },
		"a queue that is left twice": func(r *Runner) { r.order.claim(); r.order.release(); r.order.release() },
		"bytes of no task":           func(r *Runner) { next, _ := r.admit(2, nil); r.budget.bytes++; r.finish(next) },
		"more is sent than was held": func(r *Runner) { r.Hold(1); r.Held(2) },
		"more is refunded than lent": func(r *Runner) { r.admit(2, nil); r.Refund(1) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("not noticed")
				}
			}()
			var r Runner
			r.Init(limits(), nil)
			breaks(&r)
		})
	}
}

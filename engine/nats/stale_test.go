package natsengine

import (
	"testing"
	"testing/synctest"
	"time"
)

// A server that was cut off may answer that it leads, with an old state. It is not
// believed, until it is clear that no other leads.
func TestStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stream{suspect: func() {}}
		ask := func(epoch, answer uint64) bool {
			known, last := s.known()
			st := streamState{epoch: epoch, last: answer}
			if s.isStale(st, known, last) {
				return true
			}
			s.set(st)
			return false
		}
		for i, step := range []struct {
			epoch, last uint64
			wait        time.Duration
			stale       bool
		}{
			{1, 100, 0, false},
			{1, 90, 0, true},
			{1, 90, staleFor / 2, true},
			{1, 100, 0, false},
			{1, 90, staleFor, true}, // the time counts from the first
			{1, 90, staleFor, false},
			{1, 80, 0, true},
			{2, 1, 0, false}, // another stream
			{2, 5, 0, false},
		} {
			time.Sleep(step.wait)
			if got := ask(step.epoch, step.last); got != step.stale {
				t.Errorf("step %d: stale: %t", i, got)
			}
		}
		s.delivered(7, false)
		if !ask(2, 6) {
			t.Error("a state before what was delivered is believed")
		}
	})
}

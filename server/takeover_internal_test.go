package server

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/protocol"
)

// What a client learns whose node does not answer depends on whether others hear of that node.
func TestSilentNodes(t *testing.T) {
	const later, gone = protocol.OutcomeUnavailable, protocol.OutcomeNodeGone
	lost := errors.New("no answer")
	type step struct {
		wait  time.Duration
		err   error
		alive bool
		want  protocol.Outcome
	}
	for name, steps := range map[string][]step{
		"dead":           {{0, engine.ErrNoNode, true, gone}},
		"dying":          {{0, lost, true, later}, {0, engine.ErrNoNode, true, gone}, {0, lost, true, later}},
		"unheard":        {{0, lost, false, later}, {0, lost, false, gone}},
		"busy":           {{0, lost, true, later}, {4 * time.Second, lost, true, later}, {4 * time.Second, lost, true, later}, {4 * time.Second, lost, true, gone}},
		"busy, then not": {{0, lost, true, later}, {4 * time.Second, lost, false, gone}},
		"long ago":       {{0, lost, true, later}, {2 * rememberSilent, lost, true, later}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s silentNodes
				for i, step := range steps {
					time.Sleep(step.wait)
					if got := s.outcome(protocol.ConnID{1}, step.err, step.alive); got != step.want {
						t.Errorf("step %d: outcome %v, want %v", i+1, got, step.want)
					}
				}
			})
		})
	}
}

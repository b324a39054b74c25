package server

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/internal/link"
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

// A connection whose credentials have expired by the clock of the node that it comes to goes on
// there only if OnClientBack checks new ones.
func TestExpiredOnTheWay(t *testing.T) {
	checks := func(context.Context, *Conn) error { return nil }
	past, future := time.Now().Add(-time.Second), time.Now().Add(time.Hour)
	for name, test := range map[string]struct {
		expires time.Time
		hook    func(context.Context, *Conn) error
		want    protocol.Outcome
		sets    bool // the time
	}{
		"never":             {time.Time{}, nil, protocol.OutcomeResumed, false},
		"later":             {future, nil, protocol.OutcomeResumed, true},
		"later and checked": {future, checks, protocol.OutcomeResumed, true},
		"past":              {past, nil, protocol.OutcomeExpired, false},
		"past and checked":  {past, checks, protocol.OutcomeResumed, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := New(Options{Hooks: Hooks{OnClientBack: test.hook}})
			c := &Conn{server: s, resumption: new(resumption)}
			c.link = link.New(t.Context(), link.Config{Conn: link.Nowhere, Version: protocol.V3_0, Limits: &s.limits, Role: (*receiver)(c)})
			on := &taking{server: s, move: &move{expires: test.expires}}
			outcome, err := on.prepare(t.Context(), c, nil, protocol.HelloBody{}, Info{})
			if outcome != test.want || err != nil {
				t.Errorf("outcome %v, %v, want %v", outcome, err, test.want)
			}
			if got := !c.expiresAt().IsZero(); got != test.sets {
				t.Errorf("the connection expires: %t, want %t", got, test.sets)
			}
			c.neverExpires()
		})
	}
}

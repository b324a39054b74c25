package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/protocol"
)

// badRoster cannot be read.
type badRoster struct{ engine.Roster }

func (badRoster) List(context.Context, string) ([]engine.Members, error) {
	return nil, errors.New("no quorum")
}

// What is heard of presence while the roster cannot be read is not kept without a limit.
func TestPresenceWithoutRoster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var memory engine.Memory
		n := memory.Node()
		n.Roster = badRoster{n.Roster}
		s := New(Options{Engine: n, Logger: slog.New(slog.DiscardHandler), Topics: func(string) TopicOptions { return TopicOptions{Presence: true} }})
		defer s.Close()
		e, err := s.topics.hold(t.Context(), "room")
		if err != nil {
			t.Fatal(err)
		}
		w := newMember(e, &Conn{server: s})
		e.mu.Lock()
		e.watch(w)
		e.mu.Unlock()
		for i := range 20_000 {
			msg, _ := protocol.V3_0.Append(nil, protocol.PresenceBody{Ref: 1, Op: protocol.PresenceEnter, Data: fmt.Appendf(nil, `{"id":"%d"}`, i)}.Message())
			e.hear(engine.Delivery{Data: msg})
			if i%1000 == 0 {
				time.Sleep(time.Second)
			}
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		if n := len(e.presence.early); n > maxChanges {
			t.Errorf("%d events are kept", n)
		}
	})
}

package server

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/session"
)

// Whatever another node asks, a server does not panic.
func FuzzQuestions(f *testing.F) {
	request, err := protocol.V3_0.Append(nil, protocol.Message{Kind: protocol.Request, ID: protocol.NewID(1), Name: "r", Payload: protocol.Text("x")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(byte(questionTopic), append([]byte{255, 0, 0, 0, 1, 't'}, request...))
	for op := range byte(16) {
		f.Add(byte(questionSession), sessionQuestion(sessionOp(op), session.Hash("key"), []byte{8, 1, 2, 3, 4, 5, 6, 7}))
		f.Add(byte(questionHandover), append([]byte(handoverQuestion(handoverOp(op), protocol.ConnID{1})), fullMove().encode()...))
	}
	f.Fuzz(func(t *testing.T, kind byte, data []byte) {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			memory := &engine.Memory{}
			s := New(Options{Engine: memory.Node(), Sessions: &session.MemoryStore{}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			defer s.Close()
			if err := s.OpenEngine(t.Context()); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, _ = (*inlet)(&s.topics).Asked(ctx, engine.NodeID{1}, append([]byte{kind}, data...)) // either way
			synctest.Wait()
			if strings.Contains(log.String(), "panicked") {
				t.Error(log.String())
			}
		})
	})
}

// What another node says about its connections of a session is refused, or says the same
// again.
func FuzzPlaces(f *testing.F) {
	f.Add(places{}.append(nil))
	f.Add(places{pending: 1 << 20, away: 2, joined: []uint64{3, 1 << 63}}.append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, ok := parsePlaces(data)
		if !ok {
			return
		}
		if p.pending < 0 || p.away < 0 || len(p.joined) > len(data)/8 {
			t.Errorf("%x is %+v", data, p)
		}
		again := p.append(nil)
		if same, ok := parsePlaces(again); !ok || !bytes.Equal(same.append(nil), again) {
			t.Errorf("%x becomes %x", data, again)
		}
	})
}

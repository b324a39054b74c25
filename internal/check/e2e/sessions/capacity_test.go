package sessions_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/session/sessiontest"
)

// However many connections want the places of a session at once, exactly as many
// get one as there are.
func TestCapRace(t *testing.T) {
	for places := 1; places <= 4; places++ {
		t.Run(fmt.Sprint(places), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { capRace(t, places, rounds(1000, 60, 20)) })
		})
	}
}

func capRace(t *testing.T, places, rounds int) {
	const crowd = 64
	store := &sessiontest.Faulty{Store: &session.MemoryStore{}}
	store.Break(sessiontest.Load, func(ctx context.Context, call *sessiontest.Call, next func(context.Context) error) error {
		// A moment that others use.
		return sessiontest.Delay(rand.N(time.Millisecond))(ctx, call, next)
	})
	s := open(t, protocol.V1_2, server.Options{Sessions: store, MaxSessionConns: places, SessionPolicy: server.RefuseNewest})
	first := s.wire()
	key := first.login()
	first.conn.Abort()
	s.wantConns(key, 0)

	conns := make([]*wire, crowd)
	for range rounds {
		var got atomic.Int32
		var all sync.WaitGroup
		var winners [crowd]*wire
		for i := range conns {
			if conns[i] == nil {
				conns[i] = s.wire()
			}
			all.Go(func() {
				w := conns[i]
				b, err := w.ask(protocol.RestoreSession, key)
				switch {
				case err != nil:
					t.Errorf("restore: %v", err)
				case b.Kind == protocol.Reply:
					got.Add(1)
					conns[i], winners[i] = nil, w
				case b.Kind != protocol.ReplySessionFull:
					t.Errorf("got a %v", b.Kind)
				case w.next == 4: // one more, and the server has enough of it
					conns[i] = nil
					w.conn.Abort()
				}
			})
		}
		all.Wait()
		if n := int(got.Load()); n != places {
			t.Fatalf("%d connections got one of %d places", n, places)
		}
		s.wantConns(key, places)
		for _, w := range winners {
			if w != nil {
				w.conn.Abort()
			}
		}
		s.wantConns(key, 0)
		s.wantSessions(0)
	}
}

// ask is send and read for goroutines.
func (w *wire) ask(kind protocol.Kind, payload string) (protocol.Message, error) {
	w.next++
	b, err := w.v.Append(nil, protocol.Message{Kind: kind, ID: protocol.NewID(w.next), Payload: protocol.Text(payload)})
	if err == nil {
		err = w.conn.Write(b)
	}
	if err == nil {
		b, err = w.conn.Read(nil)
	}
	if err != nil {
		return protocol.Message{}, err
	}
	return w.v.Parse(b)
}

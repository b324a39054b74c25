package server_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
)

// unheard is a bus whose questions about a session of one kind are lost.
type unheard struct {
	engine.Bus
	mu sync.Mutex
	op byte // zero: none
}

func (u *unheard) lose(op byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.op = op
}

func (u *unheard) Ask(ctx context.Context, to engine.NodeID, data []byte) ([]byte, error) {
	u.mu.Lock()
	lost := u.op != 0 && data[0] == 2 && data[1] == u.op
	u.mu.Unlock()
	if lost {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return u.Bus.Ask(ctx, to, data)
}

// Restoring a session does not wait forever for a node that has to make room.
func TestRestoringWithoutAnswer(t *testing.T) {
	for policy, op := range map[server.SessionPolicy]byte{server.RefuseNewest: 5, server.ReplaceOldest: 6} {
		bubble(t, func(t *testing.T) {
			var memory engine.Memory
			var errs []error
			opts := server.Options{MaxSessionConns: 1, SessionPolicy: policy, Hooks: server.Hooks{OnRequest: updater(&errs)}}
			opts.Engine = memory.Node()
			first := newTopical(t, opts)
			opts.Engine = memory.Node()
			bus := &unheard{Bus: opts.Engine.Bus}
			opts.Engine.Bus = bus
			second := newTopical(t, opts)
			for _, srv := range []*server.Server{first, second} {
				if err := srv.OpenEngine(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			a := connect(t, first, protocol.V3_0)
			key := a.login("ada").Key
			if policy == server.RefuseNewest {
				a.conn.Abort() // it may come back
			}
			synctest.Wait()
			bus.lose(op)
			p := connect(t, second, protocol.V3_0)
			began := time.Now()
			p.restore(key)
			p.receive()
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("op %d: answered after %v", op, took)
			}
			p.conn.Close(transport.StatusNormalClosure, "")
			p.over()
			bus.lose(0)
			restored(t, second, key)
		})
	}
}

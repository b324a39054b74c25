package handover_test

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
)

// endingLoad is a store whose Load ends its goroutine as often as it is told to.
type endingLoad struct {
	session.Store
	ends atomic.Int32
}

func (s *endingLoad) Load(ctx context.Context, key string) (session.Session, error) {
	if s.ends.Add(-1) >= 0 {
		runtime.Goexit()
	}
	return s.Store.Load(ctx, key)
}

// endingAt starts two nodes, of which node 1 has the store that is returned.
func endingAt(t *testing.T, opts server.Options) (*cluster, *endingLoad) {
	store := new(endingLoad)
	c := newCluster(t, 0, nil)
	c.startAll(2, func(i int) server.Options {
		o := opts
		o.Handler, o.Engine = named(), c.engine.Node()
		if i == 1 {
			store.Store, o.Engine.Sessions = o.Engine.Sessions, store
		}
		return o
	})
	return c, store
}

// A node whose store ends the goroutine that reads an update gets the next one.
func TestStoreEndsGoroutineOfAnUpdate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, store := endingAt(t, server.Options{})
		a, b := c.join(0, client.Options{}), c.join(1, client.Options{})
		if x := <-a.ask(t.Context(), "login", "ann"); x.err != nil {
			t.Fatal(x)
		}
		s, _ := a.Session()
		if err := b.RestoreSession(t.Context(), s.Key); err != nil {
			t.Fatal(err)
		}
		store.ends.Store(1)
		for _, name := range []string{"bob", "cid"} {
			if x := <-a.ask(t.Context(), "rename", name); x.err != nil {
				t.Fatal(x)
			}
		}
		synctest.Wait()
		if s, _ := b.Session(); string(s.Info) != `{"name":"cid"}` {
			t.Errorf("the other client has %s", s.Info)
		}
	})
}

// A node whose store ends the goroutine that reads the session of a connection that moves there
// keeps no place for it.
func TestStoreEndsGoroutineOfAMove(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, store := endingAt(t, server.Options{MaxSessionConns: 1, SessionPolicy: server.RefuseNewest})
		m := c.join(0, client.Options{})
		if x := <-m.ask(t.Context(), "login", "ann"); x.err != nil {
			t.Fatal(x)
		}
		s, _ := m.Session()
		store.ends.Store(1)
		m.move(t, 1)
		time.Sleep(time.Minute)
		if x := <-m.ask(t.Context(), "who", ""); x.String() != `{"name":"ann"}` {
			t.Errorf("after the move: %v", x)
		}
		if s := m.Stats(); s.Resumes != 1 || s.Connects != 1 {
			t.Errorf("%d resumes, %d connections", s.Resumes, s.Connects)
		}
		_ = m.Close()
		synctest.Wait()
		if err := c.join(1, client.Options{}).RestoreSession(t.Context(), s.Key); err != nil {
			t.Errorf("the place that is free again: %v", err)
		}
	})
}

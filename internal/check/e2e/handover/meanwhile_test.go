package handover_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
)

// moving is a cluster in which a connection is on its way.
type moving struct {
	*cluster
	comes *server.Conn // at node 1
}

// meanwhile starts three nodes, whose OnClientBack takes a second, and returns a client with
// a session and a topic, which is on its way from node 0 to node 1, and the key.
func meanwhile(t *testing.T, b *book, opts server.Options) (c *moving, m *member, key string, conn *server.Conn) {
	var mux server.Mux
	mux.Request("login", func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
		if err := c.node(0).Topic("room").Join(ctx, r.Conn); err != nil {
			return protocol.Payload{}, err
		}
		conn = r.Conn
		_, err := r.Conn.CreateSession(ctx, map[string]string{"name": r.Payload.Text()})
		return protocol.Payload{}, err
	})
	mux.Request("who", func(_ context.Context, r *server.Request) (protocol.Payload, error) {
		s, _ := r.Conn.Session()
		return text(string(s.Info)), nil
	})
	opts.Handler, opts.Topics = &mux, history
	c = new(moving)
	back := make(chan *server.Conn, 10)
	opts.Hooks.OnClientBack = func(ctx context.Context, c *server.Conn) error {
		back <- c
		return sleep(ctx, time.Second)
	}
	c.cluster = newCluster(t, 3, func(int) server.Options { return opts })
	m = c.join(0, client.Options{Hooks: b.signals()})
	if a := <-m.ask(t.Context(), "login", "ann"); a.err != nil {
		t.Fatal(a)
	}
	s, _ := m.Session()
	m.route.goTo(1)
	m.route.cut()
	c.comes = <-back
	synctest.Wait()
	return c, m, s.Key, conn
}

// A connection that moves has one place in its session, not two.
func TestPlaceOfAConnectionThatMoves(t *testing.T) {
	for i := range 20 { // which of the two nodes is asked first is random
		policy := []server.SessionPolicy{server.RefuseNewest, server.ReplaceOldest}[i%2]
		bubble(t, func(t *testing.T) {
			b := new(book)
			c, m, key, _ := meanwhile(t, b, server.Options{MaxSessionConns: 2, SessionPolicy: policy})
			other := c.join(2, client.Options{})
			if err := other.RestoreSession(t.Context(), key); err != nil {
				t.Errorf("policy %v: the second connection: %v", policy, err)
			}
			m.connect(t)
			time.Sleep(5 * time.Second)
			if a := <-m.ask(t.Context(), "who", ""); a.String() != `{"name":"ann"}` {
				t.Errorf("policy %v: %v", policy, a)
			}
			if s := m.Stats(); s.Resumes != 1 || s.Connects != 1 {
				t.Errorf("policy %v: %d resumes, %d connections", policy, s.Resumes, s.Connects)
			}
			b.want(t) // the client has noticed nothing
		})
	}
}

// The place of a connection that moves is given up where the connection is, or nowhere: in the end
// no more connections have the session than may have it.
func TestPlaceOfAConnectionThatMovesIsGivenUp(t *testing.T) {
	for range 20 { // which of the two nodes is asked first is random
		bubble(t, func(t *testing.T) {
			b := new(book)
			c, m, key, _ := meanwhile(t, b, server.Options{MaxSessionConns: 1, SessionPolicy: server.RefuseNewest})
			other := c.join(2, client.Options{})
			err := other.RestoreSession(t.Context(), key)
			m.connect(t)
			time.Sleep(20 * time.Second)
			has := 0
			for i := range 3 {
				for range c.node(i).SessionConns(key) {
					has++
				}
			}
			if has != 1 {
				t.Errorf("%d connections have the session; it was restored with: %v", has, err)
			}
		})
	}
}

// A signal to a session, or to all, reaches a connection that moves once.
func TestSignalToAConnectionThatMoves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := new(book)
		c, m, key, _ := meanwhile(t, b, server.Options{})
		n, err := c.node(2).SignalSession(t.Context(), key, "hello", text(""))
		if n != 1 || err != nil {
			t.Errorf("SignalSession returned %d, %v", n, err)
		}
		if n, err := c.node(2).SignalAll(t.Context(), "all", text("")); n != 1 || err != nil {
			t.Errorf("SignalAll returned %d, %v", n, err)
		}
		m.connect(t)
		time.Sleep(5 * time.Second)
		b.want(t, "client: signal hello", "client: signal all")
	})
}

// What leaves a topic while it moves has left it, whichever node it leaves it at.
func TestLeaveWhileMoving(t *testing.T) {
	for _, where := range []string{"before", "there"} {
		bubble(t, func(t *testing.T) {
			b := new(book)
			c, m, _, conn := meanwhile(t, b, server.Options{})
			switch where {
			case "before":
				c.node(0).Topic("room").Leave(conn)
			case "there":
				c.node(1).Topic("room").Leave(c.comes)
			}
			m.connect(t)
			time.Sleep(5 * time.Second)
			if _, err := c.node(2).Topic("room").Publish(t.Context(), "secret", text("")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			b.want(t)
		})
	}
}

// slowLoad is a store whose Load takes until it is released.
type slowLoad struct {
	session.Store
	slow    atomic.Bool
	release chan struct{}
}

func (s *slowLoad) Load(ctx context.Context, key string) (session.Session, error) {
	if s.slow.Load() {
		<-s.release
	}
	return s.Store.Load(ctx, key)
}

// taken calls a function after a connection was taken, and before it is known here.
type taken struct {
	engine.Bus
	f    func()
	once sync.Once
}

func (b *taken) Ask(ctx context.Context, to engine.NodeID, data []byte) ([]byte, error) {
	answer, err := b.Bus.Ask(ctx, to, data)
	if data[0] == handover && data[2] == 1 {
		b.once.Do(b.f)
	}
	return answer, err
}

// named is a handler that creates a session, and updates it.
func named() *server.Mux {
	var mux server.Mux
	mux.Request("login", func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
		_, err := r.Conn.CreateSession(ctx, map[string]string{"name": r.Payload.Text()})
		return protocol.Payload{}, err
	})
	mux.Request("rename", func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
		_, err := r.Conn.UpdateSession(ctx, map[string]string{"name": r.Payload.Text()})
		return protocol.Payload{}, err
	})
	mux.Request("who", func(_ context.Context, r *server.Request) (protocol.Payload, error) {
		s, _ := r.Conn.Session()
		return text(string(s.Info)), nil
	})
	return &mux
}

// A client whose connection moves while its session is updated elsewhere gets the update, also
// if the node before is just reading it.
func TestUpdateWhileMoving(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := &slowLoad{release: make(chan struct{})}
		there := &taken{}
		c := newCluster(t, 0, nil)
		c.startAll(3, func(i int) server.Options {
			o := server.Options{Handler: named(), Engine: c.engine.Node()}
			switch i {
			case 0:
				store.Store = o.Engine.Sessions
				o.Engine.Sessions = store
			case 1:
				there.Bus = o.Engine.Bus
				o.Engine.Bus = there
			}
			return o
		})
		m := c.join(0, client.Options{})
		if a := <-m.ask(t.Context(), "login", "ann"); a.err != nil {
			t.Fatal(a)
		}
		s, _ := m.Session()
		other := c.join(2, client.Options{})
		if err := other.RestoreSession(t.Context(), s.Key); err != nil {
			t.Fatal(err)
		}
		renamed := make(chan (<-chan answer), 1)
		there.f = func() {
			store.slow.Store(true)
			renamed <- other.ask(t.Context(), "rename", "bob")
			synctest.Wait() // the other node reads what is new
		}
		m.route.goTo(1)
		m.route.cut()
		time.Sleep(time.Second) // the connection moves, unless it waits for that
		store.slow.Store(false)
		close(store.release)
		if a := <-<-renamed; a.err != nil {
			t.Fatal(a)
		}
		m.connect(t)
		synctest.Wait()
		if a := <-m.ask(t.Context(), "who", ""); a.String() != `{"name":"bob"}` {
			t.Errorf("after the update the node has %v", a)
		}
		if s, _ := m.Session(); string(s.Info) != `{"name":"bob"}` {
			t.Errorf("after the update the client has %s", s.Info)
		}
	})
}

// updates are hooks that note which updates of its session a client gets.
func (b *book) updates() client.Hooks {
	h := b.signals()
	h.OnSessionUpdated = func(_ context.Context, s session.Session) { b.note("client: %s", s.Info) }
	return h
}

// OnClientBack may update the session: the connection moves all the same, and its client gets
// each update once, from the node where it is.
func TestOnClientBackUpdatesTheSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := new(book)
		c := newCluster(t, 3, func(i int) server.Options {
			return server.Options{Handler: named(), Hooks: server.Hooks{OnClientBack: func(ctx context.Context, c *server.Conn) error {
				for step := range 3 {
					if _, err := c.UpdateSession(ctx, map[string]int{"node": i, "step": step}); err != nil {
						return err
					}
				}
				return nil
			}}}
		})
		m := c.join(0, client.Options{Hooks: b.updates()})
		if a := <-m.ask(t.Context(), "login", "ann"); a.err != nil {
			t.Fatal(a)
		}
		for _, to := range []int{1, 2, 0} {
			m.move(t, to)
			n := string(rune('0' + to))
			b.want(t, `client: {"node":`+n+`,"step":0}`, `client: {"node":`+n+`,"step":1}`, `client: {"node":`+n+`,"step":2}`)
			if a := <-m.ask(t.Context(), "who", ""); a.String() != `{"node":`+n+`,"step":2}` {
				t.Errorf("node %d has %v", to, a)
			}
		}
		if s := m.Stats(); s.Resumes != 3 || s.Connects != 1 {
			t.Errorf("%d resumes, %d connections", s.Resumes, s.Connects)
		}
	})
}

// If the connection stays at the node that it had, because the other one does not want it, the
// client gets there what it has missed.
func TestUpdateOfAConnectionThatStays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := new(book)
		c := newCluster(t, 2, func(i int) server.Options {
			o := server.Options{Handler: named()}
			if i == 1 {
				o.Hooks.OnClientBack = func(ctx context.Context, c *server.Conn) error {
					_, err := c.UpdateSession(ctx, map[string]string{"name": "bob"})
					return errors.Join(err, errors.New("no"))
				}
			}
			return o
		})
		m := c.join(0, client.Options{Hooks: b.updates()})
		if a := <-m.ask(t.Context(), "login", "ann"); a.err != nil {
			t.Fatal(a)
		}
		m.route.goTo(1)
		m.route.cut()
		time.Sleep(time.Second) // it may have tried more than once
		m.route.goTo(0)
		m.connect(t)
		b.want(t, `client: {"name":"bob"}`)
		if s := m.Stats(); s.Resumes != 1 || s.Connects != 1 {
			t.Errorf("%d resumes, %d connections", s.Resumes, s.Connects)
		}
	})
}

// known is a Bus whose node is known.
type known struct {
	engine.Bus
	id engine.NodeID
}

func (b *known) Open(ctx context.Context, self engine.NodeID, in engine.Inlet) error {
	b.id = self
	return b.Bus.Open(ctx, self, in)
}

// late is a Bus that tells a node of updates of sessions late.
type late struct {
	engine.Bus
	to      *known
	release chan struct{}
}

func (b *late) Ask(ctx context.Context, to engine.NodeID, data []byte) ([]byte, error) {
	if to == b.to.id && data[0] == 2 && data[1] == 2 {
		<-b.release
	}
	return b.Bus.Ask(ctx, to, data)
}

// A connection moves while its session is updated. The node that it comes to is told when it does
// not know the session yet, and the one before only after the move. OnSessionLookup gives each client
// an info of its own, which it keeps if there is no update.
func TestUpdateThatTheOldNodeLearnsLate(t *testing.T) {
	for name, test := range map[string]struct {
		update bool
		lookup func(context.Context, *server.Conn, session.Session) (session.Session, error)
		before string
		after  string
	}{
		"update":            {true, nil, `{"name":"ann"}`, `{"name":"bob"}`},
		"lookup":            {false, own, `{"name":"ann's own"}`, `{"name":"ann's own"}`},
		"update and lookup": {true, own, `{"name":"ann's own"}`, `{"name":"bob"}`},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := new(book)
				behind, there := &late{to: new(known), release: make(chan struct{})}, new(taken)
				c := newCluster(t, 0, nil)
				c.startAll(3, func(i int) server.Options {
					o := server.Options{Handler: named(), Engine: c.engine.Node(), Hooks: server.Hooks{OnSessionLookup: test.lookup}}
					switch i {
					case 0:
						behind.to.Bus, o.Engine.Bus = o.Engine.Bus, behind.to
					case 1:
						there.Bus, o.Engine.Bus = o.Engine.Bus, there
					case 2:
						behind.Bus, o.Engine.Bus = o.Engine.Bus, behind
					}
					return o
				})
				other := c.join(2, client.Options{})
				if a := <-other.ask(t.Context(), "login", "ann"); a.err != nil {
					t.Fatal(a)
				}
				s, _ := other.Session()
				m := c.join(0, client.Options{Hooks: b.updates()})
				if err := m.RestoreSession(t.Context(), s.Key); err != nil {
					t.Fatal(err)
				}
				if s, _ := m.Session(); string(s.Info) != test.before {
					t.Errorf("before the move the client has %s", s.Info)
				}
				there.f = func() {
					if test.update {
						other.ask(t.Context(), "rename", "bob")
						synctest.Wait() // the new node has been told, the other one not
					}
				}
				m.move(t, 1)
				close(behind.release)
				synctest.Wait()
				if s, _ := m.Session(); string(s.Info) != test.after {
					t.Errorf("after the move the client has %s", s.Info)
				}
				if a := <-m.ask(t.Context(), "who", ""); a.String() != test.after {
					t.Errorf("after the move the node has %v", a)
				}
				m.move(t, 2)
				if a := <-m.ask(t.Context(), "who", ""); a.String() != test.after {
					t.Errorf("after another move the node has %v", a)
				}
				var want []string
				if test.update {
					want = append(want, "client: "+test.after)
				}
				b.want(t, want...)
			})
		})
	}
}

func own(_ context.Context, _ *server.Conn, s session.Session) (session.Session, error) {
	s.Info = []byte(`{"name":"ann's own"}`)
	return s, nil
}

// oldLoad is a store whose first Load returns, once it is released, what there was when it was called.
type oldLoad struct {
	session.Store
	called  atomic.Bool
	release chan struct{}
}

func (s *oldLoad) Load(ctx context.Context, key string) (session.Session, error) {
	found, err := s.Store.Load(ctx, key)
	if !s.called.Swap(true) {
		<-s.release
	}
	return found, err
}

// The node that a connection comes to is told of an update while it reads the session.
func TestUpdateWhileTheNewNodeReads(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := new(book)
		store := &oldLoad{release: make(chan struct{})}
		c := newCluster(t, 0, nil)
		c.startAll(3, func(i int) server.Options {
			o := server.Options{Handler: named(), Engine: c.engine.Node()}
			if i == 1 {
				store.Store, o.Engine.Sessions = o.Engine.Sessions, store
			}
			return o
		})
		m := c.join(0, client.Options{Hooks: b.updates()})
		if a := <-m.ask(t.Context(), "login", "ann"); a.err != nil {
			t.Fatal(a)
		}
		s, _ := m.Session()
		other := c.join(2, client.Options{})
		if err := other.RestoreSession(t.Context(), s.Key); err != nil {
			t.Fatal(err)
		}
		m.route.goTo(1)
		m.route.cut()
		time.Sleep(time.Second) // the connection moves
		if a := <-other.ask(t.Context(), "rename", "bob"); a.err != nil {
			t.Fatal(a)
		}
		close(store.release)
		m.connect(t)
		b.want(t, `client: {"name":"bob"}`)
		if a := <-m.ask(t.Context(), "who", ""); a.String() != `{"name":"bob"}` {
			t.Errorf("after the update the node has %v", a)
		}
		if s := m.Stats(); s.Resumes != 1 || s.Connects != 1 {
			t.Errorf("%d resumes, %d connections", s.Resumes, s.Connects)
		}
	})
}

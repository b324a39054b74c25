package server_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/engine/enginetest"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport"
)

// nodes returns servers that share an engine, whose engines can fail. All are open.
func nodes(t *testing.T, n int, opts server.Options) (all []*server.Server, faulty []*enginetest.Faulty) {
	t.Helper()
	var memory engine.Memory
	var errs []error
	opts.Hooks.OnRequest = updater(&errs)
	for range n {
		f := enginetest.NewFaulty(memory.Node())
		opts.Engine = f.Engine()
		srv := newTopical(t, opts)
		if err := srv.OpenEngine(t.Context()); err != nil {
			t.Fatal(err)
		}
		all, faulty = append(all, srv), append(faulty, f)
	}
	return all, faulty
}

// restored connects to a server and restores the session.
func restored(t *testing.T, srv *server.Server, key string) *peer {
	t.Helper()
	p := connect(t, srv, protocol.V3_0)
	p.restore(key)
	if s := p.session(protocol.Reply); s.Key != key {
		t.Fatalf("restored %v", s)
	}
	return p
}

// refused fails the test unless the next message refuses to restore because of want.
func (p *peer) refused(want error) {
	p.t.Helper()
	if m := p.receive(); !errors.Is(m.Err(), want) {
		p.t.Errorf("got %v (%v), want %v", m.Kind, m.Err(), want)
	}
}

// gone fails the test unless the client is told that its session is closed.
func (p *peer) gone() {
	p.t.Helper()
	if m := p.receive(); m.Kind != protocol.SessionClosed {
		p.t.Errorf("got %v, want the end of the session", m.Kind)
	}
}

// Whoever closes a session, the clients of all nodes are told before the call returns, and
// no node restores it.
func TestCloseSessionOnAllNodes(t *testing.T) {
	for _, by := range []string{"server", "client", "another node"} {
		bubble(t, func(t *testing.T) {
			all, _ := nodes(t, 3, server.Options{})
			a := connect(t, all[0], protocol.V3_0)
			key := a.login("ada").Key
			b1, b2 := restored(t, all[1], key), restored(t, all[1], key)
			other := connect(t, all[1], protocol.V3_0)
			other.login("bob")
			switch by {
			case "client":
				a.send(protocol.Message{Kind: protocol.CloseSession, ID: protocol.NewID(7)})
				a.reply(7, protocol.Reply)
			default:
				srv := all[0]
				if by == "another node" {
					srv = all[2] // which has no connection of the session
				}
				if err := srv.CloseSession(t.Context(), key); err != nil {
					t.Fatal(err)
				}
				a.gone()
			}
			b1.gone()
			b2.gone()
			other.quiet()
			for i, srv := range all {
				for range srv.SessionConns(key) {
					t.Errorf("node %d: a connection has the closed session", i)
				}
				p := connect(t, srv, protocol.V3_0)
				p.restore(key)
				p.refused(protocol.ErrSessionNotFound)
			}
			b1.login("ada again") // the connection goes on
		})
	}
}

// A node that is cut off while a session is closed takes it away when it next notes its
// use: after at most five minutes.
func TestCloseSessionIsFoundOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log record
		all, faulty := nodes(t, 2, server.Options{Logger: log.logger()})
		a := connect(t, all[0], protocol.V3_0)
		key := a.login("ada").Key
		b := restored(t, all[1], key)
		faulty[0].Break(enginetest.Ask, enginetest.Fail(engine.ErrAway))
		if err := all[0].CloseSession(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		a.gone()
		b.quiet()
		if n := all[0].Stats().EngineErrors; n != 1 || !strings.Contains(log.take(), "operation=ask") {
			t.Errorf("%d errors of the engine", n)
		}
		before := time.Now()
		b.gone()
		if d := time.Since(before); d > 5*time.Minute {
			t.Errorf("found out after %v", d)
		}
	})
}

// A session that is closed while another node restores it is not restored.
func TestCloseSessionWhileRestoring(t *testing.T) {
	bubble(t, func(t *testing.T) {
		all, _ := nodes(t, 2, server.Options{})
		var made []string
		for range 40 {
			p := connect(t, all[0], protocol.V3_0)
			made = append(made, p.login("ada").Key)
		}
		var closing sync.WaitGroup
		var peers []*peer
		for _, key := range made {
			closing.Go(func() {
				if err := all[0].CloseSession(t.Context(), key); err != nil {
					t.Error(err)
				}
			})
			p := connect(t, all[1], protocol.V3_0)
			p.restore(key)
			peers = append(peers, p)
		}
		closing.Wait()
		synctest.Wait()
		if n := all[0].Stats().Sessions + all[1].Stats().Sessions; n != 0 {
			t.Errorf("%d sessions are left", n)
		}
		for _, p := range peers {
			if m := p.receive(); m.Kind == protocol.Reply {
				p.gone()
			} else if !errors.Is(m.Err(), protocol.ErrSessionNotFound) {
				t.Errorf("got %v", m)
			}
		}
	})
}

// Clients of all nodes get the new info before the reply to the request that changed it;
// also if two nodes change it at the same time everybody ends with the same.
func TestUpdateSessionOnAllNodes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		all, _ := nodes(t, 2, server.Options{})
		a := connect(t, all[0], protocol.V3_0)
		key := a.login("ada").Key
		b := restored(t, all[1], key)
		a.request(3, "rename", "grace")
		wantInfo(t, a.session(protocol.SessionCreated), key, `{"name":"grace"}`)
		a.reply(3, protocol.Reply)
		wantInfo(t, b.session(protocol.SessionCreated), key, `{"name":"grace"}`)
		b.quiet()

		for range 20 {
			a.request(4, "rename", "anna")
			b.request(4, "rename", "berta")
			synctest.Wait()
			var last []string
			for i, p := range []*peer{a, b} {
				info := ""
				for len(p.got) > 0 {
					if m := <-p.got; m.Kind == protocol.SessionCreated {
						s, err := protocol.ParseSession(m.Payload.Data)
						if err != nil {
							t.Fatal(err)
						}
						info = string(s.Info)
					}
				}
				last = append(last, info)
				for c := range all[i].SessionConns(key) {
					if s, _ := c.Session(); string(s.Info) != info {
						t.Errorf("node %d has %s, its client %s", i, s.Info, info)
					}
				}
			}
			if last[0] != last[1] {
				t.Fatalf("the clients have %q", last)
			}
		}
	})
}

// Signals reach the connections of a session, or all, on every node, in the order in which
// they were sent.
func TestSignalNodes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		all, faulty := nodes(t, 3, server.Options{})
		a := connect(t, all[0], protocol.V3_0)
		key := a.login("ada").Key
		b := restored(t, all[1], key)
		stranger := connect(t, all[1], protocol.V3_0)
		for _, text := range []string{"1", "2", "3"} {
			for _, srv := range all {
				if n, err := srv.SignalSession(t.Context(), key, "mail", protocol.Text(text)); n != 2 || err != nil {
					t.Errorf("sent %d, %v", n, err)
				}
			}
			if n, err := all[2].SignalAll(t.Context(), "news", protocol.Text(text)); n != 3 || err != nil {
				t.Errorf("sent %d, %v", n, err)
			}
		}
		for _, text := range []string{"1", "2", "3"} {
			for _, p := range []*peer{a, b} {
				for range all {
					if m := p.receive(); m.Name != "mail" || m.Payload.Text() != text {
						t.Errorf("got %q %q, want mail %q", m.Name, m.Payload.Text(), text)
					}
				}
			}
			for _, p := range []*peer{a, b, stranger} {
				if m := p.receive(); m.Name != "news" || m.Payload.Text() != text {
					t.Errorf("got %q %q, want news %q", m.Name, m.Payload.Text(), text)
				}
			}
		}
		stranger.quiet()

		if n, err := all[0].SignalSession(t.Context(), "nobody's", "mail", protocol.Payload{}); n != 0 || err != nil {
			t.Errorf("to nobody: %d, %v", n, err)
		}
		if _, err := all[0].SignalAll(t.Context(), strings.Repeat("x", 300), protocol.Payload{}); !errors.Is(err, protocol.ErrMalformed) {
			t.Errorf("too long a name: %v", err)
		}
		faulty[0].Break(enginetest.Ask, enginetest.Fail(engine.ErrAway))
		if n, err := all[0].SignalAll(t.Context(), "news", protocol.Payload{}); n != 1 || !errors.Is(err, engine.ErrAway) {
			t.Errorf("without other nodes: %d, %v", n, err)
		}
	})
}

// With RefuseNewest a session has at most MaxSessionConns connections on all nodes
// together; the place of one that is away is given up.
func TestMaxSessionConnsOnAllNodes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		all, _ := nodes(t, 3, server.Options{MaxSessionConns: 2, SessionPolicy: server.RefuseNewest})
		a := connect(t, all[0], protocol.V3_0)
		key := a.login("ada").Key
		b := restored(t, all[1], key)
		for _, srv := range all {
			p := connect(t, srv, protocol.V3_0)
			p.restore(key)
			p.refused(protocol.ErrSessionFull)
		}
		b.conn.Close(transport.StatusNormalClosure, "")
		b.over()
		c := restored(t, all[2], key)
		c.conn.Abort() // it may come back
		synctest.Wait()
		restored(t, all[0], key)
		if _, theirs := c.over(); theirs == nil {
			t.Error("the connection that was away goes on")
		}
		p := connect(t, all[1], protocol.V3_0)
		p.restore(key)
		p.refused(protocol.ErrSessionFull)

		// Many at once, for one place.
		a.conn.Close(transport.StatusNormalClosure, "")
		a.over()
		var peers []*peer
		for i := range 12 {
			p := connect(t, all[i%3], protocol.V3_0)
			p.restore(key)
			peers = append(peers, p)
		}
		n := 0
		for _, p := range peers {
			if p.receive().Kind == protocol.Reply {
				n++
			}
		}
		if n > 1 {
			t.Errorf("%d connections got one place", n)
		}
	})
}

// With ReplaceOldest the newest connection on any node takes the session over.
func TestReplaceOldestOnAllNodes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		all, _ := nodes(t, 3, server.Options{MaxSessionConns: 1})
		p := connect(t, all[0], protocol.V3_0)
		key := p.login("ada").Key
		for i := range 6 {
			time.Sleep(time.Millisecond)
			next := restored(t, all[(i+1)%3], key)
			if _, theirs := p.over(); !errors.Is(theirs, server.ErrSessionReplaced) {
				t.Errorf("ended with %v", theirs)
			}
			p = next
		}
		p.quiet()

		// All at once: one is left.
		for i := range 9 {
			p := connect(t, all[i%3], protocol.V3_0)
			p.restore(key)
		}
		time.Sleep(time.Second)
		n := 0
		for _, srv := range all {
			for range srv.SessionConns(key) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d connections have the session", n)
		}
	})
	bubble(t, func(t *testing.T) { // of several, the oldest goes, wherever it is
		all, _ := nodes(t, 2, server.Options{MaxSessionConns: 3, SessionPolicy: server.ReplaceOldest})
		first := connect(t, all[0], protocol.V3_0)
		key := first.login("ada").Key
		var peers []*peer
		for i := range 3 {
			time.Sleep(time.Millisecond)
			peers = append(peers, restored(t, all[i%2], key))
		}
		if _, theirs := first.over(); !errors.Is(theirs, server.ErrSessionReplaced) {
			t.Errorf("ended with %v", theirs)
		}
		for _, p := range peers {
			p.quiet()
		}
	})
}

// What another node does while a session is being restored counts.
func TestRestoringMeanwhile(t *testing.T) {
	for _, c := range []struct {
		what string
		max  int
		do   func(a *server.Server, p *peer, key string) // on the other node, by the owner
		want func(restored *peer, key string)
	}{
		{"close", 0, func(a *server.Server, p *peer, key string) {
			if err := a.CloseSession(p.t.Context(), key); err != nil {
				p.t.Error(err)
			}
		}, func(restored *peer, key string) { restored.refused(protocol.ErrSessionNotFound) }},
		{"update", 0, func(_ *server.Server, p *peer, key string) {
			p.request(3, "rename", "grace")
			p.session(protocol.SessionCreated)
			p.reply(3, protocol.Reply)
		}, func(restored *peer, key string) {
			wantInfo(restored.t, restored.session(protocol.Reply), key, `{"name":"grace"}`)
		}},
		{"take the last place", 2, func(a *server.Server, p *peer, key string) {
			q := connect(p.t, a, protocol.V3_0)
			q.restore(key)
			q.refused(protocol.ErrSessionFull)
		}, func(restored *peer, key string) { restored.session(protocol.Reply) }},
	} {
		t.Run(c.what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				looking, goOn := make(chan struct{}, 8), make(chan struct{})
				slow := false
				opts := server.Options{MaxSessionConns: c.max, Hooks: server.Hooks{
					OnSessionLookup: func(_ context.Context, _ *server.Conn, s session.Session) (session.Session, error) {
						if slow {
							looking <- struct{}{}
							<-goOn
						}
						return s, nil
					},
				}}
				all, _ := nodes(t, 2, opts)
				p := connect(t, all[0], protocol.V3_0)
				key := p.login("ada").Key
				slow = true
				q := connect(t, all[1], protocol.V3_0)
				q.restore(key)
				<-looking
				c.do(all[0], p, key)
				close(goOn)
				c.want(q, key)
			})
		})
	}
}

// The engine is opened by the first connection, so that other nodes reach it. Sessions wait
// for it.
func TestEngineOpens(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var memory engine.Memory
		var all []*server.Server
		for range 2 {
			e := memory.Node()
			e.Bus = opensSlowly{e.Bus, time.Second}
			e.Sessions = opensFirst{e}
			var errs []error
			all = append(all, newTopical(t, server.Options{Engine: e, Hooks: server.Hooks{OnRequest: updater(&errs)}}))
		}
		p, q := connect(t, all[0], protocol.V3_0), connect(t, all[1], protocol.V3_0)
		p.login("ada")
		synctest.Wait()
		if n, err := all[0].SignalAll(t.Context(), "news", protocol.Payload{}); n != 2 || err != nil {
			t.Errorf("sent %d, %v", n, err)
		}
		q.receive()
		if err := all[1].OpenEngine(t.Context()); err != nil {
			t.Errorf("it is open already: %v", err)
		}

		if n := all[0].Stats().Nodes; n != 2 {
			t.Errorf("%d nodes", n)
		}
		all[1].Close()
		if n := all[0].Stats().Nodes; n != 1 {
			t.Errorf("%d nodes after one has ended", n)
		}

		unused := newTopical(t, server.Options{Engine: memory.Node()})
		unused.Close()
		if err := unused.OpenEngine(t.Context()); err != server.ErrServerClosed {
			t.Errorf("after Close: %v", err)
		}
		if n := unused.Stats().Nodes; n != 0 {
			t.Errorf("%d nodes of an engine that is not open", n)
		}
	})
}

// An engine may take long to open, while its servers start. Nobody waits longer than they
// want to, and Close does not wait for it.
func TestEngineOpensSlowly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var memory engine.Memory
		e := memory.Node()
		e.Bus = opensSlowly{e.Bus, 50 * time.Second}
		srv := newTopical(t, server.Options{Engine: e})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := srv.OpenEngine(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("within a second: %v", err)
		}
		before := time.Now()
		if err := srv.OpenEngine(t.Context()); err != nil || time.Since(before) != 49*time.Second {
			t.Errorf("after %v: %v", time.Since(before), err)
		}

		e = memory.Node()
		e.Bus = opensSlowly{e.Bus, 50 * time.Second}
		srv = newTopical(t, server.Options{Engine: e})
		opened := make(chan error, 1)
		go func() { opened <- srv.OpenEngine(context.Background()) }()
		synctest.Wait()
		before = time.Now()
		srv.Close()
		if err := <-opened; err != server.ErrServerClosed || time.Since(before) != 0 {
			t.Errorf("closed meanwhile: %v after %v", err, time.Since(before))
		}
	})
}

// opensSlowly is a bus that takes some time to open.
type opensSlowly struct {
	engine.Bus
	after time.Duration
}

func (b opensSlowly) Open(ctx context.Context, self engine.NodeID, in engine.Inlet) error {
	select {
	case <-time.After(b.after):
		return b.Bus.Open(ctx, self, in)
	case <-ctx.Done():
		return ctx.Err()
	}
}

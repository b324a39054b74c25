package handover_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
)

// pairOf are two nodes with hooks that note, of which the second has a bus that fails on
// demand.
func pairOf(t *testing.T, b *book) (*cluster, *bus) {
	var second *bus
	var c *cluster
	c = newCluster(t, 1, func(i int) server.Options {
		o := server.Options{Hooks: b.hooks(i)}
		if i == 1 {
			o.Engine, second = c.failing()
		}
		return o
	})
	c.start(1)
	return c, second
}

// The answer to a commit is lost: the node asks again.
func TestCommitAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := new(book)
		c, bus := pairOf(t, b)
		m := c.join(0, client.Options{Hooks: b.signals()})
		slow := m.ask(t.Context(), "slow", "x")
		synctest.Wait()
		losses := map[byte]int{opCommit: 3, opForward: 2}
		bus.setFail(func(op byte) failure {
			if losses[op]--; losses[op] >= 0 {
				return lostAnswer
			}
			return works
		})
		m.move(t, 1)
		if a := <-slow; a.String() != "x from 0" {
			t.Error(a)
		}
		b.want(t, "0: connected", "0: slow x", "0: away", "1: back, moved true, value <nil>", "0: disconnected: server: the connection has moved to another node")
	})
}

// The node that takes a connection dies before it commits: the other one goes on having it,
// and what waits there is executed there.
func TestDeathBeforeCommit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := new(book)
		var second *bus
		var c *cluster
		c = newCluster(t, 1, func(i int) server.Options {
			o := server.Options{Hooks: b.hooks(i), Concurrency: 1}
			if i == 1 {
				o.Engine, second = c.failing()
			}
			return o
		})
		c.start(1)
		m := c.join(0, client.Options{Hooks: b.signals()})
		slow, quick := m.ask(t.Context(), "slow", "x"), (<-chan answer)(nil)
		synctest.Wait()
		quick = m.ask(t.Context(), "quick", "y")
		synctest.Wait()
		second.setFail(func(op byte) failure {
			if op == opTake {
				return works
			}
			return lostAsk // what it says after take is not heard
		})
		m.route.goTo(1)
		m.route.cut()
		time.Sleep(2 * time.Second)
		_ = c.node(1).Close()
		m.route.goTo(0)
		if a := <-slow; a.String() != "x from 0" {
			t.Error(a)
		}
		if a := <-quick; a.String() != "y from 0" {
			t.Error(a)
		}
		if s := m.Stats(); s.Connects != 1 || s.Resumes != 1 {
			t.Errorf("%d connections, %d resumes", s.Connects, s.Resumes)
		}
		m.Close()
		synctest.Wait()
		if n := c.node(0).Stats().Open; n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

// The node that has the connection is gone: the client learns it at once.
func TestNodeGone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := new(book)
		c, _ := pairOf(t, b)
		m := c.join(0, client.Options{})
		slow := m.ask(t.Context(), "slow", "x")
		synctest.Wait()
		m.route.goTo(1)
		_ = c.node(0).Close()
		began := time.Now()
		if a := <-slow; !maybe(a.err) {
			t.Error(a)
		}
		if d := time.Since(began); d > 2*time.Second {
			t.Errorf("it took %v", d)
		}
		if a := <-m.ask(t.Context(), "quick", "y"); a.String() != "y from 1" {
			t.Error(a)
		}
	})
}

// The node where a handler runs dies after its connection has moved: the client learns it.
func TestHandlerNodeGone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := new(book)
		c, _ := pairOf(t, b)
		m := c.join(0, client.Options{})
		long := m.ask(t.Context(), "long", "x")
		synctest.Wait()
		m.move(t, 1)
		_ = c.node(0).Close()
		began := time.Now()
		a := <-long
		var failure *protocol.FailureError
		if !errors.As(a.err, &failure) || failure.Code != protocol.FailureOutcomeUnknown || !client.MaybeExecuted(a.err) {
			t.Error(a)
		}
		if d := time.Since(began); d > 6*time.Second {
			t.Errorf("it took %v", d)
		}
		if a := <-m.ask(t.Context(), "quick", "y"); a.String() != "y from 1" {
			t.Error(a)
		}
	})
}

// A node that does not answer is asked again, for ten seconds; then the client gets a new
// connection.
func TestNodeSilent(t *testing.T) {
	for _, times := range []int{1, 2, 1000} {
		bubble(t, func(t *testing.T) {
			b := new(book)
			c, bus := pairOf(t, b)
			m := c.join(0, client.Options{MinBackoff: 100 * time.Millisecond, MaxBackoff: time.Second})
			slow := m.ask(t.Context(), "long", "x")
			synctest.Wait()
			began := time.Now()
			bus.setFail(func(op byte) failure {
				if op == opTake && times > 0 {
					times--
					return lostAsk
				}
				return works
			})
			ever := times == 1000
			m.move(t, 1)
			took := time.Since(began)
			a := <-slow
			if s := m.Stats(); ever {
				if !maybe(a.err) || s.Connects != 2 || took < 10*time.Second || took > 20*time.Second {
					t.Errorf("%v, %d connections, after %v", a, s.Connects, took)
				}
			} else if a.String() != "x from 0" || s.Connects != 1 || s.Resumes != 1 {
				t.Errorf("%v, %d connections, %d resumes", a, s.Connects, s.Resumes)
			}
		})
	}
}

// A node that prepares connections and cannot prepare one that moves does not take it.
func TestUnpreparedNode(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := new(book)
		c := newCluster(t, 2, func(i int) server.Options {
			o := server.Options{Hooks: b.hooks(i)}
			o.Hooks.OnClientBack = nil
			return o
		})
		m := c.join(0, client.Options{})
		m.move(t, 1)
		b.want(t, "0: connected", "0: away", "1: connected")
	})
}

// Nodes of different applications do not hand over, nor do those without an engine.
func TestNoSharedEngine(t *testing.T) {
	for _, shared := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			b := new(book)
			c := newCluster(t, 2, func(i int) server.Options {
				o := server.Options{Hooks: b.hooks(i), Engine: engine.Engine{Sessions: new(engine.Memory).Node().Sessions}}
				if shared {
					o.Engine = new(engine.Memory).Node()
				}
				return o
			})
			m := c.join(0, client.Options{})
			m.move(t, 1)
			b.want(t, "0: connected", "0: away", "1: connected")
		})
	}
}

// OnClientBack refuses at the other node, or ends its goroutine: the connection stays where
// it is.
func TestRefusedThere(t *testing.T) {
	for name, refuse := range map[string]func() error{
		"refuses": func() error {
			return &transport.CloseError{Status: transport.StatusTryAgainLater, Reason: "not now"}
		},
		"ends": func() error {
			runtime.Goexit()
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) { testRefusedThere(t, refuse) })
	}
}

func testRefusedThere(t *testing.T, refuse func() error) {
	bubble(t, func(t *testing.T) {
		b := new(book)
		refused := false
		c := newCluster(t, 2, func(i int) server.Options {
			o := server.Options{Hooks: b.hooks(i)}
			back := o.Hooks.OnClientBack
			o.Hooks.OnClientBack = func(ctx context.Context, c *server.Conn) error {
				if i == 1 && !refused {
					refused = true
					return refuse()
				}
				return back(ctx, c)
			}
			return o
		})
		m := c.join(0, client.Options{})
		slow := m.ask(t.Context(), "slow", "x")
		synctest.Wait()
		m.move(t, 1)
		if a := <-slow; a.String() != "x from 0" {
			t.Error(a)
		}
		b.want(t, "0: connected", "0: slow x", "0: away", "1: back, moved true, value <nil>", "0: disconnected: server: the connection has moved to another node")
		if n := c.node(1).Stats().Open; n != 1 {
			t.Errorf("%d connections at the other node", n)
		}
	})
}

// A node that has prepared a connection, and then does not get it, says that its Conn is over.
func TestPreparedInVain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := new(book)
		late := true
		c := newCluster(t, 2, func(i int) server.Options {
			o := server.Options{Hooks: b.hooks(i)}
			back := o.Hooks.OnClientBack
			o.Hooks.OnClientBack = func(ctx context.Context, c *server.Conn) error {
				if err := back(ctx, c); err != nil || i == 0 || !late {
					return err
				}
				late = false
				return sleep(context.Background(), 6*time.Second) // the other node does not wait for that long
			}
			return o
		})
		h, first := c.dial(0, nil)
		_ = h.conn.Abort()
		synctest.Wait()
		claim := &protocol.Resume{Conn: first.Conn, Secret: first.Secret, Attempt: 1, FirstKept: 1}
		if _, w := c.dial(1, claim); w.Outcome != protocol.OutcomeUnavailable {
			t.Errorf("outcome %v", w.Outcome)
		}
		b.want(t, "0: connected", "0: away", "1: back, moved true, value <nil>", "1: disconnected: server: the connection has moved to another node")
		claim.Attempt = 2
		if _, w := c.dial(1, claim); w.Outcome != protocol.OutcomeResumed {
			t.Errorf("outcome %v", w.Outcome)
		}
		b.want(t, "0: disconnected: server: the connection has moved to another node", "1: back, moved true, value <nil>")
	})
}

// OnClientDisconnected of what was prepared in vain takes long: the client gets its answer all the
// same, and can come again.
func TestPreparedInVainAndSlowToEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		over, end := context.WithCancel(context.Background())
		defer end()
		late := true
		var ended atomic.Int32
		c := newCluster(t, 2, func(i int) server.Options {
			return server.Options{MaxSessionConns: 1, Hooks: server.Hooks{
				OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
					_, err := r.Conn.CreateSession(ctx, map[string]string{"name": "x"})
					return r.Payload, err
				},
				OnClientBack: func(context.Context, *server.Conn) error {
					if i == 0 || !late {
						return nil
					}
					late = false
					return sleep(context.Background(), 6*time.Second) // the other node does not wait for that long
				},
				OnClientDisconnected: func(*server.Conn, error) {
					if i == 1 {
						<-over.Done()
						ended.Add(1)
					}
				},
			}}
		})
		h, first := c.dial(0, nil)
		h.send(protocol.Message{Kind: protocol.Request, ID: protocol.NewID(1), Name: "login", Payload: text("x")})
		if _, err := h.tryReceive(protocol.Reply); err != nil {
			t.Fatal(err)
		}
		_ = h.conn.Abort()
		synctest.Wait()
		claim := &protocol.Resume{Conn: first.Conn, Secret: first.Secret, Attempt: 1, FirstKept: 1}
		start := time.Now()
		for _, want := range []protocol.Outcome{protocol.OutcomeUnavailable, protocol.OutcomeResumed} {
			if _, w := c.dial(1, claim); w.Outcome != want {
				t.Errorf("outcome %v, want %v", w.Outcome, want)
			}
			claim.Attempt++
		}
		if took := time.Since(start); took > 7*time.Second {
			t.Errorf("the client has waited for %v", took)
		}
		if n := ended.Load(); n != 0 {
			t.Errorf("%d hooks have returned", n)
		}
		end()
		synctest.Wait()
		if n := ended.Load(); n != 1 {
			t.Errorf("%d hooks have returned", n)
		}
	})
}

// hand is a client of 3.0 made by hand.
type hand struct {
	t    *testing.T
	conn transport.Conn
}

// dial says hello at a node, and returns what it welcomes with.
func (c *cluster) dial(i int, resume *protocol.Resume) (*hand, protocol.WelcomeBody) {
	c.t.Helper()
	h, w, err := c.tryDial(i, resume)
	if err != nil {
		c.t.Fatal(err)
	}
	return h, w
}

func (c *cluster) tryDial(i int, resume *protocol.Resume) (*hand, protocol.WelcomeBody, error) {
	conn, err := c.faults.Dialer(c.node(i).listener).Dial(c.t.Context(), transport.DialOptions{Protocols: []string{protocol.V3_0.Token()}})
	if err != nil {
		return nil, protocol.WelcomeBody{}, err
	}
	c.t.Cleanup(func() { _ = conn.Abort() })
	h := &hand{c.t, conn}
	err = h.trySend(protocol.HelloBody{StreamCredit: 1 << 16, Requests: 16, Resume: resume}.Message())
	var m protocol.Message
	if err == nil {
		m, err = h.tryReceive(protocol.Welcome)
	}
	if err != nil {
		return nil, protocol.WelcomeBody{}, err
	}
	w, err := m.Welcome()
	return h, w, err
}

func (h *hand) trySend(m protocol.Message) error {
	b, err := protocol.V3_0.Append(nil, m)
	if err != nil {
		return err
	}
	return h.conn.Write(b)
}

func (h *hand) send(m protocol.Message) {
	h.t.Helper()
	if err := h.trySend(m); err != nil {
		h.t.Fatal(err)
	}
}

// tryReceive returns the next message of a kind.
func (h *hand) tryReceive(kind protocol.Kind) (protocol.Message, error) {
	for {
		b, err := h.conn.Read(nil)
		if err != nil {
			return protocol.Message{}, err
		}
		if m, err := protocol.V3_0.Parse(b); err != nil || m.Kind == kind {
			return m, err
		}
	}
}

func (h *hand) receive(kind protocol.Kind) protocol.Message {
	h.t.Helper()
	m, err := h.tryReceive(kind)
	if err != nil {
		h.t.Fatalf("instead of %v: %v", kind, err)
	}
	return m
}

// Of two that come back at the same time, one at each node, exactly one has the connection in
// the end: the one with the later attempt, if they differ.
func TestTwoClaims(t *testing.T) {
	for _, attempts := range [][2]uint32{{1, 1}, {1, 2}, {2, 1}} {
		bubble(t, func(t *testing.T) {
			b := new(book)
			c, _ := pairOf(t, b)
			h, first := c.dial(0, nil)
			_ = h.conn.Abort()
			synctest.Wait()
			var hands [2]*hand
			var outcomes [2]protocol.Outcome
			var dialling sync.WaitGroup
			for i := range 2 {
				dialling.Go(func() {
					claim := &protocol.Resume{Conn: first.Conn, Secret: first.Secret, Attempt: attempts[i], FirstKept: 1}
					h, w, err := c.tryDial(i, claim)
					if err != nil { // the later attempt came just then
						outcomes[i] = protocol.OutcomeTaken
						return
					}
					hands[i], outcomes[i] = h, w.Outcome
				})
			}
			dialling.Wait()
			time.Sleep(time.Second)
			resumed := 0
			for i, h := range hands {
				if h == nil || outcomes[i] != protocol.OutcomeResumed {
					continue
				}
				if h.trySend(protocol.Message{Kind: protocol.Request, ID: protocol.NewID(1), Name: "quick", Payload: text("x")}) != nil {
					continue
				}
				if _, err := h.tryReceive(protocol.Reply); err == nil {
					resumed++
					if attempts[i] < attempts[1-i] {
						t.Errorf("attempts %v: outcomes %v, and node %d has it", attempts, outcomes, i)
					}
				}
			}
			if resumed != 1 {
				t.Errorf("attempts %v: outcomes %v, %d have the connection", attempts, outcomes, resumed)
			}
		})
	}
}

// The welcome is lost, and the client asks again with what it knows, at any node.
func TestWelcomeLost(t *testing.T) {
	for node := range 3 {
		bubble(t, func(t *testing.T) {
			b := new(book)
			c := newCluster(t, 3, func(i int) server.Options { return server.Options{Hooks: b.hooks(i)} })
			h, first := c.dial(0, nil)
			_ = h.conn.Abort()
			synctest.Wait()
			claim := &protocol.Resume{Conn: first.Conn, Secret: first.Secret, Attempt: 1, FirstKept: 1}
			h, w := c.dial(1, claim)
			if w.Outcome != protocol.OutcomeResumed || w.Conn == first.Conn || w.Secret.Equal(first.Secret) {
				t.Fatalf("%+v", w)
			}
			_ = h.conn.Abort()
			synctest.Wait()
			claim.Attempt = 2
			h, again := c.dial(node, claim)
			if again.Outcome != protocol.OutcomeResumed {
				t.Errorf("at node %d: outcome %v", node, again.Outcome)
			}
			// Once something has arrived only the new secret is good.
			h.send(protocol.Message{Kind: protocol.Request, ID: protocol.NewID(1), Name: "quick", Payload: text("x")})
			h.receive(protocol.Reply)
			_ = h.conn.Abort()
			synctest.Wait()
			claim.Attempt, claim.Received = 3, 1
			if _, w := c.dial(node, claim); w.Outcome.Resumed() {
				t.Errorf("at node %d: an old secret is good", node)
			}
		})
	}
}

// The welcome is lost, and the node where the connection was before has ended since. The node that
// has the connection knows it; at another one nobody can tell where it is: the client learns that
// its node is gone, so that what it has asked for may have been executed, and the connection ends
// with its window.
func TestWelcomeLostAndNodeEnded(t *testing.T) {
	for node, want := range map[int]protocol.Outcome{1: protocol.OutcomeResumed, 2: protocol.OutcomeNodeGone} {
		bubble(t, func(t *testing.T) {
			b := new(book)
			c := newCluster(t, 3, func(i int) server.Options {
				return server.Options{Hooks: b.hooks(i), ResumeWindow: time.Minute}
			})
			h, first := c.dial(0, nil)
			h.send(protocol.Message{Kind: protocol.Request, ID: protocol.NewID(1), Name: "quick", Payload: text("x")})
			h.receive(protocol.Reply)
			_ = h.conn.Abort()
			synctest.Wait()
			claim := &protocol.Resume{Conn: first.Conn, Secret: first.Secret, Attempt: 1, FirstKept: 1}
			h, _ = c.dial(1, claim)
			_ = h.conn.Abort()
			synctest.Wait()
			_ = c.node(0).Close()
			synctest.Wait()
			b.want(t, "0: connected", "0: quick x", "0: away", "0: disconnected: server: the connection has moved to another node",
				"1: back, moved true, value <nil>", "1: away")
			claim.Attempt = 2
			h, w := c.dial(node, claim)
			if w.Outcome != want {
				t.Errorf("at node %d: outcome %v", node, w.Outcome)
			}
			if want == protocol.OutcomeResumed {
				b.want(t, "1: back, moved true, value mine again")
				return
			}
			b.want(t, "2: connected")
			_ = h.conn.Abort()
			time.Sleep(time.Minute)
			b.want(t, "1: disconnected: server: the client did not come back", "2: away", "2: disconnected: server: the client did not come back")
		})
	}
}

// What a stranger claims is refused, and does not disturb the client.
func TestStrangerAtAnotherNode(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := new(book)
		c, _ := pairOf(t, b)
		h, first := c.dial(0, nil)
		if _, w := c.dial(1, &protocol.Resume{Conn: first.Conn, Secret: protocol.Secret{1}, Attempt: 1, FirstKept: 1}); w.Outcome != protocol.OutcomeExpired {
			t.Errorf("outcome %v", w.Outcome)
		}
		h.send(protocol.Message{Kind: protocol.Request, ID: protocol.NewID(1), Name: "quick", Payload: text("x")})
		h.receive(protocol.Reply)
	})
}

const opBack = 6

// What a client sends to a handler at the node before does not pile up if that node is slow.
func TestFloodForTheNodeBefore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := new(book)
		var there *bus
		c := newCluster(t, 1, func(i int) server.Options { return server.Options{Hooks: b.hooks(i)} })
		c.opts = func(i int) server.Options {
			o := server.Options{Hooks: b.hooks(i)}
			o.Engine, there = c.failing()
			return o
		}
		c.start(1)
		h, first := c.dial(0, nil)
		h.send(protocol.Message{Kind: protocol.Request, ID: protocol.NewID(1), Name: "long", Payload: text("x")})
		synctest.Wait()
		_ = h.conn.Abort()
		synctest.Wait()
		h, w := c.dial(1, &protocol.Resume{Conn: first.Conn, Secret: first.Secret, Attempt: 1, FirstKept: 1})
		if w.Outcome != protocol.OutcomeResumed {
			t.Fatalf("%+v", w)
		}
		var sent atomic.Int64
		there.setFail(func(op byte) failure {
			if op == opBack {
				return lostAsk
			}
			return works
		})
		for range 5000 {
			h.send(protocol.CancelBody{ID: protocol.NewID(1)}.Message())
		}
		synctest.Wait()
		there.setFail(func(op byte) failure {
			if op == opBack {
				sent.Add(1)
			}
			return works
		})
		time.Sleep(10 * time.Second)
		if n := sent.Load(); n > 10 {
			t.Errorf("%d cancels of one request waited for the node where it runs", n)
		}
	})
}

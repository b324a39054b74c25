package handover_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
)

// Handlers that run at a node that had the connection before.

const (
	opGone   = 8
	opFollow = 9
)

// failingCluster are nodes that have a handler which runs until its context ends, and buses
// that fail on demand.
func failingCluster(t *testing.T, nodes int, b *book) (*cluster, []*bus) {
	buses := make([]*bus, nodes)
	c := newCluster(t, 0, nil)
	c.startAll(nodes, func(i int) server.Options {
		o := server.Options{Hooks: b.hooks(i)}
		o.Hooks.OnRequest = func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
			if r.Name == "slow" {
				return text("done"), sleep(ctx, 5*time.Second)
			}
			<-ctx.Done()
			b.note("%d: %s ended: %v", i, r.Name, context.Cause(ctx))
			return protocol.Payload{}, ctx.Err()
		}
		o.Engine, buses[i] = c.failing()
		return o
	})
	return c, buses
}

// wait begins a stream whose handler runs until its context ends.
func (m *member) wait(ctx context.Context) {
	go func() {
		for range m.Stream(ctx, "forever", text("")) {
		}
	}()
	synctest.Wait()
}

// The client comes back to the node where the connection began, and knows it by the id that it had
// there: a handler that runs there since is cancelled, and ends with the connection.
func TestHandlerOfBeforeAndWelcomeLost(t *testing.T) {
	for _, cancels := range []bool{true, false} {
		bubble(t, func(t *testing.T) {
			b := new(book)
			c, _ := failingCluster(t, 2, b)
			h, first := c.dial(0, nil)
			h.send(protocol.Message{Kind: protocol.Request, ID: protocol.NewID(1), Name: "forever", Payload: text("x")})
			synctest.Wait()
			_ = h.conn.Abort()
			synctest.Wait()
			claim := &protocol.Resume{Conn: first.Conn, Secret: first.Secret, FirstKept: 1}
			for i, node := range []int{1, 0, 0} { // and no welcome but the last arrives
				claim.Attempt = uint32(i + 1)
				var w protocol.WelcomeBody
				if h, w = c.dial(node, claim); w.Outcome != protocol.OutcomeResumed {
					t.Fatalf("at node %d: outcome %v", node, w.Outcome)
				}
				if i < 2 {
					_ = h.conn.Abort()
				}
				synctest.Wait()
			}
			b.want(t, "0: connected", "0: away", "0: back, moved true, value <nil>", "0: away", "0: back, moved true, value mine again",
				"1: back, moved true, value <nil>", "1: away", "1: disconnected: server: the connection has moved to another node")
			if cancels {
				h.send(protocol.CancelBody{ID: protocol.NewID(1)}.Message())
				b.want(t, "0: forever ended: webwire: the requester gave up", "0: disconnected: server: the connection has moved to another node")
			}
			_ = h.conn.Close(transport.StatusNormalClosure, "")
			synctest.Wait()
			if n := c.node(0).Stats().Open; n != 0 {
				t.Errorf("cancelled %t: node 0 has %d connections", cancels, n)
			}
		})
	}
}

// The node that has the connection dies: a handler that runs at the node before ends.
func TestHandlerOfBeforeAndNodeGone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := new(book)
		c, buses := failingCluster(t, 2, b)
		m := c.join(0, client.Options{})
		m.wait(t.Context())
		m.move(t, 1)
		time.Sleep(time.Minute) // it runs on as long as the connection
		b.want(t, "0: connected", "0: away", "1: back, moved true, value <nil>")
		buses[1].setFail(func(op byte) failure {
			if op == opGone {
				return lostAsk
			}
			return works
		})
		m.route.goTo(-1)
		_ = c.node(1).Close()
		time.Sleep(15 * time.Second)
		b.want(t, "0: forever ended: server: the client did not come back", "0: disconnected: server: the client did not come back", "1: disconnected: server: closed")
		if n := c.node(0).Stats().Open; n != 0 {
			t.Errorf("node 0 has %d connections", n)
		}
	})
}

// The machine of a node vanishes: questions to it are lost, and it is gone from the roster. The
// handlers at the other node end, and what runs at the node that is gone is answered.
func TestHandlerOfBeforeAndNodeVanished(t *testing.T) {
	for gone := range 2 {
		t.Run(fmt.Sprint(gone), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := new(book)
				c, buses := failingCluster(t, 2, b)
				m := c.join(0, client.Options{})
				asked := m.ask(t.Context(), "forever", "")
				synctest.Wait()
				m.move(t, 1)
				b.want(t, "0: connected", "0: away", "1: back, moved true, value <nil>")
				for _, bus := range buses {
					bus.setFail(func(byte) failure { return lostAsk })
				}
				time.Sleep(20 * time.Second) // the roster has it: it is asked again and again
				b.want(t)
				buses[1-gone].alone.Store(true)
				time.Sleep(11 * time.Second)
				if gone == 1 {
					b.want(t, "0: forever ended: server: the client did not come back", "0: disconnected: server: the client did not come back")
					return
				}
				select {
				case a := <-asked:
					if !errors.Is(a.err, protocol.ErrOutcomeUnknown) {
						t.Error(a)
					}
				default:
					t.Error("the request has no outcome")
				}
			})
		})
	}
}

// outOfReach has a connection move while a stream and a slow request are handled at the node before. A
// while later fail makes nodes unreachable, and the client gives the stream up: none of what the nodes
// have to tell each other is lost.
func outOfReach(t *testing.T, later time.Duration, fail func(buses []*bus)) {
	bubble(t, func(t *testing.T) {
		b := new(book)
		c, buses := failingCluster(t, 2, b)
		m := c.join(0, client.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		m.wait(ctx)
		slow := m.ask(t.Context(), "slow", "")
		synctest.Wait()
		m.move(t, 1)
		b.want(t, "0: connected", "0: away", "1: back, moved true, value <nil>")
		time.Sleep(later)
		fail(buses)
		cancel() // what the client sends waits, too
		if a := <-slow; a.String() != "done" {
			t.Error(a)
		}
		time.Sleep(2 * time.Second)
		b.want(t, "0: forever ended: webwire: the requester gave up", "0: disconnected: server: the connection has moved to another node")
	})
}

// A node cannot be reached for a while, as one that connects to the engine again: what a handler
// at another node sends to the client arrives all the same, and what the client sends to it.
func TestHandlerOfBeforeOutOfReach(t *testing.T) {
	for node, lost := range []byte{opForward, opBack} {
		t.Run(fmt.Sprint(lost), func(t *testing.T) {
			outOfReach(t, 4*time.Second, func(buses []*bus) {
				var away sync.Once
				var until time.Time
				buses[node].setFail(func(op byte) failure {
					if op != lost {
						return works
					}
					away.Do(func() { until = time.Now().Add(time.Second) })
					if time.Now().Before(until) {
						return noNode
					}
					return works
				})
			})
		})
	}
}

// A node where handlers run cannot be reached for three seconds, nor reach the others.
func TestHandlerOfBeforeOutOfReachForLong(t *testing.T) {
	// The other node is about to look whether it is alive.
	outOfReach(t, 1900*time.Millisecond, func(buses []*bus) {
		until := time.Now().Add(3200 * time.Millisecond)
		for _, bus := range buses {
			bus.setFail(func(byte) failure {
				if time.Now().Before(until) {
					return noNode
				}
				return works
			})
		}
	})
}

// The node where a handler runs cannot be reached when the connection has moved on, and is to be told
// where it is, and the node that it has moved from is gone then.
func TestHandlerOfBeforeIsToldLate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, buses := failingCluster(t, 3, new(book))
		m := c.join(0, client.Options{})
		slow := m.ask(t.Context(), "slow", "")
		synctest.Wait()
		m.move(t, 1)
		until := time.Now().Add(2 * time.Second)
		buses[2].setFail(func(op byte) failure {
			if op == opFollow && time.Now().Before(until) {
				return noNode
			}
			return works
		})
		m.move(t, 2)
		_ = c.node(1).Close()
		if a := <-slow; a.String() != "done" {
			t.Error(a)
		}
	})
}

// A hook of a node that has handed a connection over, and got it back, closes the node while the
// other one asks to keep the connection.
func TestCloseWhileCommitting(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 0, nil)
		closed := make(chan struct{})
		c.startAll(2, func(i int) server.Options {
			return server.Options{Hooks: server.Hooks{OnClientBack: func(ctx context.Context, _ *server.Conn) error {
				time.Sleep(time.Duration(3-i) * time.Second)
				if i == 0 {
					_ = c.node(0).Close()
					close(closed)
				}
				return nil
			}}}
		})
		h, first := c.dial(0, nil)
		_ = h.conn.Abort()
		synctest.Wait()
		var dialling sync.WaitGroup
		for i := range uint32(2) {
			dialling.Go(func() {
				claim := &protocol.Resume{Conn: first.Conn, Secret: first.Secret, Attempt: i + 1, FirstKept: 1}
				_, w, err := c.tryDial(1-int(i), claim)
				if err == nil && w.Outcome == protocol.OutcomeResumed {
					t.Errorf("at node %d the connection is resumed", 1-i)
				}
			})
			synctest.Wait()
		}
		<-closed
		dialling.Wait()
	})
}

package handover_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/engine/enginetest"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
)

// OnClientBack may join what the connection was a member of: as it is on its way there already,
// nothing is missed, and nobody is told anything.
func TestJoinOnClientBack(t *testing.T) {
	for name, test := range map[string]struct {
		leaves bool
		want   []string
	}{
		"joins":            {false, []string{"client: signal 1", "client: signal 2", "client: signal 3"}},
		"leaves and joins": {true, []string{"client: signal 1", "client: signal 3", "watcher: enter", "watcher: leave"}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := new(book)
				var c *cluster
				publish := func(name string) {
					if _, err := c.node(2).Topic("room").Publish(t.Context(), name, text("x")); err != nil {
						t.Error(err)
					}
				}
				c = newCluster(t, 3, func(i int) server.Options {
					o := withPresence(i)
					o.Hooks.OnClientBack = func(ctx context.Context, conn *server.Conn) error {
						room := c.node(i).Topic("room")
						if !room.Has(conn) {
							t.Error("the connection is no member any more")
						}
						if test.leaves {
							room.Leave(conn)
							if room.Has(conn) {
								t.Error("the connection has not left")
							}
						}
						publish("2")
						if err := sleep(ctx, time.Second); err != nil {
							return err
						}
						return room.Join(ctx, conn)
					}
					return o
				})
				m := c.join(0, client.Options{Hooks: b.signals()})
				for conn := range c.node(0).Conns() {
					if err := c.node(0).Topic("room").Join(t.Context(), conn); err != nil {
						t.Fatal(err)
					}
				}
				c.enter(2, "watcher", b)
				b.wantEvents(t, "watcher: enter", "watcher: enter")
				publish("1")
				m.move(t, 1)
				time.Sleep(time.Minute)
				publish("3")
				b.wantEvents(t, test.want...)
				if n := len(c.members(2)); n != 2 {
					t.Errorf("%d members", n)
				}
			})
		})
	}
}

// A handler may join before the connection is a member again at the node that it has come to.
func TestJoinOnArrival(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := new(book)
		var memory engine.Memory
		var c *cluster
		c = newCluster(t, 3, func(i int) server.Options {
			o := withPresence(i)
			o.Engine = memory.Node()
			f := enginetest.NewFaulty(o.Engine)
			if i == 1 {
				f.Break(enginetest.Subscribe, enginetest.Times(4, enginetest.Fail(engine.ErrAway)))
			}
			o.Engine = f.Engine()
			o.Hooks.OnSignal = func(ctx context.Context, s *server.Signal) {
				if err := c.node(i).Topic("room").Join(ctx, s.Conn); err != nil {
					t.Error(err)
				}
				b.note("%d: joined", i)
			}
			return o
		})
		m := c.join(0, client.Options{Hooks: b.signals()})
		join := func() {
			if err := m.Signal(t.Context(), "join", text("")); err != nil {
				t.Error(err)
			}
		}
		join()
		synctest.Wait()
		c.enter(2, "watcher", b)
		b.wantEvents(t, "0: joined", "watcher: enter", "watcher: enter")
		m.move(t, 1)
		if _, err := c.node(2).Topic("room").Publish(t.Context(), "missed", text("x")); err != nil {
			t.Error(err)
		}
		time.Sleep(400 * time.Millisecond)
		join() // the engine works again, and the node waits before it tries again
		time.Sleep(time.Minute)
		b.wantEvents(t, "1: joined", "client: signal missed")
	})
}

// A connection that another node takes and then refuses can join where it is, also meanwhile.
func TestJoinWhileTaken(t *testing.T) {
	for _, refused := range []bool{true, false} {
		bubble(t, func(t *testing.T) {
			b := new(book)
			var c *cluster
			c = newCluster(t, 2, func(i int) server.Options {
				return server.Options{Topics: history, Hooks: server.Hooks{
					OnClientBack: func(ctx context.Context, _ *server.Conn) error {
						if i == 0 {
							return nil
						}
						if err := sleep(ctx, 2*time.Second); err != nil || !refused {
							return err
						}
						return &transport.CloseError{Status: transport.StatusTryAgainLater, Reason: "not now"}
					},
					OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
						if err := sleep(ctx, time.Second); err != nil {
							return protocol.Payload{}, err
						}
						err := c.node(i).Topic("room").Join(ctx, r.Conn)
						b.note("%d: joined: %t, ended: %t", i, err == nil, errors.Is(err, server.ErrConnClosed))
						return protocol.Payload{}, nil
					},
				}}
			})
			m := c.join(0, client.Options{Hooks: b.signals()})
			asked := m.ask(t.Context(), "join", "")
			synctest.Wait()
			m.route.goTo(1)
			m.route.cut()
			time.Sleep(2500 * time.Millisecond)
			if refused {
				m.route.goTo(0)
			}
			m.connect(t)
			if a := <-asked; a.err != nil {
				t.Error(a)
			}
			if _, err := c.node(1).Topic("room").Publish(t.Context(), "1", text("x")); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second)
			if refused {
				b.want(t, "0: joined: true, ended: false", "client: signal 1")
			} else {
				b.want(t, "0: joined: false, ended: true")
			}
		})
	}
}

// What leaves topics after its connection has moved costs nothing.
func TestLeaveAfterTheMove(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var c *cluster
		var before *server.Conn
		c = newCluster(t, 2, func(i int) server.Options {
			return server.Options{Hooks: server.Hooks{OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
				before = r.Conn
				return protocol.Payload{}, sleep(ctx, 10*time.Second)
			}}}
		})
		m := c.join(0, client.Options{})
		asked := m.ask(t.Context(), "work", "")
		synctest.Wait()
		m.move(t, 1)
		if n := testing.AllocsPerRun(1000, func() { c.node(0).Topic("room").Leave(before) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
		if a := <-asked; a.err != nil {
			t.Error(a)
		}
	})
}

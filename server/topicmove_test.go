package server_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// A client may unsubscribe, or cancel a subscribe, while the subscribe waits for its turn, and
// take the ref again. That is so, too, if the connection goes on at another node, or is handed over
// and goes on where it was.
func TestUnsubscribedWhenMoving(t *testing.T) {
	for _, how := range []string{"unsubscribed", "cancelled"} {
		for _, stays := range []bool{false, true} {
			t.Run(fmt.Sprint(how, ", stays ", stays), func(t *testing.T) {
				bubble(t, func(t *testing.T) { testUnsubscribedWhenMoving(t, how == "cancelled", stays) })
			})
		}
	}
}

// twoBusyNodes starts two nodes that handle one request at a time, until over is closed. back
// is OnClientBack.
func twoBusyNodes(t *testing.T, over <-chan struct{}, back func(node int) error) (all []*server.Server) {
	t.Helper()
	var memory engine.Memory
	for i := range 2 {
		srv := newTopical(t, server.Options{Engine: memory.Node(), Concurrency: 1, Hooks: server.Hooks{
			OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
				<-over
				return r.Payload, nil
			},
			OnClientBack: func(context.Context, *server.Conn) error { return back(i) },
		}})
		if err := srv.OpenEngine(t.Context()); err != nil {
			t.Fatal(err)
		}
		all = append(all, srv)
	}
	return all
}

func testUnsubscribedWhenMoving(t *testing.T, cancelled, stays bool) {
	over := make(chan struct{})
	release := sync.OnceFunc(func() { close(over) })
	defer release()
	all := twoBusyNodes(t, over, func(node int) error {
		if node == 1 && stays {
			return fmt.Errorf("no")
		}
		return nil
	})
	p, w := first(t, all[0])
	p.request(1, "x", "y")
	synctest.Wait()
	received := uint64(0)
	p.subscribe(2, 7, "first", nil) // it waits for the place of the request
	synctest.Wait()
	if cancelled {
		p.send(protocol.CancelBody{ID: protocol.NewID(2)}.Message())
		p.reply(2, protocol.ReplyFailure)
		received++
	} else {
		p.send(protocol.Message{Kind: protocol.Unsubscribe, Ref: 7})
		p.subscribe(3, 7, "second", nil)
	}
	p.lose()
	c := claim(w, 1, received)
	at := all[1]
	if stays {
		if _, _, err := sayHello(t, context.Background(), at, protocol.HelloBody{Resume: &c}); err == nil {
			t.Fatal("the other node takes the connection")
		}
		synctest.Wait()
		at, c.Attempt = all[0], 2
	}
	p, _ = back(t, at, c)
	if cancelled {
		p.subscribe(3, 7, "second", nil)
	}
	synctest.Wait()
	release()
	time.Sleep(time.Second)
	for _, srv := range all {
		if n := len(slices.Collect(srv.Topic("first").Conns())); n != 0 {
			t.Error("the subscription goes on that the client has ended")
		}
	}
	if n := len(slices.Collect(at.Topic("second").Conns())); n != 1 {
		t.Errorf("%d connections have the ref again, want 1", n)
	}
}

// Subscribes that wait when another node takes the connection, and refuses it, are made.
func TestSubscribesOfARefusedMove(t *testing.T) {
	bubble(t, func(t *testing.T) {
		over := make(chan struct{})
		release := sync.OnceFunc(func() { close(over) })
		defer release()
		all := twoBusyNodes(t, over, func(node int) error {
			if node == 0 {
				return nil
			}
			release() // nothing holds up the subscribes any more
			time.Sleep(time.Second)
			return fmt.Errorf("no")
		})
		p, w := first(t, all[0])
		p.request(1, "x", "y")
		synctest.Wait()
		const count = 1000
		for i := range uint64(count) {
			p.subscribe(2+i, uint32(1+i), "room", nil)
		}
		synctest.Wait()
		p.lose()
		c := claim(w, 1, 0)
		if _, _, err := sayHello(t, context.Background(), all[1], protocol.HelloBody{Resume: &c}); err == nil {
			t.Fatal("the other node takes the connection")
		}
		time.Sleep(time.Second)
		c.Attempt = 2
		p, _ = back(t, all[0], c)
		for range 1 + count {
			if m := p.receive(); m.Kind != protocol.Reply {
				t.Fatalf("a %v: %s", m.Kind, m.Payload.Text())
			}
		}
	})
}

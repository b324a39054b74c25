package client_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport/memory"
)

// A subscription that is closed while it waits to be made anew, because messages were lost, ends
// at the server.
func TestCloseOfADoubtfulSubscription(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ln := memory.Listen()
		c := dial(t, ln, client.Options{Logger: discard, Timeout: time.Minute, OutboxSize: 16 << 10})
		got := make(chan *client.Subscription, 1)
		go func() {
			s, err := c.Subscribe(context.Background(), "t", client.SubscribeOptions{})
			if err != nil {
				t.Error(err)
			}
			got <- s
		}()
		welcome := protocol.WelcomeBody{Window: window, Ring: 1 << 18, From: 1}
		first, _ := acceptHello(t, ln)
		first.send(welcome.Message())
		m := first.next()
		first.send(protocol.Message{Kind: protocol.Reply, ID: m.ID, Payload: protocol.Payload{Data: make([]byte, 16)}})
		s := <-got
		go func() { // it reads, and acknowledges nothing
			for b, err := first.conn.Read(nil); err == nil; b, err = first.conn.Read(b) {
			}
		}()
		for _, text := range []string{strings.Repeat("x", 1000), ""} { // until there is no room for anything
			for err := error(nil); err == nil; {
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				err = c.Signal(ctx, "s", protocol.Text(text))
				cancel()
			}
		}
		_ = first.conn.Abort()
		second, hello := acceptHello(t, ln)
		welcome.Outcome, welcome.From = protocol.OutcomeGap, hello.Resume.Received+4
		welcome.Received = hello.Resume.FirstKept - 1
		second.send(welcome.Message())
		var mu sync.Mutex
		var left []uint32
		go func() {
			for b, err := second.conn.Read(nil); err == nil; b, err = second.conn.Read(nil) {
				if m, err := protocol.V3_0.Parse(b); err == nil && m.Kind == protocol.Unsubscribe {
					mu.Lock()
					left = append(left, m.Ref)
					mu.Unlock()
				}
			}
		}()
		time.Sleep(time.Second) // it has no room to say anything
		mu.Lock()
		if len(left) > 0 {
			t.Error("there was room")
		}
		mu.Unlock()
		s.Close()
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		ended := false
		for _, ref := range left {
			ended = ended || ref == m.Ref
		}
		if !ended {
			t.Errorf("the server is told that %d have ended, not %d", left, m.Ref)
		}
	})
}

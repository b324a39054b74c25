package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

// wantLost fails the test unless a request ended because the connection was lost.
func wantLost(t *testing.T, what string, out outcome, sent bool, cause error) {
	t.Helper()
	var lost *client.DisconnectedError
	switch {
	case !errors.As(out.err, &lost):
		t.Errorf("%s: %v, want a *DisconnectedError", what, out.err)
	case lost.Sent != sent:
		t.Errorf("%s: %v, Sent is %t", what, lost, lost.Sent)
	case !errors.Is(out.err, client.ErrDisconnected) || !errors.Is(out.err, cause):
		t.Errorf("%s: %v is no ErrDisconnected because of %v", what, out.err, cause)
	}
}

// The outcome of a request whose connection is cut says whether the server may have
// executed it.
func TestCutRequests(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ln := memory.Listen()
		c := dial(t, ln, client.Options{MinBackoff: 1, MaxBackoff: 1, OutboxSize: 4 << 20})

		// While the first is being written, and the others wait for that.
		large := strings.Repeat("x", 1<<20)
		writing := begin(context.Background(), c, "writing", large)
		p := accept(t, ln, protocol.V1_2, protocol.Conf{})
		synctest.Wait()
		waiting := begin(context.Background(), c, "waiting", "x")
		signalled := c.Signal(t.Context(), "s", text("x"))
		full := begin(context.Background(), c, "full", strings.Repeat("x", 4<<20))
		synctest.Wait()
		if n := c.Stats().PendingRequests; n != 3 || signalled != nil {
			t.Errorf("%d requests are pending, Signal: %v", n, signalled)
		}
		p.conn.Abort()
		// Of the first, too, the server did not get the last byte.
		wantLost(t, "being written", <-writing, false, io.ErrUnexpectedEOF)
		wantLost(t, "in the outbox", <-waiting, false, io.ErrUnexpectedEOF)
		wantLost(t, "waiting for the outbox", <-full, false, io.ErrUnexpectedEOF)

		// After it was sent, and after the server got it.
		sent := begin(context.Background(), c, "sent", "x")
		p = accept(t, ln, protocol.V1_2, protocol.Conf{})
		synctest.Wait()
		p.conn.Abort()
		wantLost(t, "sent", <-sent, true, io.ErrUnexpectedEOF)
		got := begin(context.Background(), c, "got", "x")
		p = accept(t, ln, protocol.V1_2, protocol.Conf{})
		p.receive()
		var closed *transport.CloseError
		p.conn.Close(transport.StatusGoingAway, "restart")
		out := <-got
		wantLost(t, "got", out, true, client.ErrDisconnected)
		if !errors.As(out.err, &closed) || closed.Status != transport.StatusGoingAway {
			t.Errorf("closed by the server: %v", out.err)
		}

		// By Close.
		last := begin(context.Background(), c, "last", "x")
		p = accept(t, ln, protocol.V1_2, protocol.Conf{})
		p.receive()
		c.Close()
		wantLost(t, "closed", <-last, true, client.ErrClosed)
		if n := c.Stats().PendingRequests; n != 0 {
			t.Errorf("%d requests are pending after Close", n)
		}
	})
}

// While the reply is on its way.
func TestCutReply(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		var executed atomic.Int32
		n.serve(server.Options{Hooks: server.Hooks{OnRequest: func(context.Context, *server.Request) (protocol.Payload, error) {
			executed.Add(1)
			return protocol.Payload{}, nil
		}}})
		c := n.client(client.Options{})
		connect(t, c)
		synctest.Wait()
		for _, end := range n.faults.Conns() {
			end.Delay(time.Second)
		}
		done := begin(context.Background(), c, "r", "x")
		time.Sleep(1500 * time.Millisecond)
		if executed.Load() != 1 {
			t.Fatalf("executed %d times", executed.Load())
		}
		n.near().Cut()
		wantLost(t, "reply on its way", <-done, true, client.ErrDisconnected)
		time.Sleep(time.Minute)
		if executed.Load() != 1 {
			t.Errorf("executed %d times", executed.Load())
		}
	})
}

// Many requests and a cut at any moment: each has its outcome, and what was not sent
// was not executed.
func TestOneOutcomeEach(t *testing.T) {
	for moment := range 20 {
		bubble(t, func(t *testing.T) {
			n := newNetwork(t)
			executed := make(map[string]int)
			turn := make(chan struct{}, 1)
			n.serve(server.Options{Hooks: server.Hooks{OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
				turn <- struct{}{}
				executed[r.Payload.Text()]++
				<-turn
				return r.Payload, nil
			}}})
			c := n.client(client.Options{DisableAutoconnect: true})
			connect(t, c)
			near := n.near()
			for _, end := range n.faults.Conns() {
				end.Slow(time.Millisecond)
			}
			var all []<-chan outcome
			for i := range 50 {
				all = append(all, begin(context.Background(), c, "r", fmt.Sprint(i)))
			}
			synctest.Wait()
			time.Sleep(time.Duration(moment) * 5 * time.Millisecond)
			near.Cut()
			synctest.Wait()
			for i, done := range all {
				out := <-done
				turn <- struct{}{}
				times := executed[fmt.Sprint(i)]
				<-turn
				var lost *client.DisconnectedError
				switch {
				case out.err == nil && (times != 1 || out.reply.Text() != fmt.Sprint(i)):
					t.Errorf("request %d got %q and was executed %d times", i, out.reply.Text(), times)
				case out.err != nil && !errors.Is(out.err, client.ErrDisconnected):
					t.Errorf("request %d: %v", i, out.err)
				case errors.As(out.err, &lost) && !lost.Sent && times != 0:
					t.Errorf("request %d was not sent and executed %d times", i, times)
				case times > 1:
					t.Errorf("request %d was executed %d times", i, times)
				}
			}
		})
	}
}

// The time that a TimeoutError names is all that the request had, the wait for the
// connection included.
func TestTimeoutIncludesConnecting(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		c := n.client(client.Options{Timeout: 30 * time.Second})
		done := begin(context.Background(), c, "r", "x")
		time.Sleep(5 * time.Second)
		n.serve(server.Options{Hooks: server.Hooks{OnRequest: func(ctx context.Context, _ *server.Request) (protocol.Payload, error) {
			<-ctx.Done()
			return protocol.Payload{}, nil
		}}})
		out := <-done
		var late *client.TimeoutError
		if !errors.As(out.err, &late) || late.After != 30*time.Second || out.took != 30*time.Second {
			t.Errorf("%v after %v", out.err, out.took)
		}
	})
}

// Requests whose time is over before they are sent do not confuse anybody.
func TestTimeoutWhileSending(t *testing.T) {
	n := make(chan protocol.Message, 1<<16)
	bubble(t, func(t *testing.T) {
		ln := memory.Listen()
		c := dial(t, ln, client.Options{Timeout: 1})
		go c.Connect(context.Background())
		p := accept(t, ln, protocol.V1_2, protocol.Conf{})
		synctest.Wait()
		var all []<-chan outcome
		for range 500 {
			all = append(all, begin(context.Background(), c, "r", "x"))
		}
		for _, done := range all {
			if out := <-done; !errors.Is(out.err, context.DeadlineExceeded) {
				t.Errorf("%v", out.err)
			}
		}
		go func() {
			for {
				b, err := p.conn.Read(nil)
				if err != nil {
					return
				}
				m, _ := p.version.Parse(b)
				n <- m
			}
		}()
		synctest.Wait()
	})
	for len(n) > 0 {
		if m := <-n; m.ID.Uint64() == 0 {
			t.Error("a request without a number was sent")
		}
	}
}

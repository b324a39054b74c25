package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
)

// start3 starts a server and a client of 3.0, connects them, and returns the server's end
// of that too.
func (w way) start3(t *testing.T, sopts server.Options, copts client.Options) (*site, *server.Conn) {
	t.Helper()
	accepted := make(chan *server.Conn, 10)
	sopts.Version, copts.Versions = protocol.V3_0, []protocol.Version{protocol.V3_0}
	sopts.Hooks.OnClientConnected = func(_ context.Context, c *server.Conn) error {
		accepted <- c
		return nil
	}
	s := w.start(t, sopts, copts)
	if err := s.client.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn := <-accepted
	if v := conn.Info().Version; v != protocol.V3_0 {
		t.Fatalf("they speak %v", v)
	}
	return s, conn
}

func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// A handler of the client that asks the server inside a request of the server waits for
// nobody: the server has one slot, and its asker holds none.
func TestAskingBack(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		var back client.Mux
		back.Request("back", func(ctx context.Context, r *client.Request) (protocol.Payload, error) {
			return r.Client.Request(ctx, "echo", r.Payload)
		})
		_, conn := w.start3(t, server.Options{
			Concurrency: 1,
			Hooks: server.Hooks{OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
				return r.Payload, nil
			}},
		}, client.Options{Handler: &back})
		ctx := bounded(t)
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				for j := range 50 {
					text := fmt.Sprint(i, j)
					if p, err := conn.Request(ctx, "back", protocol.Text(text)); err != nil || p.Text() != text {
						t.Errorf("%s: %q, %v", text, p.Text(), err)
						return
					}
				}
			})
		}
		all.Wait()
	})
}

// A client whose hook does not return answers requests nevertheless, and one that answers
// nothing at all costs the asker its deadline, no more.
func TestFrozenClient(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		thaw := make(chan struct{})
		defer close(thaw)
		frozen := make(chan struct{}, 1)
		var mux client.Mux
		mux.Request("echo", func(_ context.Context, r *client.Request) (protocol.Payload, error) { return r.Payload, nil })
		var slots atomic.Int32 // that frozen handlers have
		mux.Request("freeze", func(context.Context, *client.Request) (protocol.Payload, error) {
			slots.Add(1)
			<-thaw
			return protocol.Payload{}, nil
		})
		mux.Signal("freeze", func(context.Context, *client.Signal) {
			frozen <- struct{}{}
			<-thaw
		})
		_, conn := w.start3(t, server.Options{}, client.Options{Handler: &mux})
		if err := conn.Signal(bounded(t), "freeze", protocol.Text("x")); err != nil {
			t.Fatal(err)
		}
		<-frozen
		if p, err := conn.Request(bounded(t), "echo", protocol.Text("x")); err != nil || p.Text() != "x" {
			t.Errorf("while a hook runs: %q, %v", p.Text(), err)
		}
		// On a busy machine the deadline of a request may pass before its handler begins.
		for slots.Load() < 16 && !t.Failed() {
			var all sync.WaitGroup
			for range 16 {
				all.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
					defer cancel()
					began := time.Now()
					_, err := conn.Request(ctx, "freeze", protocol.Text("x"))
					if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, protocol.ErrTooMany) || took > patience/2 {
						t.Errorf("%v after %v", err, took)
					}
				})
			}
			all.Wait()
		}
		if _, err := conn.Request(bounded(t), "echo", protocol.Text("x")); !errors.Is(err, protocol.ErrTooMany) {
			t.Errorf("while no handler has returned: %v", err)
		}
	})
}

// A socket whose peer reads nothing more costs the asker its deadline, no more.
func TestFrozenSocket(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		leakFree(t)
		accepted := make(chan *server.Conn, 1)
		srv := server.New(withUpgrader(server.Options{Version: protocol.V3_0, Hooks: server.Hooks{
			OnClientConnected: func(_ context.Context, c *server.Conn) error {
				accepted <- c
				return nil
			},
		}}))
		peer, err := w.open(t, srv).Dial(t.Context(), transport.DialOptions{Protocols: []string{protocol.V3_0.Token()}})
		if err != nil {
			t.Fatal(err)
		}
		defer peer.Abort()
		hello := protocol.HelloBody{MessageSize: 1 << 20, StreamCredit: 64 << 10, Requests: 100}
		b, err := protocol.V3_0.Append(nil, hello.Message())
		if err != nil {
			t.Fatal(err)
		}
		if err := peer.Write(b); err != nil {
			t.Fatal(err)
		}
		conn := <-accepted
		var all sync.WaitGroup
		for range 40 { // 40 MiB: more than the outbox and the system take
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
				defer cancel()
				began := time.Now()
				_, err := conn.Request(ctx, "x", protocol.Bytes(make([]byte, 1<<20-100)))
				if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took > patience/2 {
					t.Errorf("%v after %v", err, took)
				}
			})
		}
		all.Wait()
		conn.Abort()
	})
}

// A stream that nobody reads holds up neither other streams nor requests nor signals.
func TestUnreadStream(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		var mux server.Mux
		mux.Stream("tail", func(_ context.Context, _ *server.Request, send func(protocol.Payload) error) error {
			for {
				if err := send(protocol.Bytes(make([]byte, 1000))); err != nil {
					return err
				}
			}
		})
		mux.Stream("count", func(_ context.Context, _ *server.Request, send func(protocol.Payload) error) error {
			for range 1000 {
				if err := send(protocol.Bytes(make([]byte, 1000))); err != nil {
					return err
				}
			}
			return nil
		})
		mux.Request("echo", func(_ context.Context, r *server.Request) (protocol.Payload, error) { return r.Payload, nil })
		signals := make(chan string, 1)
		s, conn := w.start3(t, server.Options{Handler: &mux}, client.Options{Hooks: client.Hooks{
			OnServerSignal: func(_ context.Context, s *client.Signal) { signals <- s.Name },
		}})
		ctx := bounded(t)
		var unread sync.WaitGroup
		defer unread.Wait()
		done, opened := make(chan struct{}), make(chan struct{})
		defer close(done)
		for range 20 {
			unread.Go(func() {
				for _, err := range s.client.Stream(ctx, "tail", protocol.Text("x")) {
					if err != nil {
						t.Error(err)
					}
					opened <- struct{}{}
					<-done
					return
				}
			})
		}
		for range 20 {
			<-opened
		}
		items := 0
		for _, err := range s.client.Stream(ctx, "count", protocol.Text("x")) {
			if err != nil {
				t.Fatal(err)
			}
			items++
		}
		if items != 1000 {
			t.Errorf("%d items", items)
		}
		if _, err := s.client.Request(ctx, "echo", protocol.Bytes(make([]byte, 100_000))); err != nil {
			t.Error(err)
		}
		if err := conn.Signal(ctx, "hello", protocol.Text("x")); err != nil || <-signals != "hello" {
			t.Error(err)
		}
	})
}

// With an outbox of 1 KiB at both ends, requests, cancels and streams in both directions
// at once make progress, and nobody loses the connection.
func TestBothDirectionsWithSmallOutboxes(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		var mux server.Mux
		mux.Request("echo", func(_ context.Context, r *server.Request) (protocol.Payload, error) { return r.Payload, nil })
		mux.Request("wait", func(ctx context.Context, _ *server.Request) (protocol.Payload, error) {
			<-ctx.Done()
			return protocol.Payload{}, ctx.Err()
		})
		mux.Stream("count", func(_ context.Context, _ *server.Request, send func(protocol.Payload) error) error {
			for range 200 {
				if err := send(protocol.Bytes(make([]byte, 700))); err != nil {
					return err
				}
			}
			return nil
		})
		var back client.Mux
		back.Request("echo", func(_ context.Context, r *client.Request) (protocol.Payload, error) { return r.Payload, nil })
		s, conn := w.start3(t, server.Options{Handler: &mux, OutboxSize: 1 << 10, Concurrency: 20},
			client.Options{Handler: &back, OutboxSize: 1 << 10})
		ctx := bounded(t)
		var all sync.WaitGroup
		payload := protocol.Bytes(make([]byte, 600))
		for range 4 {
			all.Go(func() {
				for range 100 {
					if _, err := s.client.Request(ctx, "echo", payload); err != nil {
						t.Errorf("request: %v", err)
						return
					}
				}
			})
			all.Go(func() {
				for range 100 {
					if _, err := conn.Request(ctx, "echo", payload); err != nil {
						t.Errorf("request of the server: %v", err)
						return
					}
				}
			})
			all.Go(func() {
				for range 100 {
					short, cancel := context.WithTimeout(ctx, time.Millisecond)
					if _, err := s.client.Request(short, "wait", payload); !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("cancelled request: %v", err)
					}
					cancel()
				}
			})
			all.Go(func() {
				items := 0
				for _, err := range s.client.Stream(ctx, "count", payload) {
					if err != nil {
						t.Errorf("stream: %v", err)
					}
					items++
				}
				if items != 200 {
					t.Errorf("%d items", items)
				}
			})
		}
		all.Wait()
		if n := s.client.Stats().Connects; n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

package e2e_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/websocket"
)

func echo(_ context.Context, r *server.Request) (protocol.Payload, error) { return r.Payload, nil }

func TestEcho(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := w.start(t, server.Options{Hooks: server.Hooks{OnRequest: echo}}, client.Options{})
		for _, p := range []protocol.Payload{
			protocol.Bytes([]byte{0, 1, 0xfe, 0xff}),
			protocol.Bytes(bytes.Repeat([]byte("0123456789abcdef"), 1<<16)), // 1 MiB
			protocol.Text("Привет, мир 👋"),
			protocol.UTF16Text("Привет, мир 👋"),
		} {
			reply, err := s.client.Request(t.Context(), "echo", p)
			if err != nil || reply.Encoding != p.Encoding || !bytes.Equal(reply.Data, p.Data) {
				t.Errorf("%s: got %s of %d bytes, %v", p.Encoding, reply.Encoding, len(reply.Data), err)
			}
		}
		_, err := s.client.Request(t.Context(), "echo", protocol.Bytes(make([]byte, 5<<20)))
		var lost *client.DisconnectedError
		if err == nil || errors.As(err, &lost) && !lost.Sent {
			t.Errorf("a message over the limit: got %v", err)
		}
		if _, err := s.client.Request(t.Context(), "echo", protocol.Text("again")); err != nil {
			t.Errorf("after it: %v", err)
		}
	})
}

func TestRequestsAtOnce(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		const all = 64
		var arrived sync.WaitGroup
		arrived.Add(all)
		s := w.start(t, server.Options{Hooks: server.Hooks{
			OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
				arrived.Done()
				arrived.Wait() // for all others
				return r.Payload, nil
			},
		}}, client.Options{})
		var group errgroup.Group
		for i := range all {
			group.Go(func() error { return expectEcho(s.client, fmt.Sprint(i)) })
		}
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
		if st := s.Stats(); st.Accepted != 1 {
			t.Errorf("%d connections, want 1", st.Accepted)
		}
	})
}

func expectEcho(c *client.Client, text string) error {
	reply, err := c.Request(context.Background(), "echo", protocol.Text(text))
	if err == nil && reply.Text() != text {
		err = fmt.Errorf("sent %q, got %q", text, reply.Text())
	}
	return err
}

func TestManyRequests(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := w.start(t, server.Options{Hooks: server.Hooks{OnRequest: echo}}, client.Options{})
		const goroutines, each = 16, 625
		var group errgroup.Group
		for i := range goroutines {
			group.Go(func() error {
				for k := range each {
					if err := expectEcho(s.client, fmt.Sprintf("%d.%0*d", i, 1+k%100, k)); err != nil {
						return err
					}
				}
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
		// The server opens the connection with a message of its own. Both acknowledge what
		// they get, a few messages at a time.
		const more = goroutines * each / 10
		if st := s.client.Stats(); st.Sent < goroutines*each || st.Sent > goroutines*each+more ||
			st.Received <= goroutines*each || st.Received > goroutines*each+more || st.Connects != 1 {
			t.Errorf("got %+v", st)
		}
	})
}

func TestSignals(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		const all = 5000
		done := make(chan error, 2)
		expect := func() func(text string) {
			next := 0
			return func(text string) {
				if want := fmt.Sprint(next); text != want {
					done <- fmt.Errorf("signal %s in the place of %s", text, want)
					return
				}
				if next++; next == all {
					done <- nil
				}
			}
		}
		atServer, atClient := expect(), expect()
		s := w.start(t, server.Options{Hooks: server.Hooks{
			OnSignal: func(ctx context.Context, s *server.Signal) {
				atServer(s.Payload.Text())
				if err := s.Conn.Signal(ctx, s.Name, s.Payload); err != nil {
					done <- err
				}
			},
		}}, client.Options{Hooks: client.Hooks{
			OnServerSignal: func(_ context.Context, s *client.Signal) { atClient(s.Payload.Text()) },
		}})
		if err := s.client.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i := range all {
			if err := s.client.Signal(t.Context(), "n", protocol.Text(fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			select {
			case err := <-done:
				if err != nil {
					t.Fatal(err)
				}
			case <-time.After(patience):
				t.Fatal("signals are missing")
			}
		}
	})
}

// Every request that a handler began is answered, however many there are when the
// server shuts down; the others learn that they were refused.
func TestShutdownUnderLoad(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		var handled atomic.Int64
		s := w.start(t, server.Options{Hooks: server.Hooks{
			OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
				handled.Add(1)
				return r.Payload, nil
			},
		}}, client.Options{DisableAutoconnect: true})
		if err := s.client.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		var answered atomic.Int64
		var group errgroup.Group
		warm := make(chan struct{})
		for i := range 16 {
			group.Go(func() error {
				for k := 0; ; k++ {
					if i == 0 && k == 50 {
						close(warm)
					}
					err := expectEcho(s.client, fmt.Sprintf("%d.%d", i, k))
					var lost *client.DisconnectedError
					switch {
					case err == nil:
						answered.Add(1)
					case errors.Is(err, protocol.ErrShutdown), errors.Is(err, client.ErrDisconnected) && !errors.As(err, &lost):
						return nil
					case errors.As(err, &lost):
						// It crossed the close on its way: no handler saw it, or it would
						// have been waited for.
						return nil
					default:
						return err
					}
				}
			})
		}
		<-warm
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
		if h, a := handled.Load(), answered.Load(); h != a || a == 0 {
			t.Errorf("%d requests were handled, %d replies arrived", h, a)
		}
	})
}

// A server whose certificate is of an authority that the client does not know is
// not talked to, and there is no second attempt.
func TestUntrustedCertificate(t *testing.T) {
	leakFree(t)
	gaveUp := make(chan error, 1)
	srv := server.New(withUpgrader(server.Options{}))
	dialer := overHTTP(t, srv, true).(websocket.Dialer)
	_, others := certificates(t)
	dialer.TLS = &tls.Config{RootCAs: others}
	c := client.New(dialer, client.Options{Hooks: client.Hooks{
		OnConnectFailed: func(_ context.Context, err error) { gaveUp <- err },
	}})
	defer c.Close()
	err := c.Connect(t.Context())
	var cert *tls.CertificateVerificationError
	if !errors.As(err, &cert) || !errors.As(<-gaveUp, &cert) {
		t.Errorf("got %v", err)
	}
	if st := c.Stats(); st.Attempts != 1 {
		t.Errorf("%d attempts", st.Attempts)
	}
}

package client_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

// shutdown calls Shutdown in another goroutine.
func shutdown(ctx context.Context, c *client.Client) <-chan error {
	done := make(chan error, 1)
	go func() { done <- c.Shutdown(ctx) }()
	synctest.Wait()
	return done
}

// wantOver fails the test unless the client takes no calls any more.
func wantOver(t *testing.T, c *client.Client) {
	t.Helper()
	_, err := c.Request(t.Context(), "new", text("x"))
	for name, err := range map[string]error{
		"Request": err, "Connect": c.Connect(t.Context()), "Signal": c.Signal(t.Context(), "new", text("x")),
		"RestoreSession": c.RestoreSession(t.Context(), "key"), "CloseSession": c.CloseSession(t.Context()),
	} {
		if !errors.Is(err, client.ErrClosed) || client.MaybeExecuted(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Shutdown takes nothing new, lets what is in flight end, and closes the client.
func TestShutdown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ln := memory.Listen()
		c := dial(t, ln, client.Options{Logger: discard, ReadTimeout: time.Hour})
		go c.Connect(context.Background())
		p := accept(t, ln, protocol.V1_2, protocol.Conf{})
		synctest.Wait()
		first := begin(context.Background(), c, "first", "x")
		id := p.receive().ID
		second := begin(context.Background(), c, "second", "x")
		p.receive() // which is not answered in time
		over := shutdown(context.Background(), c)
		wantOver(t, c)
		time.Sleep(30 * time.Second)
		p.reply(id, "done")
		if out := <-first; out.err != nil || out.reply.Text() != "done" {
			t.Errorf("the first request: %v", out.err)
		}
		synctest.Wait()
		if len(over) > 0 || c.Status() != client.Connected {
			t.Errorf("it is over while a request is in flight, the client is %v", c.Status())
		}
		if out := <-second; !errors.Is(out.err, context.DeadlineExceeded) || out.took != time.Minute {
			t.Errorf("the second request: %v after %v", out.err, out.took)
		}
		if err := <-over; err != nil || c.Status() != client.Closed {
			t.Errorf("Shutdown: %v, the client is %v", err, c.Status())
		}
		wantOver(t, c)
	})
}

// Calls that wait for a connection when Shutdown is called get one.
func TestShutdownWhileConnecting(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ln := memory.Listen()
		c := dial(t, ln, client.Options{Logger: discard})
		waiting := begin(context.Background(), c, "waiting", "x")
		synctest.Wait()
		over := shutdown(context.Background(), c)
		wantOver(t, c)
		lost, err := ln.Accept(transport.AcceptOptions{Protocols: []string{protocol.V2_0.Token()}})
		if err != nil {
			t.Fatal(err)
		}
		lost.Abort() // before it is open; the client makes another one
		p := accept(t, ln, protocol.V1_2, protocol.Conf{})
		p.reply(p.receive().ID, "done")
		if out := <-waiting; out.err != nil {
			t.Error(out.err)
		}
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
}

// When its context ends Shutdown is Close.
func TestShutdownInTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ln := memory.Listen()
		c := dial(t, ln, client.Options{Logger: discard})
		stuck := begin(context.Background(), c, "stuck", "x")
		p := accept(t, ln, protocol.V1_2, protocol.Conf{})
		p.receive()
		start := time.Now()
		if err := c.Shutdown(after(t, time.Second)); err != context.DeadlineExceeded {
			t.Errorf("Shutdown: %v", err)
		}
		took(t, "Shutdown", start, time.Second, 4*time.Second)
		wantLost(t, "stuck", <-stuck, true, client.ErrClosed)
	})
}

// What Signal accepted is sent, and a signal that waits for room is.
func TestShutdownSendsSignals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ln := memory.Listen()
		c := dial(t, ln, client.Options{Logger: discard, OutboxSize: 1000, WriteTimeout: time.Hour})
		go c.Connect(context.Background())
		p := accept(t, ln, protocol.V1_2, protocol.Conf{})
		synctest.Wait()
		const n = 200
		sent := make(chan error, n)
		for range n {
			go func() { sent <- c.Signal(context.Background(), "s", protocol.Bytes(make([]byte, 1000))) }()
		}
		synctest.Wait()
		over := shutdown(context.Background(), c)
		for range n {
			p.receive()
		}
		for range n {
			if err := <-sent; err != nil {
				t.Error(err)
			}
		}
		go p.conn.Read(nil) // answers the close
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
}

// Shutdown and Close may be called in any order, from anywhere.
func TestShutdownAndClose(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ln := memory.Listen()
		unused := dial(t, ln, client.Options{})
		for range 2 {
			if err := unused.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		}
		unused.Close()

		c := dial(t, ln, client.Options{Logger: discard})
		stuck := begin(context.Background(), c, "stuck", "x")
		p := accept(t, ln, protocol.V1_2, protocol.Conf{})
		p.receive()
		first, second := shutdown(context.Background(), c), shutdown(context.Background(), c)
		c.Close()
		if err := errors.Join(<-first, <-second); err != nil {
			t.Error(err)
		}
		wantLost(t, "stuck", <-stuck, true, client.ErrClosed)

		done := make(chan error, 1)
		inHook := dial(t, ln, client.Options{Hooks: client.Hooks{
			OnServerSignal: func(ctx context.Context, s *client.Signal) { done <- s.Client.Shutdown(ctx) },
		}})
		go inHook.Connect(context.Background())
		p = accept(t, ln, protocol.V1_2, protocol.Conf{})
		synctest.Wait()
		p.send(protocol.Message{Kind: protocol.Signal, Name: "s", Payload: text("x")})
		if err := <-done; err != nil || inHook.Status() != client.Closed {
			t.Errorf("in a hook: %v, the client is %v", err, inHook.Status())
		}
	})
}

package client_test

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
	"github.com/webwire-go/webwire/transport/memory"
)

func TestCall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		type point struct{ X, Y int }
		var mux server.Mux
		mux.Request("swap", server.JSON(func(_ context.Context, _ *server.Request, p point) (point, error) {
			return point{p.Y, p.X}, nil
		}))
		mux.Request("utf16", func(context.Context, *server.Request) (protocol.Payload, error) {
			return protocol.UTF16Text(`{"X":7}`), nil
		})
		mux.Request("empty", func(context.Context, *server.Request) (protocol.Payload, error) {
			return protocol.Payload{}, nil
		})
		mux.Request("prose", func(context.Context, *server.Request) (protocol.Payload, error) {
			return protocol.Text("seven"), nil
		})
		_, ln := serve(t, server.Options{Handler: &mux})
		c := dial(t, ln, client.Options{})
		for name, want := range map[string]point{"swap": {2, 1}, "utf16": {X: 7}, "empty": {}} {
			if got, err := client.Call[point](t.Context(), c, name, point{1, 2}); err != nil || got != want {
				t.Errorf("%s: got %v, %v", name, got, err)
			}
		}
		if got, err := client.Call[point](t.Context(), c, "prose", nilArgument); err == nil {
			t.Errorf("prose is %v", got)
		}
		if _, err := client.Call[point](t.Context(), c, "swap", "a text"); !errors.Is(err, &protocol.Error{Code: protocol.CodeBadRequest}) {
			t.Errorf("got %v", err)
		}
		if _, err := client.Call[point](t.Context(), c, "unknown", 1); !errors.Is(err, &protocol.Error{Code: protocol.CodeNotFound}) {
			t.Errorf("got %v", err)
		}
		if _, err := client.Call[point](t.Context(), c, "swap", func() {}); err == nil {
			t.Error("a function has no JSON form")
		}
	})
}

var nilArgument any

func TestSignals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fromClient, fromServer := make(chan string, 2000), make(chan string, 2000)
		_, ln := serve(t, server.Options{Hooks: server.Hooks{
			OnSignal: func(ctx context.Context, s *server.Signal) {
				fromClient <- fmt.Sprintf("%s %s %q", s.Name, s.Payload.Encoding, s.Payload.Text())
				if err := s.Conn.Signal(ctx, s.Name, s.Payload); err != nil {
					t.Error(err)
				}
			},
		}})
		c := dial(t, ln, client.Options{Hooks: client.Hooks{
			OnServerSignal: func(_ context.Context, s *client.Signal) {
				fromServer <- fmt.Sprintf("%s %s %q", s.Name, s.Payload.Encoding, s.Payload.Text())
			},
		}})
		if err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		var want []string
		for i := range 1000 {
			name := fmt.Sprint(i)
			p := []protocol.Payload{protocol.Bytes([]byte(name)), protocol.Text("é" + name), protocol.UTF16Text("é" + name)}[i%3]
			if err := c.Signal(t.Context(), name, p); err != nil {
				t.Fatal(err)
			}
			want = append(want, fmt.Sprintf("%s %s %q", name, p.Encoding, p.Text()))
		}
		for _, want := range want {
			if got := <-fromClient; got != want {
				t.Fatalf("server: got %s, want %s", got, want)
			}
			if got := <-fromServer; got != want {
				t.Fatalf("client: got %s, want %s", got, want)
			}
		}
		if err := c.Signal(t.Context(), "имя", protocol.Text("x")); !errors.Is(err, protocol.ErrMalformed) {
			t.Errorf("got %v", err)
		}
	})
}

// A signal does not wait for a connection, but sees to it that there will be one.
func TestSignalWithoutConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, ln := serve(t, server.Options{})
		c := dial(t, ln, client.Options{})
		began := time.Now()
		if err := c.Signal(t.Context(), "s", protocol.Text("x")); !errors.Is(err, client.ErrDisconnected) || time.Since(began) != 0 {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		synctest.Wait()
		if err := c.Signal(t.Context(), "s", protocol.Text("x")); err != nil {
			t.Errorf("got %v", err)
		}
		c.Close()
		if err := c.Signal(t.Context(), "s", protocol.Text("x")); !errors.Is(err, client.ErrClosed) {
			t.Errorf("got %v", err)
		}

		manual := dial(t, ln, client.Options{DisableAutoconnect: true})
		for range 2 {
			if err := manual.Signal(t.Context(), "s", protocol.Text("x")); !errors.Is(err, client.ErrDisconnected) {
				t.Errorf("got %v", err)
			}
			synctest.Wait()
		}
		if st := manual.Stats(); st.Attempts != 0 {
			t.Error("it connected by itself")
		}
	})
}

// A signal waits for room in the outbox within its context.
func TestSignalWaitsForRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ln := memory.Listen()
		c := dial(t, ln, client.Options{OutboxSize: 10_000, WriteTimeout: time.Hour, ReadTimeout: 24 * time.Hour})
		go c.Connect(context.Background())
		p := accept(t, ln, protocol.V1_2, protocol.Conf{})
		synctest.Wait()
		sent := 0
		for {
			began := time.Now()
			err := c.Signal(after(t, time.Second), "", protocol.Bytes(make([]byte, 1000)))
			if err == nil {
				sent++
				continue
			}
			if err != context.DeadlineExceeded || time.Since(began) != time.Second {
				t.Errorf("got %v after %v", err, time.Since(began))
			}
			break
		}
		if sent < 9 || sent > 9+64+1 {
			t.Errorf("%d signals of 1 kB were accepted by an outbox of 10 kB", sent)
		}
		var group sync.WaitGroup
		group.Go(func() {
			if err := c.Signal(context.Background(), "last", protocol.Text("x")); err != nil {
				t.Error(err)
			}
		})
		for range sent {
			if m := p.receive(); m.Name != "" {
				t.Errorf("got %q", m.Name)
			}
		}
		if m := p.receive(); m.Name != "last" {
			t.Errorf("got %q", m.Name)
		}
		group.Wait()
	})
}

package server_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
)

// grab returns the only connection of srv.
func grab(t *testing.T, srv *server.Server) *server.Conn {
	t.Helper()
	synctest.Wait()
	conns := slices.Collect(srv.Conns())
	if len(conns) != 1 {
		t.Fatalf("%d connections, want 1", len(conns))
	}
	return conns[0]
}

func TestSignalsToClient(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := server.New(server.Options{})
		p := connect(t, srv, protocol.V1_2)
		c := grab(t, srv)
		payloads := []protocol.Payload{
			protocol.Bytes([]byte{0, 255}),
			protocol.Text("Привет 👋"),
			protocol.UTF16Text("Привет 👋"),
		}
		for _, payload := range payloads {
			for _, name := range []string{"", "a", "ab", strings.Repeat("n", 255)} {
				if err := c.Signal(t.Context(), name, payload); err != nil {
					t.Fatal(err)
				}
				m := p.receive()
				if m.Kind != protocol.Signal || m.Name != name || m.Payload.Encoding != payload.Encoding || string(m.Payload.Data) != string(payload.Data) {
					t.Errorf("sent %q %v, got %+v", name, payload, m)
				}
			}
		}
		for i := range 1000 {
			if err := c.Signal(t.Context(), strconv.Itoa(i), protocol.Text("x")); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 1000 {
			if m := p.receive(); m.Name != strconv.Itoa(i) {
				t.Fatalf("signal %q came in the place of %d", m.Name, i)
			}
		}
	})
}

func TestSignalErrors(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := server.New(server.Options{})
		p := connect(t, srv, protocol.V1_2)
		c := grab(t, srv)
		for name, payload := range map[string]protocol.Payload{
			"empty":                  {},
			"odd":                    {Encoding: protocol.UTF16, Data: []byte("x")},
			"имя":                    protocol.Text("x"),
			strings.Repeat("n", 256): protocol.Text("x"),
		} {
			if err := c.Signal(t.Context(), name, payload); !errors.Is(err, protocol.ErrMalformed) {
				t.Errorf("%q: got %v", name, err)
			}
		}
		p.quiet()
		p.conn.Close(transport.StatusNormalClosure, "bye")
		p.over()
		err := c.Signal(t.Context(), "late", protocol.Text("x"))
		var closed *transport.CloseError
		if !errors.Is(err, server.ErrConnClosed) || !errors.Is(err, net.ErrClosed) || !errors.As(err, &closed) || closed.Reason != "bye" {
			t.Errorf("got %v", err)
		}
	})
}

// A signal waits for room in the outbox within its context, and the context of one
// has no meaning for the connection.
func TestSignalWaitsForRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := server.New(server.Options{OutboxSize: 10_000, WriteTimeout: time.Hour, ReadTimeout: 24 * time.Hour})
		p := connectDeaf(t, context.Background(), srv, protocol.V1_2)
		c := grab(t, srv)
		payload := protocol.Bytes(make([]byte, 1000))
		sent := 0
		for {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			began := time.Now()
			err := c.Signal(ctx, "s", payload)
			cancel()
			if err != nil {
				if err != context.DeadlineExceeded || time.Since(began) != time.Second {
					t.Errorf("after %v: %v", time.Since(began), err)
				}
				break
			}
			sent++
		}
		if sent < 9 || sent > 9+64+1 { // what the pipe takes, and the outbox
			t.Errorf("%d signals of 1 kB were accepted by an outbox of 10 kB", sent)
		}
		waiting := make(chan error, 1)
		go func() { waiting <- c.Signal(context.Background(), "last", payload) }()
		synctest.Wait()
		if len(waiting) > 0 {
			t.Fatal("Signal did not wait for room")
		}
		p.listen()
		if err := <-waiting; err != nil {
			t.Error(err)
		}
		for range sent {
			if m := p.receive(); m.Name != "s" {
				t.Errorf("got %q", m.Name)
			}
		}
		if m := p.receive(); m.Name != "last" {
			t.Errorf("got %q", m.Name)
		}
		p.quiet()
	})
}

// A handler that waits for room does not stop the reading.
func TestReadingGoesOnWhileSignalWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		got := make(chan string, 10)
		srv := server.New(server.Options{OutboxSize: 1000, WriteTimeout: time.Hour, ReadTimeout: 24 * time.Hour, Hooks: server.Hooks{
			OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
				if r.Name == "flood" {
					for r.Conn.Signal(ctx, "s", protocol.Bytes(make([]byte, 900))) == nil {
					}
				}
				got <- r.Name
				return protocol.Payload{}, nil
			},
		}})
		p := connectDeaf(t, context.Background(), srv, protocol.V1_2)
		p.request(1, "flood", "x")
		synctest.Wait()
		p.request(2, "other", "x")
		if name := <-got; name != "other" {
			t.Errorf("got %q", name)
		}
		p.conn.Abort()
		if name := <-got; name != "flood" {
			t.Errorf("got %q", name)
		}
		p.wait()
	})
}

func TestSignalsWithoutHookAreDropped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := server.New(server.Options{})
		p := connect(t, srv, protocol.V1_2)
		p.signal("a", "x")
		p.signal("b", "x")
		p.quiet()
		if st := srv.Stats(); st.Dropped != 2 || st.Received != 2 {
			t.Errorf("got %+v", st)
		}
	})
}
